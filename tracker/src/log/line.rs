//! An event as a line.

use cascade_format::text;
use std::fmt::{Debug, Write};
use std::os::fd::AsFd;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The message, for people
    Text,
    /// The same with its priority before it, as journald reads it: <4>
    Journal,
    /// An object with time, level, target, message and the event's fields
    Json,
}

/// Whether what is written to `out` goes to systemd's journal, which systemd says in `JOURNAL_STREAM`. There a line may begin
/// with its priority, such as `<4>`.
#[must_use]
pub fn is_journal(out: impl AsFd) -> bool {
    let journal = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(out).is_ok_and(|stat| {
        let (device, inode) = (stat.st_dev, stat.st_ino);
        journal == format!("{device}:{inode}")
    })
}

/// The message and the other fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.others.push((field.name(), json_text(&format!("{value:?}"))));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.others.push((field.name(), json_text(value)));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.to_string()));
    }
}

impl Format {
    /// That of a log on `out`, where nobody chooses.
    #[must_use]
    pub fn usual(out: impl AsFd) -> Self {
        if is_journal(out) { Self::Journal } else { Self::Text }
    }

    /// The line of an event, with its end.
    pub(super) fn line(self, event: &Event<'_>) -> Vec<u8> {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        self.make(level, target, &fields.message, &fields.others)
    }

    /// The line that says what is not in the log.
    pub(super) fn loss(self, lost: u64, message: &str) -> Vec<u8> {
        self.make(Level::WARN, module_path!(), message, &[("lines", lost.to_string())])
    }

    fn make(self, level: Level, target: &str, message: &str, fields: &[(&str, String)]) -> Vec<u8> {
        let mut line = match self {
            Self::Text if level > Level::INFO => {
                format!("tracker: {}: {}", name(level), text::line(message))
            }
            Self::Text => format!("tracker: {}", text::line(message)),
            Self::Journal => format!("<{}>tracker: {}", priority(level), text::line(message)),
            Self::Json => {
                let (level, target) = (json_text(name(level)), json_text(target));
                let (time, message) = (json_text(&now()), json_text(&text::line(message)));
                let head =
                    format!("{{\"time\":{time},\"level\":{level},\"target\":{target},\"message\":{message}");
                let fields = fields.iter().map(|(name, value)| format!(",{}:{value}", json_text(name)));
                head + &fields.collect::<String>() + "}"
            }
        };
        line.push('\n');
        line.into_bytes()
    }
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The priorities of syslog.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The wall clock's time as RFC 3339 writes it.
fn now() -> String {
    let mut time = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// A string of JSON, in which what may not be shown is escaped.
fn json_text(text: &str) -> String {
    let plain = serde_json::Value::from(text).to_string();
    let mut shown = String::with_capacity(plain.len());
    for c in plain.chars() {
        if text::is_shown(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn each_level_has_its_line() {
        let line = |level| String::from_utf8(Format::Text.make(level, "x", "all is well", &[])).unwrap();
        assert_eq!([Level::ERROR, Level::WARN, Level::INFO].map(line), ["tracker: all is well\n"; 3]);
        assert_eq!(line(Level::DEBUG), "tracker: debug: all is well\n");
        let journal = Format::Journal.make(Level::WARN, "x", "all is well", &[]);
        assert_eq!(journal, b"<4>tracker: all is well\n");
    }

    #[test]
    fn nothing_ends_a_line_or_plays_with_a_terminal() {
        let evil = "a\nb\u{1b}[2J\u{202e}\"\\";
        let line = String::from_utf8(Format::Text.make(Level::INFO, "x", evil, &[])).unwrap();
        assert_eq!(line, "tracker: a\\u{a}b\\u{1b}[2J\\u{202e}\"\\\n");
        let fields = [("peer", json_text(evil)), ("count", "7".to_owned())];
        let line = String::from_utf8(Format::Json.make(Level::WARN, "x", "it", &fields)).unwrap();
        assert!(line.ends_with('\n') && line.trim_end().chars().all(text::is_shown), "{line}");
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((object["peer"].as_str(), object["count"].as_u64()), (Some(evil), Some(7)));
        assert_eq!((object["level"].as_str(), object["message"].as_str()), (Some("warn"), Some("it")));
        // Such as 2026-11-26T08:24:00.123456Z.
        let time = object["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    }
}
