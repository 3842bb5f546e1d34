//! What a connection is answered next: a block, a refusal, news, or nothing yet.

use super::answer::Answer;
use super::connection::Connection;
use super::conversation::{Conversation, Head, Waiting, behind, wanted};
use super::large;
use super::response::{Refusal, Response, judge, judge_part};
use super::socket;
use crate::catalog::{Lookup, Served};
use crate::clock;
use crate::store::Shared;
use cascade_format::Layout;
use cascade_format::extension::{Item, Marker, NEWS, metafile};
use cascade_format::peer_wire::BlockRequest;
use cascade_swarm::give::{self, Behind, Decision, Request};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a client's request is looked at while the file is opened that it is for.
const OPENING_LOOK: Duration = Duration::from_millis(2);

/// The same of a question for news of a file that is being checked again.
const NEWS_LOOK: Duration = Duration::from_secs(1);

/// What [`Connection::settle`] found.
pub(super) enum Settled {
    /// Something to send.
    Answer,
    /// No request.
    Nothing,
    /// A question for news, and no news; until then, or until it is woken.
    Parked(Instant),
    /// A block that others are given before, until then.
    Waits(Instant),
    /// A block, when its host's place at the uplink is free.
    InLine(Option<Duration>),
    /// A block, when it has come from an origin.
    Fetching,
    /// The connection is to be closed: see [`Decision::End`].
    Ends,
}

impl Connection {
    /// Decides what is answered next, and looks whether it still can be. `buffer` is for bytes of a block that must be
    /// hashed for that.
    pub(super) fn settle(&mut self, buffer: &mut [u8]) -> io::Result<Settled> {
        if self.current.as_ref().is_some_and(Answer::is_gone) {
            // A block is not finished with other bytes than those that it began with.
            if self.current.as_ref().is_some_and(Answer::has_begun) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.current = None;
        }
        if let Some(settled) = self.go_on()? {
            return Ok(settled);
        }
        if self.guest.is_some() {
            self.current = self.answer_guest();
            return Ok(if self.current.is_some() { Settled::Answer } else { Settled::Nothing });
        }
        let (response, file, head) = match self.queue.front().copied() {
            Some(request) => match self.worker.catalog.find(&request.cascade_hash) {
                Lookup::Served(served) => match self.decide(&request, &served, buffer) {
                    Ok((response, head)) => (response, Some(Arc::clone(&served.file)), head),
                    Err(waits) => {
                        self.hold_back(&waits);
                        return Ok(waits);
                    }
                },
                Lookup::Opening => {
                    self.give_place_back();
                    return Ok(Settled::Waits(clock::now() + OPENING_LOOK));
                }
                // There will be news, or the file is gone.
                Lookup::NotNow if request.block == NEWS && Marker::of(&request).is_some() => {
                    self.give_place_back();
                    return Ok(Settled::Waits(clock::now() + NEWS_LOOK));
                }
                Lookup::NotNow => (Response::Refusal(Refusal::MissingBlock), None, None),
                Lookup::Unknown => (Response::Refusal(Refusal::UnknownFile), None, None),
            },
            None if self.broken => (Response::Refusal(Refusal::BadRequest), None, None),
            None => return Ok(Settled::Nothing),
        };
        if !response.gives() {
            self.give_place_back();
        }
        // What was told once is not told again: it is decided for good.
        self.current = Some(Answer { response, file, sent: 0, settled: head.is_some(), head });
        self.fetching = None;
        Ok(if self.waits_for_origin()? { Settled::Fetching } else { Settled::Answer })
    }

    /// What is to be done about the answer under way, if it is decided for good.
    fn go_on(&mut self) -> io::Result<Option<Settled>> {
        let Some(Answer { response, file, settled: true, .. }) = &self.current else { return Ok(None) };
        if file.is_none() || !response.gives() {
            return Ok(Some(Settled::Answer));
        }
        if self.waits_for_origin()? {
            return Ok(Some(Settled::Fetching));
        }
        let refused = self.current.as_ref().is_some_and(|answer| !answer.response.gives());
        let place = if refused { Ok(()) } else { self.take_place(true) };
        Ok(Some(place.map_or_else(Settled::InLine, |()| Settled::Answer)))
    }

    /// It waits: the place at the uplink is for others meanwhile, unless it waits for that place.
    fn hold_back(&mut self, waits: &Settled) {
        match waits {
            Settled::Waits(_) => {
                self.waits_for_share = true;
                self.place.iter_mut().for_each(|place| place.hold_back());
            }
            Settled::InLine(_) => {}
            Settled::Answer | Settled::Nothing | Settled::Parked(_) | Settled::Fetching | Settled::Ends => {
                self.give_place_back();
            }
        }
    }

    /// Has the client of the tracker's protocol answered, if its request is complete, or cannot become one.
    fn answer_guest(&mut self) -> Option<Answer> {
        let (guest, guests) = (self.guest.as_deref()?, self.worker.guests.as_ref()?);
        let from = socket::client(&self.stream);
        let bytes = guests.0(guest.bytes(), self.ended, from)?;
        let head = Some(Head { bytes, sent: 0 });
        Some(Answer { response: Response::Guest, file: None, head, sent: 0, settled: true })
    }

