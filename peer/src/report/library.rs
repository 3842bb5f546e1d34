//! What a served folder tells: a few lines for a log, or JSON.

use super::line::seeding;
use super::{Style, json_line, line};
use crate::clock;
use crate::human::{Bytes, Count, Name};
use crate::library::{How, Serving, Tally, Told};
use crate::session::{Event, Observer};
use cascade_format::CascadeHash;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A line about a check at most so often.
const INTERVAL: Duration = Duration::from_secs(30);

/// Tells it.
pub(crate) struct LibraryReport {
    style: Style,
    folder: PathBuf,
    /// Each file is told of: before, those that are known from earlier runs are counted together.
    is_ready: bool,
    /// Of the files that are being downloaded.
    downloads: HashMap<CascadeHash, Box<dyn Observer>>,
    check_told_at: Instant,
}

impl LibraryReport {
    pub(crate) fn new(style: &Style, folder: &Path) -> Self {
        Self {
            style: style.clone(),
            folder: folder.to_owned(),
            is_ready: false,
            downloads: HashMap::new(),
            check_told_at: clock::now(),
        }
    }

    /// Tells this.
    pub(crate) fn tell(&mut self, told: Told) {
        match told {
            Told::Download { path, hash, event } => self.tell_download(&path, hash, event),
            Told::Problem { path, message } => {
                if matches!(self.style, Style::Json) {
                    json_line(&json!({"event": "error", "file": self.name(&path), "message": message}));
                }
                self.style.error(&message);
            }
            Told::Warning(text) => self.style.warning(&text),
            told @ (Told::Ready(_)
            | Told::Serving(_)
            | Told::Checking { .. }
            | Told::Changed { .. }
            | Told::Removed { .. }
            | Told::Tracker { .. }) => {
                self.is_ready |= matches!(told, Told::Ready(_));
                if matches!(self.style, Style::Json) {
                    self.object(&told).iter().for_each(json_line);
                } else if let Some(text) = self.text(&told) {
                    if matches!(told, Told::Tracker { error: Some(_), .. }) {
                        self.style.wrong(&text);
                    } else {
                        self.say(&text);
                    }
                }
            }
        }
    }

    /// What the command that is run for a complete file prints, or how it has ended.
    pub(crate) fn tell_command(&self, path: &Path, said: &Said) {
        let (name, json) = (self.name(path), matches!(self.style, Style::Json));
        match said {
            Said::Line(text) if json => json_line(&json!({"event": "exec", "file": name, "output": text})),
            Said::Line(text) => self.say(&format!("{}: exec: {text}", self.shown(path))),
            Said::Ended(code) if json => json_line(&json!({"event": "exec", "file": name, "code": code})),
            Said::Ended(_) => {}
            Said::Failed(error) => {
                if json {
                    json_line(&json!({"event": "exec", "file": name, "error": error}));
                }
                self.style.error(&format!("{}: the command of --exec {error}", self.shown(path)));
            }
        }
    }

    /// Tells a log how much was given in all.
    pub(crate) fn tell_given(&self, bytes: u64) {
        if matches!(self.style, Style::Lines) {
            line(&format!("peer: {} given to other peers so far", Bytes(bytes)));
        }
    }

    fn tell_download(&mut self, path: &Path, hash: CascadeHash, event: Event) {
        let is_last = matches!(event, Event::Done(_) | Event::Failed(_));
        if let Event::Failed(message) = &event {
            self.style.error(message);
        }
        let observer =
            self.downloads.entry(hash).or_insert_with(|| self.style.observer(path, &hash.to_string()));
        observer.event(event);
        if is_last {
            self.downloads.remove(&hash);
        }
    }

    fn say(&self, text: &str) {
        match &self.style {
            Style::Bars(screen) => screen.above(text),
            Style::Lines | Style::Json => line(text),
        }
    }

