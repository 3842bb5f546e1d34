//! Showing what a session tells: bars to a person, lines to a log, JSON to a program.

mod bar;
mod file_bar;
mod json;
mod library;
mod line;
mod out;
mod qr;
mod room_bar;
mod row;
mod screen;
mod status;
mod summary;
mod terminal;
mod verdict;

pub(crate) use file_bar::FileBar;
pub(crate) use library::{LibraryReport, Said};
pub(crate) use out::{error, error_lines, is_incomplete, json_line, line, lines, stdout_width, warning};
pub(crate) use qr::qr;
pub(crate) use room_bar::RoomBar;
pub(crate) use status::{Status, plain};
pub(crate) use verdict::{verdict_json, verdict_parts, verdict_text};

use crate::human::Name;
use crate::session::Observer;
use cascade_swarm::Listening;
use screen::Screen;
use std::path::Path;

/// In which form to show.
#[derive(Debug, Clone)]
pub(crate) enum Style {
    /// Bars on the terminal (stderr); a summary line on stdout.
    Bars(Screen),
    /// A few lines on stdout.
    Lines,
    /// One JSON object a line on stdout (`docs/usage.md`).
    Json,
}

impl Style {
    /// The form that fits the user's wish and where the output goes.
    #[must_use]
    pub(crate) fn choose(json: bool) -> Self {
        if json {
            Self::Json
        } else if terminal::is_there() {
            Self::Bars(Screen::of_stderr())
        } else {
            Self::Lines
        }
    }

    /// Shows the events of one file; `path` is the file's, of which the last part is shown, `hash` its
    /// cascade hash.
    #[must_use]
    pub(crate) fn observer(&self, path: &Path, hash: &str) -> Box<dyn Observer> {
        let name = Path::new(path.file_name().unwrap_or(path.as_os_str()));
        match self {
            Self::Bars(screen) => Box::new(bar::Bar::new(screen, &Name(name).to_string())),
            Self::Lines => Box::new(line::Lines::new(&Name(name).to_string())),
            Self::Json => Box::new(json::Json::new(&name.to_string_lossy(), hash)),
        }
    }

    /// What stays in place on a terminal while files are given to others, if that is the form.
    #[must_use]
    pub(crate) fn status(&self) -> Option<Status> {
        match self {
            Self::Bars(screen) => Some(Status::new(screen)),
            Self::Lines | Self::Json => None,
        }
    }

    /// Tells on stderr what has failed, while other work goes on.
    pub(crate) fn error(&self, message: &str) {
        match self {
            Self::Bars(screen) => screen.above(&format!("peer: {message}")),
            Self::Lines | Self::Json => error(message),
        }
    }

    /// Tells what concerns the whole peer, and no file of its own.
    pub(crate) fn warning(&self, text: &str) {
        match self {
            Self::Bars(_) | Self::Lines => self.wrong(&format!("peer: {text}")),
            Self::Json => json_line(&serde_json::json!({"event": "warning", "message": text})),
        }
    }

    /// Tells a person, or a log, of something wrong by a whole line.
    pub(crate) fn wrong(&self, text: &str) {
        match self {
            Self::Bars(screen) => screen.above(text),
            Self::Lines | Self::Json => warning(text),
        }
    }

    /// Tells where this peer listens.
    pub(crate) fn listening(&self, listening: Listening) {
        match self {
            Self::Bars(screen) => screen.above(&format!("peer: listening on {listening}")),
            Self::Lines => line(&format!("peer: listening on {listening}")),
            Self::Json => {
                let addrs: Vec<String> = listening.addrs().iter().map(ToString::to_string).collect();
                let event = serde_json::json!({
                    "event": "listening", "address": addrs.first(), "addresses": addrs,
                });
                json_line(&event);
            }
        }
    }

    /// Tells where the page is.
    pub(crate) fn web(&self, url: &str) {
        match self {
            Self::Bars(screen) => screen.above(&format!("peer: web page: {url}")),
            Self::Lines => line(&format!("peer: web page: {url}")),
            Self::Json => json_line(&serde_json::json!({"event": "web", "url": url})),
        }
    }
}
