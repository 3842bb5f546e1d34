//! One JSON object a line, as `docs/usage.md` describes them.

use super::{out, summary};
use crate::clock;
use crate::session::{Event, Observer, Progress, Summary};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An object about progress at most so often.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Json {
    file: String,
    hash: String,
    last_progress: Option<Instant>,
}

impl Json {
    pub(super) fn new(file: &str, hash: &str) -> Self {
        Self { file: file.to_owned(), hash: hash.to_owned(), last_progress: None }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last_progress.is_none_or(|last| last.elapsed() >= INTERVAL);
        if due {
            self.last_progress = Some(clock::now());
        }
        due
    }

    fn object(&mut self, event: Event) -> Option<Value> {
        let file = self.file.as_str();
        Some(match event {
            Event::Checking { done, total } => {
                if !self.is_due() {
                    return None;
                }
                json!({"event": "checking", "file": self.file, "bytes_done": done, "bytes_total": total})
            }
            Event::Fetching { done, total, known } => {
                if !self.is_due() {
                    return None;
                }
                json!({
                    "event": "fetching", "file": self.file, "cascade_hash": self.hash, "bytes_done": done,
                    "bytes_total": total, "peers_known": known,
                })
            }
            Event::Fetched { path, bytes } => json!({
                "event": "fetched", "file": file, "cascade_hash": self.hash, "path": path.to_string_lossy(), "bytes": bytes,
            }),
            Event::Start(progress) => json!({
                "event": "start", "file": file, "cascade_hash": self.hash, "length": progress.bytes_total,
                "blocks": progress.blocks_total, "blocks_done": progress.blocks_done,
            }),
            Event::Progress(progress) => {
                let complete = progress.blocks_done == progress.blocks_total;
                if !self.is_due() && !complete {
                    return None;
                }
                self.progress(&progress)
            }
            Event::Connected(addr) => {
                json!({"event": "peer", "file": file, "address": addr.to_string(), "state": "connected"})
            }
            Event::Dropped(addr, reason) => json!({
                "event": "peer", "file": file, "address": addr.to_string(), "state": "dropped", "reason": reason,
            }),
            Event::WrongBlock(wrong) => json!({
                "event": "wrong_block", "file": file, "address": wrong.addr.to_string(),
                "block": wrong.block.number(), "times": wrong.times,
                "again_seconds": wrong.again.map(|again| again.as_secs_f64()),
            }),
            Event::Tracker { tracker, peers } => {
                json!({"event": "tracker", "file": file, "tracker": tracker, "peers": peers})
            }
            Event::Lan { peers } => json!({"event": "lan", "file": file, "peers": peers}),
            Event::TrackerFailed { tracker, error } => {
                json!({"event": "tracker", "file": file, "tracker": tracker, "error": error})
            }
            Event::Warning(message) => json!({"event": "warning", "file": file, "message": message}),
            Event::Failed(message) => json!({"event": "error", "file": file, "message": message}),
            Event::Done(summary) => done(file, &summary),
            Event::Origin { origin, blocks_done, blocks } => {
                json!({"event": "seeding", "file": file, "blocks_done": blocks_done, "blocks": blocks, "origin": origin})
            }
            Event::Seeding { blocks_done, blocks } => {
                json!({"event": "seeding", "file": file, "blocks_done": blocks_done, "blocks": blocks})
            }
        })
    }

    fn progress(&self, progress: &Progress) -> Value {
        json!({
            "event": "progress", "file": self.file, "bytes_done": progress.bytes_done,
            "bytes_total": progress.bytes_total, "blocks_done": progress.blocks_done,
            "blocks_total": progress.blocks_total, "bytes_per_second": progress.bytes_per_second,
            "peers": progress.peers,
        })
    }
}

impl Observer for Json {
    fn event(&mut self, event: Event) {
        if let Some(object) = self.object(event) {
            out::json_line(&object);
        }
    }
}

fn done(file: &str, summary: &Summary) -> Value {
    json!({
        "event": "done", "file": file, "path": summary.path.to_string_lossy(),
        "bytes": summary.bytes, "resumed_bytes": summary.resumed_bytes,
        "taken_bytes": summary::taken_bytes(summary),
        "taken_from": summary.taken.as_ref().map(|taken| taken.from.to_string_lossy()),
        "seconds": summary.time.as_secs_f64(), "bytes_per_second": summary::speed(summary).bytes_per_second(),
        "peers_used": summary::givers_count(summary), "blocks_wrong": summary.blocks_wrong,
        "bytes_duplicate": summary.bytes_duplicate, "downlink_busy": summary.busy,
        "shares": summary::givers(summary).map(|share| {
            json!({"address": share.addr.to_string(), "bytes": share.bytes})
        }).collect::<Vec<_>>(),
        "wrong_from": summary::liars(summary).map(|share| {
            json!({"address": share.addr.to_string(), "blocks": share.wrong_blocks})
        }).collect::<Vec<_>>(),
    })
}
