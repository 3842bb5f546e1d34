//! The links of a download: what is under way on each, and what its peer has told.
//!
//! | module | knows |
//! |---|---|
//! | [`link`] | one link |
//! | [`requests`] | its requests |
//! | [`silence`] | whether it is stalled |
//! | [`pipeline`] | its rate, and how many bytes are kept under way |
//! | [`told`] | what its peer has told of itself |
//! | [`rarity`] | how many peers have each block |
//! | [`link_ids`] | a few links |

mod link;
mod link_ids;
pub(super) mod pipeline;
mod rarity;
mod requests;
mod silence;
pub(super) mod told;

pub(super) use link::Link;
pub use link_ids::LinkId;
pub(super) use rarity::Rarity;
pub(super) use requests::Asked;

use super::earliest::Earliest;
use super::tuning::Tuning;
use crate::Time;
use alloc::vec::Vec;
use cascade_format::Block;
use core::time::Duration;
use link_ids::LinkIds;
use pipeline::Pace;

/// All links, made or being made. They are few and looked at all the time: two lists, in the order of their
/// numbers.
#[derive(Debug)]
pub(super) struct Links {
    tuning: &'static Tuning,
    ids: Vec<LinkId>,
    links: Vec<Link>,
    /// Links that may take requests; looked at by the next poll.
    ready: LinkIds,
    /// Those of them that something has happened to, and not only to others.
    fresh: LinkIds,
    next: u64,
    /// Sums that are asked for with every request: links that are made, and bytes under way on all.
    connected: usize,
    under_way: u64,
    /// See [`Links::round_trip`].
    round_trip: Duration,
}

impl Links {
    pub(super) fn new(tuning: &'static Tuning) -> Self {
        Self {
            tuning,
            ids: Vec::new(),
            links: Vec::new(),
            ready: LinkIds::default(),
            fresh: LinkIds::default(),
            next: 0,
            connected: 0,
            under_way: 0,
            round_trip: Duration::ZERO,
        }
    }

    /// A new link to `peer`, not made yet, with `marked` requests or not; links to it had this pace.
    pub(super) fn open(&mut self, now: Time, peer: usize, marked: bool, pace: Pace) -> LinkId {
        let id = LinkId(self.next);
        self.next += 1;
        // Its number is the highest.
        self.ids.push(id);
        self.links.push(Link::new(self.tuning, now, peer, marked, pace));
        id
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.get(self.ids.binary_search(&id).ok()?)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(self.ids.binary_search(&id).ok()?)
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Link> {
        let at = self.ids.binary_search(&id).ok()?;
        self.ids.remove(at);
        self.done(id);
        let link = self.links.remove(at);
        self.connected -= usize::from(link.is_connected());
        self.under_way -= link.requests.bytes();
        Some(link)
    }

    /// See [`Link::connected`].
    pub(super) fn connect(&mut self, now: Time, id: LinkId) {
        if let Ok(at) = self.ids.binary_search(&id)
            && let Some(link) = self.links.get_mut(at)
        {
            self.connected += usize::from(!link.is_connected());
            link.connected(now);
        }
    }

    /// See [`Link::requested`].
    pub(super) fn requested(&mut self, now: Time, id: LinkId, asked: Asked, usual_wait: Duration) {
        if let Some(link) = self.get_mut(id) {
            link.requested(now, asked, usual_wait);
            self.under_way += asked.length;
        }
    }

    /// See [`Link::answered`].
    pub(super) fn answered(&mut self, id: LinkId, block: Block, refused: bool) -> Option<(Asked, bool)> {
        let link = self.get_mut(id)?;
        let before = link.requests.bytes();
        let answered = link.answered(block, refused);
        let done = before - link.requests.bytes();
        self.under_way -= done;
        answered
    }

    /// Looks at all links; see [`Links::round_trip`].
    pub(super) fn look(&mut self) {
        let known = self.links.iter().map(|link| link.pipeline.round_trip()).filter(|trip| !trip.is_zero());
        self.round_trip = known.min().unwrap_or_default();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.ids.iter().copied().zip(&self.links)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.ids.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn connected(&self) -> usize {
        self.connected
    }

    /// Links that are being made, and of which it is not known what they will be asked for.
    pub(super) fn unasked(&self) -> usize {
        self.links.iter().filter(|link| !link.is_connected() && !link.was_asked()).count()
    }

    /// The link may take requests, or questions for news: something has happened to it.
    pub(super) fn wake(&mut self, link: LinkId) {
        self.ready.insert(link);
        self.fresh.insert(link);
    }

    /// These may take requests.
    pub(super) fn wake_some(&mut self, fits: impl Fn(&Link) -> bool) {
        for (id, _) in self.ids.iter().zip(&self.links).filter(|(_, link)| fits(link)) {
            self.ready.insert(*id);
        }
    }

    /// Something may be asked for that could not be asked for before.
    pub(super) fn look_for_more(&mut self) {
        for told in self.links.iter_mut().filter_map(|link| link.told.as_mut()) {
            told.exhausted = false;
        }
    }

    /// A block was given back: every link may be asked for it.
    pub(super) fn wake_all(&mut self) {
        self.look_for_more();
        self.ready.replace(self.ids.iter().copied());
    }

    /// The links that may take requests, in the order of their numbers.
    pub(super) fn ready(&self) -> &[LinkId] {
        self.ready.as_slice()
    }

    /// Keeps of the links that may take requests only those that something has happened to, and those that fit.
    pub(super) fn narrow(&mut self, fits: impl Fn(&Link) -> bool) {
        if self.fresh.len() < self.ready.len() {
            let mut ready = core::mem::take(&mut self.ready);
            ready.retain(|id| self.fresh.contains(*id) || self.get(*id).is_some_and(&fits));
            self.fresh.copy(&ready);
            self.ready = ready;
        }
    }

    /// The link has been given what it may take.
    pub(super) fn done(&mut self, link: LinkId) {
        self.ready.remove(link);
        self.fresh.remove(link);
    }

    /// Bytes that are asked for on all links together.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way
    }

    /// The shortest round trip of all links, when [`Links::look`] was called last: the others' may have
    /// waited in queues.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Bytes a second of all links together.
    pub(super) fn rate(&self) -> f64 {
        self.links.iter().map(|link| link.pipeline.rate()).sum()
    }

    /// When time alone changes something about a link.
    pub(super) fn wakeups(&self, now: Time, next: &mut Earliest) {
        self.links.iter().for_each(|link| link.wakeups(now, next));
    }
}
