//! Hearing of others who open and close a file, where the system tells (inotify).
//!
//! An opening is told before the program that opens can write, and every closing says whether the file was open
//! for writing. What is not told: a write through a descriptor that was open before this watch began, and
//! what another machine does to a network file system. Without a watch (no such call, or the user's watches
//! are used up) the stamps alone must do.

use super::own_writes::OwnWrites;
use std::fs::File;

/// The system's messages about one file.
#[derive(Debug)]
pub struct Watch {
    #[cfg(target_os = "linux")]
    messages: rustix::fd::OwnedFd,
}

/// Bytes of messages that are read at once: a message has 16.
#[cfg(target_os = "linux")]
const MESSAGES_LEN: usize = 1024;

impl Watch {
    /// Begins to listen. `None`: this system does not tell.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn of(file: &File) -> Option<Self> {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        use std::os::fd::AsRawFd;
        let messages = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        // The very file, whatever has its name by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let wanted = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
        add_watch(&messages, path, wanted).ok()?;
        Some(Self { messages })
    }

    /// The portable answer.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn of(_: &File) -> Option<Self> {
        None
    }

    /// Takes in what was told since the last time. Never waits.
    #[cfg(target_os = "linux")]
    pub fn listen(&self, own: &mut OwnWrites) {
        use rustix::fs::inotify::{ReadFlags, Reader};
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; MESSAGES_LEN];
        let mut reader = Reader::new(&self.messages, &mut buffer);
        while let Ok(message) = reader.next() {
            let what = message.events();
            if what.contains(ReadFlags::OPEN) {
                own.opened();
            }
            if what.contains(ReadFlags::CLOSE_NOWRITE) {
                own.closed(false);
            }
            // Messages that were lost may have said so.
            if what.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::QUEUE_OVERFLOW) {
                own.closed(true);
            }
        }
    }

    /// There is nothing to take in.
    #[cfg(not(target_os = "linux"))]
    pub fn listen(&self, _: &mut OwnWrites) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::ground::Stamp;
    use std::fs;

    #[test]
    fn readers_and_writers_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let file = File::create(&path).unwrap();
        let Some(watch) = Watch::of(&file) else {
            eprintln!("skipped: no inotify here");
            return;
        };
        let mut own = OwnWrites::default();
        own.guard(Stamp::of(&file).unwrap());
        let reader = File::open(&path).unwrap();
        watch.listen(&mut own);
        assert!(own.has_company() && own.is_ours());
        drop(reader);
        watch.listen(&mut own);
        assert!(!own.has_company() && own.is_ours());
        // Our own descriptor and its copies are not told of.
        drop(file.try_clone().unwrap());
        watch.listen(&mut own);
        assert!(own.is_ours());
        drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
        watch.listen(&mut own);
        assert!(!own.has_company() && !own.is_ours());
    }
}
