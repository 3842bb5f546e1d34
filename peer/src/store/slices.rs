//! The slices of a file with large blocks (protocol, Slices): which are verified of blocks that are not complete yet,
//! and the states of SHA-256 in front of slices.
//!
//! The slices of a block are verified one after the other, from its end to its beginning. So of a block that is not
//! complete the first ones by their numbers are verified, and the number of known states says how many.

use super::Listener;
use cascade_format::extension::field::STATE_LEN;
use cascade_format::extension::slices;
use cascade_format::{Block, CascadeHash, Have, Layout};
use cascade_hash::Sha256Stream;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of the states of complete blocks that are kept for one file. Without the states of a block, all of it is hashed
/// for its next slice.
pub const STATES_LEN: usize = 8 << 20;

/// Bytes that are hashed in a second for slices of complete blocks while the states of as many others as possible are kept,
/// in addition to as many bytes as slices are given. Without such a bound, clients that ask for one slice
/// each of more blocks than that, and read nothing, keep all processors busy. Those that take all slices of a block pay
/// for hashing the next one.
pub const REHASHED_LEN: u64 = 64 << 20;

/// A state of SHA-256.
pub type State = [u8; STATE_LEN];

/// What a slice with the state in front of it must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It is at the end of its block: the block's hash.
    BlockHash,
    /// This state, which is in front of the slice behind it.
    State(State),
}

/// The slices of one file.
#[derive(Debug)]
pub struct Slices {
    layout: Layout,
    name: CascadeHash,
    known: Mutex<Known>,
    /// Told under the ledger's lock.
    listener: OnceLock<Arc<dyn Listener>>,
}

/// The states in front of the slices of blocks, each in the order of the numbers of the slices.
#[derive(Debug, Default)]
struct Known {
    /// Of blocks that are not complete, the verified ones.
    growing: HashMap<Block, Vec<State>>,
    /// Of complete blocks, all.
    complete: HashMap<Block, Box<[State]>>,
    /// Those blocks, the oldest first.
    order: VecDeque<Block>,
    /// While there is no room for more of them, none is hashed before then …
    rehash_at: Option<Instant>,
    /// … unless as many bytes of slices were given since others were hashed; at most [`REHASHED_LEN`].
    given: u64,
}

impl Slices {
    /// The slices of the file `hash`; `None` if its blocks are not divided.
    #[must_use]
    pub fn of(layout: &Layout, hash: &CascadeHash) -> Option<Self> {
        let (layout, name) = (layout.sliced()?, slices::name(hash));
        Some(Self { layout, name, known: Mutex::default(), listener: OnceLock::new() })
    }

    /// How the file is divided into slices.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The name by which slices are requested.
    #[must_use]
    pub fn name(&self) -> CascadeHash {
        self.name
    }

    /// Whether `slice` is verified, and its block is not complete.
    pub(super) fn has(&self, slice: Block) -> bool {
        let (block, number) = self.place(slice);
        self.lock().growing.get(&block).is_some_and(|states| number < states.len())
    }

    /// Bytes at the end of `block`, which is not complete, that are verified.
    pub(super) fn verified_len(&self, block: Block) -> u64 {
        let verified = self.lock().growing.get(&block).map_or(0, Vec::len) as u64;
        let numbers = self.layout.slices_of(block).take(usize::try_from(verified).unwrap_or(usize::MAX));
        numbers.filter_map(|number| self.layout.block(number)).map(|slice| self.layout.len_of(slice)).sum()
    }

    /// What `slice` must lead to; `None`: the slice behind it is not verified.
    pub(super) fn proof(&self, slice: Block) -> Option<Proof> {
        let Some(behind) = self.layout.verified_before(slice) else { return Some(Proof::BlockHash) };
        let (block, number) = self.place(behind);
        let known = self.lock();
        let state = known.growing.get(&block).and_then(|states| states.get(number));
        let state = state.or_else(|| known.complete.get(&block).and_then(|states| states.get(number)));
        state.copied().map(Proof::State)
    }

    /// `slice` is verified, with this state in front of it. `None`: it was before, or the slice behind it is not. Else
    /// whether its block is complete now.
    pub(super) fn verified(&self, slice: Block, state: State) -> Option<bool> {
        let (block, number) = self.place(slice);
        let mut known = self.lock();
        let states = known.growing.entry(block).or_default();
        if states.len() != number {
            return None;
        }
        states.push(state);
        Some(states.len() as u64 == count(&self.layout, block))
    }

    /// `block` is complete. Returns the slices that were not verified one by one.
    pub(super) fn completed(&self, block: Block) -> Vec<Block> {
        let verified = {
            let mut known = self.lock();
            let states = known.growing.remove(&block).unwrap_or_default();
            let verified = states.len();
            if verified as u64 == count(&self.layout, block) {
                known.keep(block, states.into());
            }
            verified
        };
        self.layout.slices_of(block).skip(verified).filter_map(|number| self.layout.block(number)).collect()
    }

