//! The bound on what a process keeps of what origins have, as its files share it.
//!
//! Where a file needs room that another one has, the other one's part is taken from its blocks and from the disk before
//! anything is fetched into the room. No lock is held meanwhile but the other one's.

use super::cache::{Cache, Dropped, Part, Stretches, WHOLE};
use cascade_format::{CascadeHash, Have, Layout};
use cascade_swarm::Time;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The bound on the bytes that all files with an origin may keep on the disk together.
#[derive(Debug)]
pub struct Pool {
    bound: u64,
    alone: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache,
    /// Of the files that are awake, and of those that sleep and of which something is kept.
    numbers: HashMap<CascadeHash, u32>,
    /// By the number of the file.
    holders: HashMap<u32, Holder>,
    /// The number of the next file that is new.
    next: u32,
}

/// Who gives room back.
#[derive(Debug)]
struct Holder {
    hash: CascadeHash,
    layout: Layout,
    file: Arc<dyn Shrink>,
    /// While it is fetched.
    awake: Option<Weak<dyn Evict>>,
}

/// The file in which parts of an origin's file are kept.
pub(crate) trait Shrink: std::fmt::Debug + Send + Sync {
    /// Drops these parts, while nobody uses the file; `None`: all of it. True: nothing is left.
    fn shrink(&self, parts: Option<&[Dropped]>) -> bool;

    /// Where it is.
    fn path(&self) -> &Path;

    /// Parts are kept at `path` from now on: drops what is here, unless it is the same file or somebody else's.
    fn leave_for(&self, path: &Path);
}

/// Gives back what it keeps.
pub(crate) trait Evict: std::fmt::Debug + Send + Sync {
    /// This stretch is kept no longer: when this returns, it is not on the disk.
    fn evict(&self, stretch: u64);
}

/// The use that one file makes of a pool.
#[derive(Debug, Clone)]
pub struct Share {
    pool: Arc<Pool>,
    file: u32,
    stretches: Stretches,
}

impl Pool {
    /// A pool that keeps at most `bound` bytes. `alone` says that it is for a single file, which is then kept as a
    /// whole if it fits.
    #[must_use]
    pub fn new(bound: u64, alone: bool) -> Arc<Self> {
        let (cache, numbers, holders) = (Cache::new(bound), HashMap::new(), HashMap::new());
        let inner = Inner { cache, numbers, holders, next: 0 };
        Arc::new(Self { bound, alone, inner: Mutex::new(inner) })
    }

    /// The most bytes that are kept.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// Whether a file of `length` bytes does not fit as a whole, so that parts of it may be dropped.
    #[must_use]
    pub fn bounds(&self, length: u64) -> bool {
        !self.alone || self.bound < length
    }

    /// The smallest bound, in bytes, with which a file of this `layout` can be served.
    #[must_use]
    pub fn least(&self, layout: &Layout) -> u64 {
        Stretches::new(*layout, self.bound).largest()
    }

    /// An earlier run has left this of a file: these blocks, or `bytes` of which nobody knows what they are. What is too
    /// much is dropped. Nothing happens if this run knows the file already.
    pub(crate) fn adopt(
        &self,
        hash: CascadeHash,
        layout: Layout,
        file: Arc<dyn Shrink>,
        (have, bytes): (Option<&Have>, u64),
    ) {
        let (stretches, mut beyond) = (Stretches::new(layout, self.bound), Vec::new());
        {
            let mut inner = self.lock();
            if inner.numbers.contains_key(&hash) {
                return;
            }
            let number = inner.number(hash, layout, file);
            let parts: Vec<(u64, u64)> = match have {
                Some(have) => {
                    stretches.with(have).map(|stretch| (stretch, stretches.charge(stretch))).collect()
                }
                None => vec![(WHOLE, bytes)],
            };
            for (stretch, charge) in parts {
                let part = Part { file: number, stretch };
                if !inner.cache.restore(part, charge) {
                    inner.cache.leave(part);
                    beyond.push(part);
                }
            }
            inner.cache.sleep(number);
            inner.forget_gone(number);
        }
        self.evict(&beyond);
    }

