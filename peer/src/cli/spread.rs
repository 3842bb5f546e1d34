//! How the files of `share` and `seed` spread: in place on a terminal, a line now and then in a log, and at the end how
//! good it was, in words and as a picture.

use super::CliError;
use crate::clock;
use crate::human::Name;
use crate::report::{Status, Style, json_line, line, plain, verdict_json, verdict_parts, verdict_text};
use crate::spread::{History, Verdict, draw, page};
use crate::view::{FileState, View, Watch};
use cascade_format::CascadeHash;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A log is told of each file this often at most, and only what has changed.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// `--report`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Report {
    /// Write a picture to this new file at the end: how much each receiver had over time, and the copies sent [default: no
    /// picture]
    #[arg(long, value_name = "FILE.html|FILE.svg", value_parser = report_path)]
    report: Option<PathBuf>,
}

/// Whether a report is a page, which holds any number of pictures, and not one picture.
fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("html"))
}

fn report_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_picture = path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("svg"));
    if is_page(&path) || is_picture { Ok(path) } else { Err("its name must end with .html or .svg".into()) }
}

impl Report {
    /// Looks whether the report of `files` files can be written later.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn check(&self, files: usize) -> Result<(), CliError> {
        let Some(path) = &self.report else { return Ok(()) };
        if files > 1 && !is_page(path) {
            let message = "an .svg file holds the picture of one file; name a --report that ends with .html";
            return Err(CliError::usage(message.into()));
        }
        if path.symlink_metadata().is_ok() {
            return Err(CliError::failed(format!(
                "{} is there already; move it away, or choose another name for the report",
                Name(path)
            )));
        }
        // Found out before hours of work.
        tempfile::tempfile_in(folder_of(path)).map(drop).map_err(|error| cannot_write(path, &error))
    }

    /// Writes the pictures. A file that is there by now stays as it is.
    fn write(&self, pictures: &[String]) -> Result<(), CliError> {
        let Some(path) = &self.report else { return Ok(()) };
        let text = if is_page(path) { page(pictures) } else { pictures.concat() };
        let write = || {
            let mut file = tempfile::Builder::new().permissions(usual_mode()).tempfile_in(folder_of(path))?;
            file.write_all(text.as_bytes())?;
            file.persist_noclobber(path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| cannot_write(path, &error))
    }
}

/// That of a file which is made in the usual way: the user's mask takes away from it.
fn usual_mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("cannot write {}: {error}; choose another name for the report", Name(path)))
}

/// Looks on while files spread, in a task of its own: it is woken every half second, and a task that waits for something
/// else in the command's thread would be woken with it.
pub(super) struct Onlooker {
    looker: Arc<Mutex<Looker>>,
    /// Ends when this is dropped.
    task: JoinSet<()>,
}

struct Looker {
    watch: Watch,
    style: Style,
    status: Option<Status>,
    /// Whether a receiver held a connection when it was looked last.
    anybody: bool,
    /// When to look again; `None`: nobody is there, and a log has been told so.
    next: Option<Instant>,
    /// The order in which the user named the files: they may begin in another.
    order: Vec<CascadeHash>,
    files: Vec<Watched>,
    /// What a log was told last of each file, and when.
    told: HashMap<CascadeHash, String>,
    told_at: Instant,
}

struct Watched {
    hash: CascadeHash,
    name: String,
    history: History,
}

impl Onlooker {
    /// Looks at the files of `watch`; the user named them in this `order`. Must be called within a runtime.
    pub(super) fn new(watch: Watch, style: &Style, order: Vec<CascadeHash>) -> Self {
        let (status, style, told_at) = (style.status(), style.clone(), clock::now());
        let looker = Looker {
            watch,
            style,
            status,
            anybody: false,
            next: Some(told_at),
            order,
            files: Vec::new(),
            told: HashMap::new(),
            told_at,
        };
        Self { looker: Arc::new(Mutex::new(looker)), task: JoinSet::new() }
    }

    /// Begins to look again and again. Must be called within a runtime.
    pub(super) fn begin(&mut self) {
        self.task.spawn(look_on(Arc::clone(&self.looker)));
    }

