//! What answers, and the ends of links, change in what is known.

use super::action::{Action, Ended, Outcome};
use super::assignment::lack_lasts;
use super::known::Known;
use super::links::{Asked, Link, LinkId};
use super::news;
use super::report::Totals;
use super::wrong::Wrong;
use crate::Time;
use alloc::vec::Vec;
use cascade_format::peer_wire::Status;

/// Sums, and what came wrong.
#[derive(Debug, Default)]
pub(super) struct Answers {
    totals: Totals,
    pub(super) wrong: Wrong,
}

impl Answers {
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// `bytes` arrived on the link, and with them became of the blocks what `outcomes` says.
    pub(super) fn received(
        &mut self,
        known: &mut Known,
        now: Time,
        link: LinkId,
        bytes: u64,
        outcomes: &[Outcome],
    ) -> Vec<Action> {
        known.flow.received.add(now, bytes);
        if let Some(state) = known.links.get_mut(link) {
            if let Some(waited) = state.received(now, bytes) {
                // Where everybody waits in queues, a silence is nothing special.
                known.flow.usual_wait = (known.flow.usual_wait * 7 + waited) / 8;
            }
            if state.silence.is_progress(now) {
                known.flow.last_progress = now;
            }
        }
        let mut actions = Vec::new();
        for outcome in outcomes {
            actions.extend(self.outcome(known, now, link, *outcome));
        }
        known.links.wake(link);
        known.blocks.assert_disjoint();
        actions
    }

    fn outcome(&mut self, known: &mut Known, now: Time, link: LinkId, outcome: Outcome) -> Option<Action> {
        let (Outcome::Verified(block)
        | Outcome::VerifiedWhole(block)
        | Outcome::Corrupt(block)
        | Outcome::Discarded(block)
        | Outcome::Refused(block, _)) = outcome
        else {
            return answer_without_block(known, now, link);
        };
        let whole = matches!(outcome, Outcome::VerifiedWhole(_));
        let answered = known.links.answered(link, block, matches!(outcome, Outcome::Refused(..)));
        let (asked, wanted) = answered.unwrap_or_else(|| (known.asked(block, !whole), false));
        let length = asked.length;
        let Some(state) = known.links.get_mut(link) else {
            // The link was closed while its last blocks were hashed. A published block is had all the
            // same; the rest has been given back already.
            if matches!(outcome, Outcome::Verified(_) | Outcome::VerifiedWhole(_)) {
                self.totals.verified(known.blocks.verify(block, whole));
            }
            return None;
        };
        known.refill = true;
        if matches!(outcome, Outcome::Verified(_) | Outcome::VerifiedWhole(_)) {
            state.gave(length);
        }
        let (number, keeps_open) = (state.peer, state.answers() > 1);
        // Others on its host may be tried now.
        known.changed |= known.peers.spoke(number);
        let peer = known.peers.get_mut(number);
        if keeps_open {
            peer.habits.keeps_open();
        }
        let mut action = None;
        match outcome {
            Outcome::Verified(_) | Outcome::VerifiedWhole(_) => {
                peer.delivered(length);
                self.verified(known, now, asked);
                return None;
            }
            Outcome::Discarded(_) => {
                known.changed = true;
                self.totals.duplicate(length);
            }
            Outcome::Corrupt(_) => {
                self.totals.corrupt();
                action = known.close(link);
                let noted = known.blocks.noted_as(block, asked.whole);
                self.wrong.handle(known, now, number, noted);
            }
            Outcome::Refused(_, status) => action = refused(known, now, link, asked, status),
            Outcome::Told => {}
        }
        if wanted && known.blocks.give_back(block, link, asked.whole) {
            known.links.wake_all();
        }
        action
    }

    fn verified(&mut self, known: &mut Known, now: Time, asked: Asked) {
        (known.flow.last_verified, known.flow.last_progress) = (now, now);
        self.wrong.right();
        let new = known.blocks.verify(asked.block, asked.whole);
        if known.blocks.are_sliced() {
            // The next slice of the block can be verified now, whoever gives it.
            known.links.look_for_more();
        }
        self.totals.verified(new);
        self.totals.duplicate(asked.length.saturating_sub(new));
    }

    /// The link has ended, and everything that arrived on it has been told.
    pub(super) fn closed(
        &mut self,
        known: &mut Known,
        now: Time,
        link: LinkId,
        ended: Ended,
    ) -> Option<Action> {
        known.changed = true;
        let owed = known.links.get(link).and_then(|state| state.requests.owed());
        if let (Ended::Refused(status), Some(block)) = (ended, owed) {
            let action = self.outcome(known, now, link, Outcome::Refused(block, status));
            if action.is_some() {
                return action;
            }
        }
        let state = known.remove(link)?;
        judge_end(known, now, &state, ended);
        None
    }
}

/// The answer to a question for news has ended, or to one that only shows whether a peer speaks the protocol.
fn answer_without_block(known: &mut Known, now: Time, link: LinkId) -> Option<Action> {
    let state = known.links.get(link)?;
    let (peer, probed) = (state.peer, state.is_probed());
    known.changed |= known.peers.spoke(peer);
    if probed {
        // It may close now, or not: a new link begins with a request that counts.
        return known.close(link);
    }
    news::end_answer(known, now, link);
    None
}

fn refused(known: &mut Known, now: Time, link: LinkId, asked: Asked, status: Status) -> Option<Action> {
    let block = known.blocks.noted_as(asked.block, asked.whole);
    let slice_of = known.is_sliced(asked).then(|| known.blocks.layout().block_of(block));
    let believed = lack_lasts(known, link, block);
    let state = known.links.get_mut(link)?;
    let pipelined = state.requests.were_pipelined();
    let peer = known.peers.get_mut(state.peer);
    match status {
        // It has the block, as it said, and cannot give it now.
        Status::MissingBlock if state.is_busy_elsewhere(now, block, slice_of) => return None,
        Status::MissingBlock => {
            known.changed = true;
            peer.refusals.add(now, block, believed);
            return None;
        }
        // It may take nothing but zeros in the reserved bytes: it is asked so, at once and without blame.
        Status::BadRequest if !pipelined && state.is_marked() && peer.habits.refused_marked() => {}
        // Such a peer reads a request with one recv: one at a time with it, without blame.
        Status::BadRequest if pipelined => peer.habits.one_at_a_time(),
        Status::UnknownFile | Status::Block => peer.useless(now),
        Status::NoSuchBlock | Status::BadRequest | Status::Other(_) => {
            if !pipelined && !state.is_marked() {
                peer.habits.refused_marked();
            }
            peer.failed(now);
        }
    }
    known.close(link)
}

/// What the end of a link shows of its peer.
fn judge_end(known: &mut Known, now: Time, state: &Link, ended: Ended) {
    let peer = known.peers.get_mut(state.peer);
    let heard = state.told.as_ref().map(|told| told.heard);
    if heard == Some(false) {
        // It was said to know the extension, and does not.
        peer.set_extended(false);
    }
    // To close after an answer is a habit of version 1; one that tells, gives nothing and closes would be
    // asked again and again.
    let closes = state.answers() > 0 && (state.has_given() || heard != Some(true));
    match ended {
        Ended::Own => peer.banned(),
        Ended::NoWay => peer.is_out_of_reach(now),
        Ended::Lied if heard == Some(true) => peer.banned(),
        Ended::Lied => peer.garbled(now),
        Ended::Between if closes => peer.habits.closed_after(state.answers()),
        Ended::Unreachable | Ended::Between | Ended::Cut | Ended::Refused(_) => peer.failed(now),
    }
}