    /// The share of a file, which is to be [closed](Share::close). `None`: something of it is being dropped.
    pub(crate) fn open(
        self: &Arc<Self>,
        hash: CascadeHash,
        layout: Layout,
        file: Arc<dyn Shrink>,
    ) -> Option<Share> {
        let (stretches, path) = (Stretches::new(layout, self.bound), file.path().to_owned());
        let (number, before) = {
            let mut inner = self.lock();
            let number = inner.number(hash, layout, Arc::clone(&file));
            if !inner.cache.wake(number) {
                return None;
            }
            (number, inner.move_to(number, file))
        };
        if let Some(before) = before {
            // Its `.cascade` file has moved: nobody finds any more what is kept there. It goes before anything comes here.
            before.leave_for(&path);
            let mut inner = self.lock();
            inner.cache.forget(number);
            inner.cache.wake(number);
        }
        Some(Share { pool: Arc::clone(self), file: number, stretches })
    }

    /// Drops parts of other files.
    pub(crate) fn evict(&self, parts: &[Part]) {
        let mut by_file: HashMap<u32, Vec<u64>> = HashMap::new();
        parts.iter().for_each(|part| by_file.entry(part.file).or_default().push(part.stretch));
        for (number, stretches) in by_file {
            let holder = {
                let inner = self.lock();
                let holder = inner.holders.get(&number);
                let awake = |holder: &Holder| holder.awake.as_ref().and_then(Weak::upgrade);
                holder.map(|holder| (Arc::clone(&holder.file), holder.layout, awake(holder)))
            };
            match holder {
                Some((.., Some(awake))) => stretches.iter().for_each(|stretch| awake.evict(*stretch)),
                Some((file, layout, None)) => self.shrink(number, (&*file, layout), &stretches),
                None => {}
            }
        }
        let mut inner = self.lock();
        parts.iter().for_each(|part| inner.cache.left(*part));
        parts.iter().for_each(|part| inner.forget_gone(part.file));
    }

