//! A real browser, driven over WebDriver: Debian's chromium and chromium-driver.

use cascade_tests::clock;
use cascade_tests::launch::Launch;
use cascade_tests::process::Process;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// How the browser looks at a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) dark: bool,
    pub(super) phone: bool,
}

/// A screen on a desk.
pub(super) const DESK: Look = Look { width: 1200, height: 900, dark: false, phone: false };
/// The smallest of usual phones.
pub(super) const PHONE: Look = Look { width: 375, height: 760, dark: false, phone: true };

/// A browser with one window.
pub(super) struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser; `None`, and a line that says so: it is not installed.
    #[allow(clippy::print_stderr, reason = "shown with the test's own output")]
    pub(super) fn start(look: Look) -> Option<Self> {
        let driver = Path::new("/usr/bin/chromedriver");
        if !driver.exists() || !Path::new("/usr/bin/chromium").exists() {
            eprintln!("skipped without a browser: apt-get install chromium chromium-driver");
            return None;
        }
        let mut driver = Launch::program(driver).args(["--port=0"]).start();
        let port: u16 = driver.wait_line("its port", |line| {
            line.split_once("started successfully on port ")?.1.trim_end().trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            // Tests may run as root, where there is no sandbox; the page is our own.
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--hide-scrollbars".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={},{}", look.width, look.height),
            format!("--blink-settings=preferredColorScheme={}", u8::from(!look.dark)),
        ];
        arguments.sort();
        let mut options = json!({"binary": "/usr/bin/chromium", "args": arguments});
        if look.phone {
            let metrics =
                json!({"width": look.width, "height": look.height, "pixelRatio": 2.0, "touch": true});
            options["mobileEmulation"] = json!({"deviceMetrics": metrics});
        }
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let client = runtime.block_on(builder.connect(&format!("http://127.0.0.1:{port}"))).unwrap();
        Some(Self { runtime, client: Some(client), _driver: driver, _profile: profile })
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub(super) fn go(&self, url: &str) {
        self.runtime.block_on(self.client().goto(url)).unwrap();
    }

    /// The value of a script, which ends with `return`.
    pub(super) fn value(&self, script: &str) -> Value {
        self.runtime.block_on(self.client().execute(script, Vec::new())).unwrap()
    }

    /// Waits until a script gives something that is true.
    #[track_caller]
    pub(super) fn wait(&self, what: &str, script: &str) -> Value {
        clock::eventually(what, || {
            let value = self.value(script);
            let is_true = !matches!(value, Value::Null | Value::Bool(false)) && value != 0 && value != "";
            is_true.then_some(value)
        })
    }

    /// Waits until the page has drawn its first state.
    #[track_caller]
    pub(super) fn wait_shown(&self) {
        self.wait("the first state", "return document.documentElement.dataset.shown");
    }

    /// Presses a key, in the element that has the focus.
    pub(super) fn press(&self, key: fantoccini::key::Key) {
        let text: char = key.into();
        let pressed = async { self.client().active_element().await?.send_keys(&text.to_string()).await };
        self.runtime.block_on(pressed).unwrap();
    }

    pub(super) fn picture(&self) -> Vec<u8> {
        self.runtime.block_on(self.client().screenshot()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // It fails only if the browser has gone already.
            let _ = self.runtime.block_on(client.close());
        }
    }
}
