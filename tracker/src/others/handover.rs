//! Between the tracker's thread and the store's: bounded queues, and a way to wake each side. Neither waits for the other.

use super::{Change, Fate, Fetched, Wanted};
use crate::waken::Waken;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Changes that wait for the store's thread, some 6 MiB. Of more registrations the registry knows, of more goodbyes nobody.
pub(crate) const MAX_CHANGES: usize = 1 << 16;

/// Files that wait to be looked up by the store's thread.
pub(crate) const MAX_WANTED: usize = 4096;

/// Files that were looked up and wait for the tracker's thread.
pub(crate) const MAX_FETCHED: usize = 1024;

/// What goes from the tracker to the store.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// What has changed.
    pub(crate) changes: Vec<Change>,
    /// What is to be looked up.
    pub(crate) wanted: Vec<Wanted>,
    /// Registrations had no room.
    pub(crate) missed: bool,
    /// So many goodbyes had no room.
    pub(crate) lost_goodbyes: u64,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    fetched: Mutex<Vec<Fetched>>,
    /// Whether the store answers.
    answers: AtomicBool,
    for_store: Notify,
    for_tracker: OnceLock<Arc<Waken>>,
}

/// One side's hold on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handover(Arc<Shared>);

impl Handover {
    /// The tracker runs, and is woken by this.
    pub(crate) fn attach(&self, waken: Arc<Waken>) {
        let _ = self.0.for_tracker.set(waken);
    }

    /// The tracker gives what has come together, and empties it.
    pub(crate) fn give(&self, changes: &mut Vec<Change>, wanted: &mut Vec<Wanted>) {
        if changes.is_empty() && wanted.is_empty() {
            return;
        }
        let mut inbox = lock(&self.0.inbox);
        for change in changes.drain(..) {
            match change.fate {
                _ if inbox.changes.len() < MAX_CHANGES => inbox.changes.push(change),
                Fate::Here { .. } => inbox.missed = true,
                Fate::Left => inbox.lost_goodbyes += 1,
            }
        }
        let room = MAX_WANTED.saturating_sub(inbox.wanted.len()).min(wanted.len());
        inbox.wanted.extend(wanted.drain(..room));
        wanted.clear();
        drop(inbox);
        self.0.for_store.notify_one();
    }

    /// The store's thread takes it.
    pub(crate) fn take(&self) -> Inbox {
        std::mem::take(&mut *lock(&self.0.inbox))
    }

    /// Ready when there is something to be taken.
    pub(crate) async fn given(&self) {
        self.0.for_store.notified().await;
    }

    /// The store's thread gives what it has looked up.
    pub(crate) fn answer(&self, answers: Vec<Fetched>) {
        let mut fetched = lock(&self.0.fetched);
        let room = MAX_FETCHED.saturating_sub(fetched.len());
        fetched.extend(answers.into_iter().take(room));
        drop(fetched);
        if let Some(waken) = self.0.for_tracker.get() {
            waken.wake();
        }
    }

    /// The tracker takes that.
    pub(crate) fn take_answers(&self) -> Vec<Fetched> {
        std::mem::take(&mut *lock(&self.0.fetched))
    }

    /// Says whether the store answers.
    pub(crate) fn set_answers(&self, answers: bool) {
        self.0.answers.store(answers, Ordering::Relaxed);
    }

    /// Whether it does.
    pub(crate) fn answers(&self) -> bool {
        self.0.answers.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::others::Record;
    use crate::registry::Source;
    use cascade_format::CascadeHash;
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn what_has_no_room_is_told_of_and_who_waits_is_woken() {
        let handover = Handover::default();
        let change = |n: u32, fate| {
            let addr = SocketAddrV4::new(Ipv4Addr::from_bits(n), 1).into();
            Change {
                record: Record { file: CascadeHash([1; 32]), source: Source::of([1, 1, 1, 1].into()), addr },
                fate,
                at: 1,
            }
        };
        let mut changes: Vec<_> =
            (0..u32::try_from(MAX_CHANGES).unwrap()).map(|n| change(n, Fate::Left)).collect();
        let wanted = |n| Wanted { file: CascadeHash([n; 32]), since: 0 };
        handover
            .give(&mut changes, &mut (0..=255).flat_map(|n| std::iter::repeat_n(wanted(n), 20)).collect());
        assert_eq!(changes, []);
        let more = [change(1, Fate::Left), change(2, Fate::Here { good: false })];
        handover.give(&mut more.to_vec(), &mut vec![wanted(1)]);
        let inbox = handover.take();
        assert_eq!((inbox.changes.len(), inbox.wanted.len()), (MAX_CHANGES, MAX_WANTED));
        assert_eq!((inbox.missed, inbox.lost_goodbyes), (true, 1));
        assert_eq!(handover.take().changes, []);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(handover.given());
        let fetched = Fetched {
            file: CascadeHash([1; 32]),
            v4: Default::default(),
            v6: Default::default(),
            left: vec![],
        };
        (0..2000).for_each(|_| handover.answer(vec![fetched.clone()]));
        assert_eq!((handover.take_answers().len(), handover.take_answers().len()), (MAX_FETCHED, 0));
    }
}