    /// The path below the folder.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn shown(&self, path: &Path) -> String {
        Name(path.strip_prefix(&self.folder).unwrap_or(path)).to_string()
    }

    /// As a line; `None`: it is not told.
    fn text(&mut self, told: &Told) -> Option<String> {
        Some(match told {
            Told::Ready(tally) => format!("peer: {}", ready(tally)),
            Told::Serving(Serving { how: How::Known | How::Origin, .. }) if !self.is_ready => return None,
            Told::Serving(Serving { how: How::Origin, path, .. }) => {
                format!("{}: seeding from the origin", self.shown(path))
            }
            Told::Serving(serving) => {
                seeding(&self.shown(&serving.path), serving.blocks_done, serving.blocks)
            }
            Told::Checking { path, done, total } => {
                if self.check_told_at.elapsed() < INTERVAL {
                    return None;
                }
                self.check_told_at = clock::now();
                format!("{}: checked {done} of {total} bytes", self.shown(path))
            }
            Told::Changed { path } => {
                format!("{} was changed; checking it again before serving it", self.shown(path))
            }
            Told::Removed { path, .. } => {
                format!("{} is not there any more, and not served", self.shown(path))
            }
            Told::Tracker { tracker, registered, files, error } => {
                let of = format!("tracker {tracker}: {registered} of {} registered", Count(*files, "file"));
                error.as_ref().map_or_else(|| of.clone(), |error| format!("{of}; {error}"))
            }
            Told::Download { .. } | Told::Problem { .. } | Told::Warning(_) => return None,
        })
    }

    fn object(&self, told: &Told) -> Option<Value> {
        Some(match told {
            Told::Ready(Tally { files, bytes, unchecked, missing, remote }) => json!({
                "event": "serving", "files": files, "bytes": bytes, "unchecked": unchecked, "missing": missing,
                "origin": remote,
            }),
            Told::Serving(serving) => json!({
                "event": "seeding", "file": self.name(&serving.path), "path": serving.path.to_string_lossy(),
                "cascade_hash": serving.hash.to_string(), "length": serving.length, "blocks_done": serving.blocks_done,
                "blocks": serving.blocks, "how": match serving.how {
                    How::Known => "known",
                    How::Checked => "checked",
                    How::Downloaded => "downloaded",
                    How::Origin => "origin",
                },
            }),
            Told::Checking { path, done, total } => json!({
                "event": "checking", "file": self.name(path), "bytes_done": done, "bytes_total": total,
            }),
            Told::Changed { path } => json!({
                "event": "warning", "file": self.name(path), "message": "it was changed, and is checked again",
            }),
            Told::Removed { path, hash } => {
                json!({"event": "removed", "file": self.name(path), "cascade_hash": hash.to_string()})
            }
            Told::Tracker { tracker, registered, files, error } => json!({
                "event": "registered", "tracker": tracker, "registered": registered, "files": files,
                "error": error,
            }),
            Told::Download { .. } | Told::Problem { .. } | Told::Warning(_) => return None,
        })
    }
}

/// What a command has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// A line of its output.
    Line(String),
    /// It has ended well, with this code.
    Ended(i32),
    /// It has not; why, as the end of a sentence.
    Failed(String),
}

fn ready(tally: &Tally) -> String {
    let Tally { files, bytes, unchecked, missing, remote } = *tally;
    let mut text = format!("serving {}, {}", Count(files, "file"), Bytes(bytes));
    if remote > 0 {
        text += &format!("; {} from the origin", Count(remote, "file"));
    }
    if unchecked > 0 {
        text += &format!("; {} to be checked", Count(unchecked, "file"));
    }
    if missing > 0 {
        text += &format!("; {} without data", Count(missing, "file"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_from_earlier_runs_is_counted_and_what_follows_is_told() {
        let mut report = LibraryReport::new(&Style::Lines, Path::new("/srv"));
        let serving = |how| {
            let (path, metafile) = ("/srv/a/x".into(), "/srv/a/x.cascade".into());
            let hash = CascadeHash([1; 32]);
            Told::Serving(Serving { path, metafile, hash, length: 9, blocks_done: 2, blocks: 2, how })
        };
        assert_eq!(report.text(&serving(How::Known)), None);
        assert_eq!(report.text(&serving(How::Checked)).unwrap(), "a/x: seeding, all 2 blocks verified");
        let tally = Tally { files: 2, bytes: 2048, unchecked: 1, missing: 0, remote: 0 };
        assert_eq!(
            report.text(&Told::Ready(tally)).unwrap(),
            "peer: serving 2 files, 2.0 KiB; 1 file to be checked"
        );
        report.is_ready = true;
        assert!(report.text(&serving(How::Known)).is_some());
        let object = report.object(&serving(How::Downloaded)).unwrap();
        assert_eq!((&object["file"], &object["how"]), (&json!("a/x"), &json!("downloaded")));
    }
}
