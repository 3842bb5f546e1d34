//! What a connection is answered next: a block, a refusal, news, or nothing yet.

use super::answer::Answer;
use super::connection::Connection;
use super::large;
use super::reading::{Behind, Front, Reading};
use super::verdict::{Refusal, Verdict, judge};
use crate::clock;
use crate::limits::MAX_SHARE_WAIT;
use crate::store::Shared;
use cascade_format::Block;
use cascade_format::extension::{Marker, NEWS};
use cascade_format::peer_wire::BlockRequest;
use cascade_swarm::give;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What [`Connection::settle`] found.
pub(super) enum Settled {
    /// Something to send.
    Answer,
    /// No request.
    Nothing,
    /// A question for news, and no news.
    Parked,
    /// A block that others are given before.
    Waits,
    /// A block, when its host's place at the uplink is free.
    InLine(Option<Duration>),
}

impl Connection {
    /// Decides what is answered next, and looks whether it still can be.
    pub(super) fn settle(&mut self) -> io::Result<Settled> {
        if let Some(Answer { verdict, file: Some(file), settled: true, .. }) = &self.current {
            // A block is not finished with other bytes than those that it began with.
            let gone = matches!(verdict, Verdict::Block(_)) && !file.is_unchanged();
            if gone {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let sends_block = matches!(verdict, Verdict::Block(_));
            let place = if sends_block { self.take_place(true) } else { Ok(()) };
            return Ok(place.err().unwrap_or(Settled::Answer));
        }
        if self.current.as_ref().is_some_and(|answer| answer.settled) {
            return Ok(Settled::Answer);
        }
        let (verdict, file, front) = match self.queue.front().copied() {
            Some(request) => match self.worker.catalog.get(&request.cascade_hash) {
                Some(file) => match self.decide(&request, &file) {
                    Ok((verdict, front)) => (verdict, Some(file), front),
                    Err(waits) => {
                        match waits {
                            Settled::Waits => self.hold_place_back(),
                            Settled::InLine(_) => {}
                            Settled::Answer | Settled::Nothing | Settled::Parked => self.give_place_back(),
                        }
                        return Ok(waits);
                    }
                },
                None => (Verdict::Refusal(Refusal::UnknownFile), None, None),
            },
            None if self.broken => (Verdict::Refusal(Refusal::BadRequest), None, None),
            None => return Ok(Settled::Nothing),
        };
        if !matches!(verdict, Verdict::Block(_)) {
            self.give_place_back();
        }
        // What was told once is not told again: it is decided for good.
        self.current = Some(Answer { verdict, file, sent: 0, settled: front.is_some(), front });
        Ok(Settled::Answer)
    }

    /// The answer to a request for `file`, with what stands in front of it for a client that knows the
    /// swarm extension; or what it waits for.
    fn decide(
        &mut self,
        request: &BlockRequest,
        file: &Arc<Shared>,
    ) -> Result<(Verdict, Option<Front>), Settled> {
        let verdict = judge(request, file, file.is_unchanged());
        if matches!(verdict, Verdict::Block(_)) {
            self.take_place(false)?;
        }
        let marker = self.marker(request, file);
        let Some(marker) = marker else {
            self.tell_host(file);
            let waits = matches!(verdict, Verdict::Block(block) if !self.plain_asked(file, block));
            return if waits { Err(Settled::Waits) } else { Ok((verdict, None)) };
        };
        let (behind, load) = (self.behind_first(), self.worker.places.busy());
        let others = load.saturating_sub(usize::from(self.is_busy()));
        let reading = Reading::of(&mut self.reading, &self.stream, file, marker);
        if request.block == NEWS {
            let front = reading.news(marker, behind, load).ok_or(Settled::Parked)?;
            return Ok((Verdict::News, Some(front)));
        }
        let verdict = match verdict {
            Verdict::Block(block) if !reading.asked(marker, block, others) => {
                Verdict::Refusal(Refusal::MissingBlock)
            }
            Verdict::Block(_) | Verdict::Refusal(_) | Verdict::News => verdict,
        };
        let front = reading.front(verdict, load);
        Ok((verdict, front))
    }

    /// What waits behind the first request.
    fn behind_first(&self) -> Behind {
        if self.broken || self.queue.iter().skip(1).any(|request| request.block != NEWS) {
            Behind::Requests
        } else if self.queue.len() > 1 {
            Behind::Questions
        } else {
            Behind::Nothing
        }
    }

    /// The marker of a request for `file`, if it shows one that counts.
    fn marker(&self, request: &BlockRequest, file: &Arc<Shared>) -> Option<Marker> {
        let counts = self.worker.extension && give::is_told(file.layout().blocks());
        if counts { Marker::of(request) } else { None }
    }

    /// A client that tells nothing of itself has asked for `file`.
    fn tell_host(&mut self, file: &Arc<Shared>) {
        if !std::mem::replace(&mut self.told_host, true)
            && let Ok(SocketAddr::V4(addr)) = self.stream.peer_addr()
        {
            file.bulletin().asked_from(*addr.ip());
        }
    }

    /// A client that knows only version 1 asks for `block`: whether it is given now, or after others.
    fn plain_asked(&mut self, file: &Arc<Shared>, block: Block) -> bool {
        if self.current.is_some() {
            // It was decided; the socket did not take it.
            return true;
        }
        let since = *self.waits_since.get_or_insert_with(clock::now);
        let given = file.bulletin().plain_asked(block, since.elapsed() >= MAX_SHARE_WAIT);
        if given {
            self.waits_since = None;
        }
        given
    }

    /// The answer to a further request of a burst; `None`: it must be decided by itself.
    pub(super) fn decide_in_burst(&self, request: &BlockRequest, file: &Arc<Shared>) -> Option<Verdict> {
        // A file that has changed has no blocks by now.
        let verdict = judge(request, file, true);
        if large::is_large(self.copy, file, verdict, 0) {
            return None;
        }
        let Some(reading) = self.reading.as_ref().filter(|reading| reading.reads(file)) else {
            let plain = self.marker(request, file).is_none();
            let given = |verdict: &Verdict| match verdict {
                Verdict::Block(block) => file.bulletin().plain_asked(*block, false),
                Verdict::Refusal(_) | Verdict::News => true,
            };
            return Some(verdict).filter(|verdict| plain && given(verdict));
        };
        let Some(marker) = self.marker(request, file) else { return Some(verdict) };
        if request.block == NEWS || reading.is_due(verdict) {
            return None;
        }
        let others = self.worker.places.busy().saturating_sub(usize::from(self.is_busy()));
        match verdict {
            Verdict::Block(block) => reading.asked(marker, block, others).then_some(verdict),
            Verdict::Refusal(_) | Verdict::News => Some(verdict),
        }
    }
}