    /// The end: nothing stays in place. Call this when the last answers have left.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn finish(mut self, all: bool, report: &Report) -> Result<(), CliError> {
        // A look that has begun ends before.
        self.task.abort_all();
        lock(&self.looker).finish(all, report)
    }
}

/// Looks again and again.
async fn look_on(looker: Arc<Mutex<Looker>>) {
    let watch = lock(&looker).watch.clone();
    loop {
        let next = lock(&looker).next;
        match next {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => watch.receiver_came().await,
        }
        lock(&looker).look();
    }
}

fn lock(looker: &Mutex<Looker>) -> MutexGuard<'_, Looker> {
    looker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Looker {
    fn look(&mut self) {
        let view = self.watch.view();
        for file in view.files.iter().filter(|file| !matches!(file.state, FileState::Fetching { .. })) {
            let number = self.files.iter().position(|watched| watched.hash == file.hash);
            let number = number.unwrap_or_else(|| {
                let (hash, name) = (file.hash, file.name.clone());
                self.files.push(Watched { hash, name, history: History::new(file.length) });
                self.files.len() - 1
            });
            if let Some(watched) = self.files.get_mut(number) {
                watched.history.look(view.uptime, view.bytes_given, file);
            }
        }
        self.status.iter_mut().for_each(|status| status.show(&view));
        let now = clock::now();
        let untold = matches!(self.style, Style::Lines) && self.tell_log(&view, now);
        let anybody = view.files.iter().any(|file| file.receivers.iter().any(|receiver| receiver.active));
        let log_at = untold.then_some(self.told_at + LINE_INTERVAL);
        // Also the last moment of the last one is seen, and that nothing is sent any more.
        let again = std::mem::replace(&mut self.anybody, anybody) || anybody || view.up_rate >= 1.0;
        self.next = if again { Some(now + LOOK) } else { log_at };
    }

    /// Tells a log what has changed, unless it was told something just now; then there is something that it was not told.
    fn tell_log(&mut self, view: &View, now: Instant) -> bool {
        let lines = view.files.iter().filter_map(|file| Some((file.hash, plain(file)?)));
        let mut changed = lines.filter(|(hash, text)| self.told.get(hash) != Some(text)).peekable();
        if now < self.told_at + LINE_INTERVAL {
            return changed.peek().is_some();
        }
        let changed: Vec<_> = changed.collect();
        for (hash, text) in changed {
            line(&text);
            self.told.insert(hash, text);
            self.told_at = now;
        }
        false
    }

    fn finish(&mut self, all: bool, report: &Report) -> Result<(), CliError> {
        self.look();
        self.status = None;
        let places: HashMap<_, _> = self.order.iter().zip(0..).collect();
        self.files.sort_by_key(|file| places.get(&file.hash).copied().unwrap_or(usize::MAX));
        let mut pictures = Vec::new();
        for Watched { name, history, .. } in &self.files {
            let verdict = Verdict::of(history);
            pictures.push(draw(history, name, &verdict_parts(&verdict)));
            if !all && verdict.known == 0 {
                continue;
            }
            if matches!(self.style, Style::Json) {
                json_line(&verdict_json(name, &verdict));
            } else {
                line(&verdict_text(name, &verdict));
            }
        }
        report.write(&pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_page_or_a_picture_and_replaces_nothing() {
        assert!(report_path("a.html").is_ok() && report_path("a/b.SVG").is_ok());
        assert!(report_path("a.png").is_err() && report_path("html").is_err());
        let folder = tempfile::tempdir().unwrap();
        let report = |name: &str| Report { report: Some(folder.path().join(name)) };
        report("a.svg").check(1).unwrap();
        report("a.svg").check(2).unwrap_err();
        report("a.html").check(2).unwrap();
        report("nowhere/a.html").check(1).unwrap_err();
        report("a.html").write(&["<svg>1</svg>".into(), "<svg>2</svg>".into()]).unwrap();
        let written = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
        assert!(written.contains("<svg>1</svg><svg>2</svg>"), "{written}");
        report("a.html").check(1).unwrap_err();
        report("a.html").write(&[]).unwrap_err();
        assert_eq!(std::fs::read_to_string(folder.path().join("a.html")).unwrap(), written);
        Report { report: None }.write(&[]).unwrap();
    }
}