    /// The answer to a request for `served`, with what stands in front of it for a client that knows the
    /// swarm extension; or what it waits for.
    fn decide(
        &mut self,
        request: &BlockRequest,
        served: &Arc<Served>,
        buffer: &mut [u8],
    ) -> Result<(Response, Option<Head>), Settled> {
        let file = &served.file;
        if let Some(offset) = self.part_asked(request).filter(|_| !served.is_sliced()) {
            let response = judge_part(file, offset);
            if response.gives() {
                self.take_place(false).map_err(Settled::InLine)?;
            }
            return Ok((response, None));
        }
        let marker = self.marker(request, served.layout());
        if served.is_sliced() && (marker.is_none() || file.proof().is_some()) {
            return Ok((Response::Refusal(Refusal::UnknownFile), None));
        }
        let mut response = judge(request, file, file.is_unchanged());
        if marker.is_some() && request.block == NEWS {
            response = Response::News;
        }
        if response.gives() {
            self.take_place(false).map_err(Settled::InLine)?;
        }
        // Slices are decided one by one.
        if self.granted > 0 && response != Response::News && !served.is_sliced() {
            return Ok((response, None));
        }
        let Some(wanted) = wanted(response) else { return Ok((response, None)) };
        let request = Request { wanted, marker, behind: behind(&self.queue, self.broken) };
        let waiting = self.waiting(marker.is_none());
        let conversation = Conversation::about(&mut self.conversation, &self.stream, file);
        let (response, items) = match conversation.request(served, request, waiting) {
            Decision::Wait(until) => {
                let until = served.upload.instant(until);
                return Err(if response.gives() { Settled::Waits(until) } else { Settled::Parked(until) });
            }
            Decision::Give(items) => (response, items),
            Decision::Refuse(items) => (Response::Refusal(Refusal::MissingBlock), items),
            Decision::Tell(items) => (Response::News, Some(items)),
            Decision::End => return Err(Settled::Ends),
        };
        self.waits_for_share = false;
        let (response, items) = complete(response, items, file, buffer);
        self.granted += usize::from(response.carried().is_some());
        Ok((response, items.map(|items| Head::new(response, file, &items))))
    }

    /// The offset in the `.cascade` file that is asked for, if it is that. Here a marker counts also where there is
    /// nothing to tell of blocks: no plain request has this number.
    fn part_asked(&self, request: &BlockRequest) -> Option<u32> {
        if self.worker.extension { metafile::asked(request) } else { None }
    }

    /// The marker of a request for what is divided by `layout`, if it shows one that counts.
    fn marker(&self, request: &BlockRequest, layout: &Layout) -> Option<Marker> {
        let counts = self.worker.extension && give::is_told(layout.blocks());
        if counts { Marker::of(request) } else { None }
    }

    fn waiting(&self, version_1: bool) -> Waiting {
        Waiting {
            clients: self.worker.places.busy(),
            counted: self.place.as_ref().is_some_and(|place| place.is_counted()),
            // It decides about clients of version 1 alone.
            full: version_1 && self.worker.places.is_full(),
        }
    }

    /// The answer to request `at` of the queue, which follows others of a burst; `None`: it is decided by itself.
    pub(super) fn decide_in_burst(&mut self, at: usize, file: &Arc<Shared>) -> Option<Response> {
        let request = *self.queue.get(at)?;
        if self.part_asked(&request).is_some() {
            return None;
        }
        // A file that has changed has no blocks by now.
        let response = judge(&request, file, true);
        if large::is_large(self.copy, file, response, 0) {
            return None;
        }
        if matches!(response, Response::Block(block) if !file.have().has(block)) {
            // It waits for the origin, when its turn comes.
            return None;
        }
        let marker = self.marker(&request, file.layout());
        let Some(wanted) = wanted(response).filter(|_| marker.is_none() || request.block != NEWS) else {
            return Some(response).filter(|_| request.block != NEWS);
        };
        if at >= self.granted {
            let waiting = self.waiting(marker.is_none());
            let conversation =
                self.conversation.as_mut().filter(|conversation| conversation.is_about(file))?;
            let request = Request { wanted, marker, behind: Behind::Nothing };
            if !conversation.further_request(request, waiting) {
                return None;
            }
            self.granted = at + 1;
        }
        Some(response)
    }
}

/// An answer that was decided, with the items in front of it. To those of a slice the state in front of the slice is added;
/// if it cannot be found out, the slice is refused. `buffer` is for the bytes of the block.
fn complete(
    response: Response,
    items: Option<Vec<Item>>,
    file: &Shared,
    buffer: &mut [u8],
) -> (Response, Option<Vec<Item>>) {
    let mut items = items;
    if file.proof().is_some() {
        // No slices are given where each block is hashed before it is served.
        items.iter_mut().for_each(|items| items.retain(|item| *item != Item::Slices));
    }
    let Response::Slice(slice) = response else { return (response, items) };
    match file.state_before(slice, buffer) {
        Ok(state) => {
            items.get_or_insert_default().insert(0, Item::State(state));
            (response, items)
        }
        Err(_) => {
            // Whoever checks a file below a folder that has changed hears of it now.
            let _ = file.is_unchanged();
            (Response::Refusal(Refusal::MissingBlock), items)
        }
    }
}
