//! Real Redis servers, each a process of its own with a port and a folder of its own; and a raw client of them.

use crate::address::Reserved;
use crate::clock;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The server's program, if it is installed; else a line says that `what` is left out.
#[must_use]
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
pub fn program(what: &str) -> Option<PathBuf> {
    let found = ["redis-server", "valkey-server"].into_iter().find_map(on_path);
    if found.is_none() {
        eprintln!("skipped: {what}: there is no redis-server here (apt install redis-server)");
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Ports that are tried before a server counts as one that does not start.
const STARTS: usize = 8;

/// A server.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    _reserved: Reserved,
    folder: TempDir,
    options: Vec<String>,
}

impl Redis {
    /// A server that keeps nothing on the disk.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(program: &Path) -> Self {
        Self::with_options(program, &[])
    }

    /// The same with more options.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn with_options(program: &Path, options: &[&str]) -> Self {
        // Somebody else may take one of its ports before it does.
        (0..STARTS)
            .find_map(|_| {
                let reserved = free();
                let addr = reserved.addr;
                let folder = tempfile::tempdir().expect("a folder");
                let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
                let child = spawn(program, addr, folder.path(), &options);
                let program = program.to_owned();
                let mut redis = Self { program, child, addr, _reserved: reserved, folder, options };
                redis.answers().then_some(redis)
            })
            .unwrap_or_else(|| panic!("redis-server ended {STARTS} times: {options:?}"))
    }

    /// The address of a tracker's `--store`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again at the same port, with nothing in it.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, self.addr, self.folder.path(), &self.options);
        assert!(self.answers(), "redis-server has ended: {:?}", self.options);
    }

    /// Stops it without closing anything, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// One command; its answer, as text in lines.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> String {
        ask(self.addr, words).unwrap_or_default()
    }

    /// Waits until it answers; `false`: it has ended.
    fn answers(&mut self) -> bool {
        clock::eventually("redis-server answers", || {
            if self.child.try_wait().expect("a child").is_some() {
                return Some(false);
            }
            let pong = ask(self.addr, &["PING"])?;
            (pong.contains("PONG") || pong.contains("NOAUTH")).then_some(true)
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free() -> Reserved {
    // A cluster's second port is 10,000 higher.
    loop {
        let reserved = Reserved::new();
        if reserved.addr.port() < 55_000 {
            return reserved;
        }
    }
}

fn spawn(program: &Path, addr: SocketAddr, folder: &Path, options: &[String]) -> Child {
    let mut command = Command::new(program);
    if let Some(config) = options.first().filter(|option| option.starts_with('/')) {
        command.arg(config);
    }
    let rest = options.iter().filter(|option| !option.starts_with('/') || option.contains(".pem"));
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(folder);
    if !options.iter().any(|option| option == "--port") {
        command.args(["--port", &addr.port().to_string()]);
    }
    command.args(rest).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server starts")
}

/// One command to a server; `None`: it does not answer.
#[must_use]
pub fn ask(addr: SocketAddr, words: &[&str]) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(request, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    read(&mut BufReader::new(stream), &mut answer)?;
    Some(answer)
}

fn read(from: &mut BufReader<TcpStream>, answer: &mut String) -> Option<()> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).ok().filter(|len| *len > 0)?;
    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
    let (kind, rest) = text.split_at_checked(1)?;
    match kind {
        "$" if rest != "-1" => {
            let mut bytes = vec![0; rest.parse::<usize>().ok()? + 2];
            from.read_exact(&mut bytes).ok()?;
            answer.push_str(String::from_utf8_lossy(&bytes).trim_end());
            answer.push('\n');
        }
        "*" => {
            for _ in 0..rest.parse::<i64>().ok()?.max(0) {
                read(from, answer)?;
            }
        }
        _ => {
            answer.push_str(rest);
            answer.push('\n');
        }
    }
    Some(())
}