    /// Drops parts of a file that sleeps.
    fn shrink(&self, number: u32, (file, layout): (&dyn Shrink, Layout), dropped: &[u64]) {
        let stretches = Stretches::new(layout, self.bound);
        let known = !dropped.contains(&WHOLE);
        let parts: Vec<Dropped> = {
            let inner = self.lock();
            let parts = dropped.iter().filter(|_| known).map(|stretch| Dropped {
                blocks: stretches.blocks(*stretch),
                hole: inner.hole(number, &stretches, *stretch),
            });
            parts.collect()
        };
        if file.shrink(known.then_some(&*parts)) {
            let mut inner = self.lock();
            inner.cache.forget(number);
            inner.cache.sleep(number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The number of a file.
    fn number(&mut self, hash: CascadeHash, layout: Layout, file: Arc<dyn Shrink>) -> u32 {
        if let Some(number) = self.numbers.get(&hash) {
            return *number;
        }
        // After four billion files one of the first may still be there.
        while self.holders.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.numbers.insert(hash, number);
        self.holders.insert(number, Holder { hash, layout, file, awake: None });
        number
    }

    /// A file is kept in `file` from now on. Gives what it was kept in before, if that is somewhere else.
    fn move_to(&mut self, number: u32, file: Arc<dyn Shrink>) -> Option<Arc<dyn Shrink>> {
        let holder = self.holders.get_mut(&number)?;
        let moved = holder.file.path() != file.path();
        let before = std::mem::replace(&mut holder.file, file);
        moved.then_some(before)
    }

    /// Forgets a file that sleeps and of which nothing is kept.
    fn forget_gone(&mut self, number: u32) {
        if self.cache.is_gone(number)
            && let Some(holder) = self.holders.remove(&number)
        {
            self.numbers.remove(&holder.hash);
            self.cache.forget(number);
        }
    }

    /// The bytes on the disk that nobody needs when `stretch` is dropped: also those of a page that it shares with a
    /// neighbour that is not kept either.
    fn hole(&self, file: u32, stretches: &Stretches, stretch: u64) -> Range<u64> {
        let blocks = stretches.blocks(stretch);
        let (bytes, pages) = (stretches.bytes(&blocks), stretches.pages(&blocks));
        let is_kept = |stretch: u64| self.cache.has(Part { file, stretch });
        let before = stretch.checked_sub(1).is_some_and(is_kept);
        let start = if before { bytes.start } else { pages.start };
        start..if is_kept(stretch + 1) { bytes.end } else { pages.end }
    }
}

impl Share {
    /// A pool for one file alone.
    #[must_use]
    pub fn alone(layout: Layout, bound: u64) -> Self {
        let pool = Pool::new(bound, true);
        Self { pool, file: 0, stretches: Stretches::new(layout, bound) }
    }

    /// What the file is divided into.
    #[must_use]
    pub fn stretches(&self) -> &Stretches {
        &self.stretches
    }

    /// The most that all files may keep together.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.pool.bound
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What is dropped for others is asked of this one from now on. Nothing was before.
    pub(crate) fn hold(&self, holder: Weak<dyn Evict>) {
        let mut inner = self.pool.lock();
        if let Some(there) = inner.holders.get_mut(&self.file) {
            there.awake = Some(holder);
        }
        inner.cache.begin(self.file);
    }

    /// The file falls asleep: what is kept of it is on the disk, and remembered.
    pub(crate) fn close(&self) {
        let mut inner = self.pool.lock();
        inner.cache.sleep(self.file);
        if let Some(there) = inner.holders.get_mut(&self.file) {
            there.awake = None;
        }
        inner.forget_gone(self.file);
    }

    /// The file is read again: nothing of it is dropped before it is told [what there is](Self::restore). False:
    /// something of it is being dropped.
    pub(super) fn wake(&self) -> bool {
        self.pool.lock().cache.wake(self.file)
    }

    /// The file holds these blocks and no others: gives the stretches of them that are too many.
    pub(super) fn restore(&self, have: &Have) -> Vec<u64> {
        let mut inner = self.pool.lock();
        inner.cache.forget(self.file);
        // Until somebody can be asked for it, nothing of it is dropped: its file is in use already.
        if inner.holders.get(&self.file).is_some_and(|there| there.awake.is_none()) {
            inner.cache.wake(self.file);
        }
        let fits = |stretch: &u64| inner.cache.restore(self.part(*stretch), self.stretches.charge(*stretch));
        let (_, beyond): (Vec<u64>, _) = self.stretches.with(have).partition(fits);
        beyond
    }

    /// See [`Cache::take_off`]: the stretches of this file that are to be dropped, and the parts of others.
    pub(super) fn take_off(&self, now: Time, stretch: u64) -> Option<(Vec<u64>, Vec<Part>)> {
        let charge = self.stretches.charge(stretch);
        let dropped = self.pool.lock().cache.take_off(now, self.part(stretch), charge)?;
        let (own, others): (Vec<Part>, _) = dropped.into_iter().partition(|part| part.file == self.file);
        Some((own.into_iter().map(|part| part.stretch).collect(), others))
    }

    /// See [`Cache::land`].
    pub(super) fn land(&self, stretch: u64) {
        self.pool.lock().cache.land(self.part(stretch));
    }

    /// See [`Cache::awaited`].
    pub(super) fn awaited(&self, now: Time, stretch: u64) {
        self.pool.lock().cache.awaited(now, self.part(stretch));
    }

    /// See [`Cache::read`].
    pub(super) fn read(&self, stretch: u64) {
        self.pool.lock().cache.read(self.part(stretch));
    }

    /// The bytes on the disk that nobody needs when `stretch` is dropped.
    pub(super) fn hole(&self, stretch: u64) -> Range<u64> {
        self.pool.lock().hole(self.file, &self.stretches, stretch)
    }

    fn part(&self, stretch: u64) -> Part {
        Part { file: self.file, stretch }
    }
}

#[cfg(test)]
mod tests;