    /// The state in front of `slice`, if it is known.
    pub(super) fn state(&self, slice: Block) -> Option<State> {
        let (block, number) = self.place(slice);
        let known = self.lock();
        let growing = known.growing.get(&block).and_then(|states| states.get(number));
        growing.or_else(|| known.complete.get(&block).and_then(|states| states.get(number))).copied()
    }

    /// An answer with `slice` is out to its last byte.
    pub fn gave(&self, slice: Block) {
        let mut known = self.lock();
        known.given = known.given.saturating_add(self.layout.len_of(slice)).min(REHASHED_LEN);
    }

    /// Whether `block`, of which no states are known, may be hashed now, which then happens: see [`REHASHED_LEN`].
    pub(super) fn may_hash(&self, now: Instant, block: Block) -> bool {
        let mut known = self.lock();
        if known.order.len() < most_complete(count(&self.layout, block)) {
            return true;
        }
        let len = self.layout.whole().len_of(block);
        if let Some(left) = known.given.checked_sub(len) {
            known.given = left;
            return true;
        }
        let may = known.rehash_at.is_none_or(|at| at <= now);
        if may {
            known.rehash_at = Some(now + Duration::from_secs_f64(len as f64 / REHASHED_LEN as f64));
        }
        may
    }

    /// Hashes `block`, whose bytes `read` returns from an offset in the file on, keeps its states, and returns its hash.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn hash_block(
        &self,
        block: Block,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
        buffer: &mut [u8],
    ) -> io::Result<[u8; 32]> {
        let (mut stream, mut states) = (Sha256Stream::new(), VecDeque::new());
        let numbers = self.layout.slices_of(block).rev();
        for slice in numbers.filter_map(|number| self.layout.block(number)) {
            states.push_front(stream.state().ok_or(io::ErrorKind::InvalidData)?);
            let mut range = self.layout.range(slice);
            while !range.is_empty() {
                let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(buffer.len());
                let piece = buffer
                    .get_mut(..len)
                    .filter(|piece| !piece.is_empty())
                    .ok_or(io::ErrorKind::InvalidInput)?;
                read(piece, range.start)?;
                stream.update(piece);
                range.start += len as u64;
            }
        }
        self.lock().keep(block, Vec::from(states).into());
        Ok(stream.finish())
    }

    /// Blocks were withdrawn or checked: only complete ones are known from now on, those of `have`.
    pub(super) fn restarted(&self, have: &Have, sure: bool) {
        *self.lock() = Known::default();
        if let Some(listener) = self.listener.get() {
            listener.restarted(&Have::of_slices(&self.layout, have), sure);
        }
    }

    /// Tells the listener of slices that are verified since now.
    pub(super) fn tell(&self, slices: &[Block]) {
        if let Some(listener) = self.listener.get() {
            slices.iter().for_each(|slice| listener.published(*slice));
        }
    }

    pub(super) fn set_listener(&self, listener: Arc<dyn Listener>) {
        let _ = self.listener.set(listener);
    }

    /// The slices that are there, if the blocks of `have` are.
    pub(super) fn snapshot(&self, have: &Have) -> Have {
        let mut slices = Have::of_slices(&self.layout, have);
        for (block, states) in &self.lock().growing {
            let numbers = self.layout.slices_of(*block).take(states.len());
            numbers.filter_map(|number| self.layout.block(number)).for_each(|slice| {
                slices.insert(slice);
            });
        }
        slices
    }

    /// The block of `slice`, and its place among the slices of it.
    fn place(&self, slice: Block) -> (Block, usize) {
        let number = slice.number() % self.layout.slices_a_block();
        (self.layout.block_of(slice), usize::try_from(number).unwrap_or(usize::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, block: Block, states: Box<[State]>) {
        let most = most_complete(states.len() as u64);
        if self.complete.insert(block, states).is_none() {
            self.order.push_back(block);
        }
        while self.order.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.complete.remove(&oldest);
        }
    }
}

/// Number of complete blocks of `slices` slices whose states are kept.
fn most_complete(slices: u64) -> usize {
    STATES_LEN / (usize::try_from(slices).unwrap_or(usize::MAX).max(1).saturating_mul(STATE_LEN))
}

