//! Which room a user asks for, and of whom.

use super::given::{self, Contacts, Given, Trackers};
use super::{CliError, LIMITS};
use crate::room::{Room, RoomError, ask, glance};
use crate::session::engine::Stop;
use cascade_format::CascadeHash;
use std::ffi::OsStr;
use std::path::Path;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// A shared file, and the trackers that may keep its room.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its name for people.
    pub(super) name: String,
    pub(super) cascade_hash: CascadeHash,
    pub(super) trackers: Vec<String>,
    /// Its length in bytes, where that is known.
    pub(super) length: Option<u64>,
}

/// What the trackers have said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What those know together that keep a room; `None`: none does.
    pub(super) room: Option<Room>,
    /// The others, and what they say.
    pub(super) failed: Vec<(String, RoomError)>,
}

impl Asked {
    /// Reads a `.cascade` file or a link.
    ///
    /// # Errors
    /// A damaged file or link; one without trackers.
    pub(super) fn read(argument: &OsStr, trackers: &Trackers) -> Result<Self, CliError> {
        match Given::read(argument)? {
            Given::File(file) => {
                let metafile = given::open(&file)?;
                let name =
                    given::file_name(&metafile.data_path().unwrap_or(file)).to_string_lossy().into_owned();
                let (cascade_hash, length) = (metafile.cascade_hash(), Some(metafile.layout().length()));
                Ok(Self { name, cascade_hash, trackers: trackers.for_file(), length })
            }
            Given::Link(link) => {
                let trackers = Contacts::of_link(&link, trackers, &[]).trackers;
                if trackers.is_empty() {
                    return Err(CliError::usage("the link names no tracker; name one with --tracker".into()));
                }
                let name = given::data_name(&link);
                Ok(Self { name, cascade_hash: link.cascade_hash(), trackers, length: link.length() })
            }
        }
    }

    /// Asks all trackers at once, for the `whole` room or its numbers.
    pub(super) async fn ask(&self, whole: bool) -> Heard {
        let mut calls = JoinSet::new();
        for tracker in &self.trackers {
            let (tracker, hash) = (tracker.clone(), self.cascade_hash);
            calls.spawn(async move {
                let said = if whole { ask(&tracker, hash).await } else { glance(&tracker, hash).await };
                (tracker, said)
            });
        }
        let mut heard = Heard::default();
        while let Some(Ok((tracker, said))) = calls.join_next().await {
            match (said, &mut heard.room) {
                (Ok(room), Some(there)) => there.add(room),
                (Ok(room), none) => *none = Some(room),
                (Err(error), _) => heard.failed.push((tracker, error)),
            }
        }
        heard
    }

    /// The name, as it is shown.
    pub(super) fn shown(&self) -> String {
        crate::human::Name(Path::new(&self.name)).to_string()
    }
}

impl Heard {
    /// Why no tracker tells anything, in one line.
    pub(super) fn why(&self) -> String {
        let all: Vec<_> =
            self.failed.iter().map(|(tracker, error)| format!("tracker {tracker}: {error}")).collect();
        all.join("; ")
    }
}

/// Where questions are asked, and how they end.
pub(super) fn runtime(ear: &super::interrupt::Ear) -> Result<(Runtime, Stop), CliError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::failed(format!("cannot start: {error}; {LIMITS}")))?;
    let stop = Stop::default();
    let stopper = stop.clone();
    ear.on_signal(move || stopper.stop());
    Ok((runtime, stop))
}