/// Number of slices of `block`.
fn count(layout: &Layout, block: Block) -> u64 {
    let slices = layout.slices_of(block);
    slices.end - slices.start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Slices, Vec<u8>) {
        let bytes: Vec<u8> =
            (0..(2u32 << 18) + 70_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let layout = Layout::new(bytes.len() as u64, 256 << 10).unwrap();
        (Slices::of(&layout, &CascadeHash([1; 32])).unwrap(), bytes)
    }

    fn read(bytes: &[u8]) -> impl FnMut(&mut [u8], u64) -> io::Result<()> {
        |to, at| {
            let at = usize::try_from(at).unwrap();
            to.copy_from_slice(&bytes[at..at + to.len()]);
            Ok(())
        }
    }

    #[test]
    fn each_slice_and_the_state_in_front_of_it_lead_to_what_is_known() {
        let (giver, bytes) = sample();
        let (taker, _) = sample();
        let layout = *giver.layout();
        for block in layout.whole().iter() {
            let hash = giver.hash_block(block, read(&bytes), &mut [0; 10_000]).unwrap();
            for slice in layout.slices_of(block).map(|number| layout.block(number).unwrap()) {
                assert!(!taker.has(slice));
                let state = giver.state(slice).unwrap();
                let mut stream = Sha256Stream::resumed(state, layout.offset_in_block(slice)).unwrap();
                let range = layout.range(slice);
                stream.update(
                    &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
                );
                match taker.proof(slice).unwrap() {
                    Proof::BlockHash => assert_eq!(stream.finish(), hash),
                    Proof::State(state) => assert_eq!(stream.state().unwrap(), state),
                }
                let last = slice.number() + 1 == layout.slices_of(block).end;
                assert_eq!(taker.verified(slice, state), Some(last));
                assert_eq!(taker.verified(slice, state), None);
            }
            assert_eq!(taker.verified_len(block), layout.whole().len_of(block));
            assert_eq!(taker.completed(block), []);
        }
        assert_eq!(taker.state(layout.block(1).unwrap()), giver.state(layout.block(1).unwrap()));
    }

    #[test]
    fn a_slice_is_verified_only_after_the_one_behind_it() {
        let (slices, _) = sample();
        let [first, second] = [0, 1].map(|number| slices.layout().block(number).unwrap());
        assert_eq!((slices.proof(second), slices.verified(second, [2; 32])), (None, None));
        assert_eq!(slices.verified(first, [1; 32]), Some(false));
        assert_eq!(slices.proof(second), Some(Proof::State([1; 32])));
        let block = slices.layout().block_of(first);
        // What is known of the states of a block that is not there makes none of its slices be there.
        slices.lock().keep(block, [[1; 32]; 4].into());
        assert!(slices.proof(slices.layout().block(3).unwrap()).is_some());
        assert_eq!(slices.verified(slices.layout().block(3).unwrap(), [4; 32]), None);
        assert!(!slices.has(slices.layout().block(3).unwrap()));
        assert_eq!((slices.verified_len(block), slices.completed(block).len()), (64 << 10, 3));
        slices.verified(slices.layout().block(4).unwrap(), [1; 32]).unwrap();
        slices.restarted(&Have::none(&slices.layout().whole()), false);
        assert!(!slices.has(slices.layout().block(4).unwrap()));
    }

    #[test]
    fn the_states_that_are_kept_are_bounded() {
        let layout = Layout::new(1 << 40, 16 << 20).unwrap();
        let slices = Slices::of(&layout, &CascadeHash([1; 32])).unwrap();
        for block in layout.iter().take(10_000) {
            slices.lock().keep(block, vec![[0; STATE_LEN]; 64].into());
        }
        let known = slices.lock();
        assert_eq!((known.complete.len(), known.order.len()), (4096, 4096));
    }

    #[test]
    fn blocks_are_hashed_again_at_a_bounded_rate() {
        let layout = Layout::new(1 << 39, 16 << 20).unwrap();
        let slices = Slices::of(&layout, &CascadeHash([1; 32])).unwrap();
        let (now, block) = (crate::clock::now(), |number| layout.block(number).unwrap());
        for number in 0..4096 {
            assert!(slices.may_hash(now, block(number)), "there is room for {number}");
            slices.lock().keep(block(number), vec![[0; STATE_LEN]; 64].into());
        }
        // 64 MiB a second are four blocks.
        assert!(slices.may_hash(now, block(5000)));
        let after = |ms| now + Duration::from_millis(ms);
        assert!(!slices.may_hash(now, block(5001)) && !slices.may_hash(after(249), block(5001)));
        let asked: Vec<_> = (251..1250).filter(|ms| slices.may_hash(after(*ms), block(5001))).collect();
        assert_eq!(asked.len(), 4, "{asked:?}");
    }

    #[test]
    fn who_takes_all_slices_of_a_block_pays_for_the_next_one() {
        let layout = Layout::new(1 << 39, 16 << 20).unwrap();
        let slices = Slices::of(&layout, &CascadeHash([1; 32])).unwrap();
        let (now, block) = (crate::clock::now(), |number| layout.block(number).unwrap());
        let keep = |number| slices.lock().keep(block(number), vec![[0; STATE_LEN]; 64].into());
        (0..4096).for_each(keep);
        assert!(slices.may_hash(now, block(5000)), "the first one is due");
        for number in 5000..5100 {
            keep(number);
            let mut numbers = slices.layout().slices_of(block(number));
            let last = numbers.next_back().unwrap();
            numbers.for_each(|slice| slices.gave(slices.layout().block(slice).unwrap()));
            assert!(!slices.may_hash(now, block(number + 1)), "a slice of {number} is left");
            slices.gave(slices.layout().block(last).unwrap());
            assert!(slices.may_hash(now, block(number + 1)), "all of {number} was given");
        }
        // What was given long ago does not pay for more than a second of hashing.
        let first = slices.layout().slices_of(block(5000)).start;
        (0..10_000).for_each(|_| slices.gave(slices.layout().block(first).unwrap()));
        assert_eq!((5101..6000).filter(|number| slices.may_hash(now, block(*number))).count(), 4);
    }
}
