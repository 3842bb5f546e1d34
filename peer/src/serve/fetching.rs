//! A block that must come from an [origin](crate::origin) before it can be sent.
//!
//! It is decided as any other what is given to whom; only then is it looked whether the block is there. While it comes,
//! its client holds no place at the uplink, and its request stays at the front of its queue. When it has come, the
//! connection goes on where it was; when it does not come in time, the client is told to ask others.

use super::answer::Answer;
use super::awaited::Awaited;
use super::connection::Connection;
use super::response::{Refusal, Response};
use crate::clock;
use crate::limits::ORIGIN_PATIENCE;
use crate::origin::fetcher;
use cascade_format::{Block, CascadeHash};
use std::io;
use std::sync::Arc;

impl Connection {
    /// Whether the client must wait until the block that is to be sent has come; where it does not come, it is refused.
    ///
    /// # Errors
    /// A part of it is out, and the rest does not come.
    pub(super) fn waits_for_origin(&mut self) -> io::Result<bool> {
        let Some(Answer { response: Response::Block(block), file: Some(file), .. }) = &self.current else {
            return Ok(false);
        };
        if !file.is_fetched() {
            return Ok(false);
        }
        let (block, file) = (*block, Arc::clone(file));
        let Some(origin) = file.origin() else {
            // It was given up.
            return if file.have().has(block) { Ok(false) } else { self.does_not_come().map(|()| false) };
        };
        let now = clock::now();
        match origin.ask(block, self.next_block(file.cascade_hash())) {
            fetcher::Answer::Here => {
                self.fetching = None;
                // Not while the whole file is in doubt.
                if file.have().has(block) { Ok(false) } else { self.does_not_come().map(|()| false) }
            }
            fetcher::Answer::Wait(ticket) => {
                let until = self.fetching.as_ref().map_or(now + ORIGIN_PATIENCE, |before| before.until);
                if now >= until {
                    return self.does_not_come().map(|()| false);
                }
                self.fetching = Some(Box::new(Awaited { ticket, until }));
                if let Some(answer) = &mut self.current {
                    // It is not decided again: it keeps what it was given.
                    answer.settled = true;
                }
                Ok(true)
            }
            fetcher::Answer::No => self.does_not_come().map(|()| false),
        }
    }

    /// Waits until the block has come, or it is time to look again.
    pub(super) async fn fetched(&self) {
        if let Some(Awaited { ticket, until }) = self.fetching.as_deref() {
            let _ = tokio::time::timeout_at((*until).into(), ticket.called()).await;
        }
    }

    /// The block that the client asks for behind the one that it waits for.
    fn next_block(&self, hash: CascadeHash) -> Option<Block> {
        let next = self.queue.get(1).filter(|next| next.cascade_hash == hash)?;
        let file = self.current.as_ref()?.file.as_ref()?;
        file.layout().block(next.block)
    }

    /// The client is told to look elsewhere, if it is not too late.
    fn does_not_come(&mut self) -> io::Result<()> {
        self.fetching = None;
        let Some(Answer { file: Some(file), head, sent, .. }) = self.current.take() else { return Ok(()) };
        if sent > 0 || head.as_ref().is_some_and(|head| head.sent > 0) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let response = Response::Refusal(Refusal::MissingBlock);
        let head = head.map(|head| head.before(response, &file));
        self.give_place_back();
        self.current = Some(Answer { response, file: Some(file), head, sent: 0, settled: true });
        Ok(())
    }
}
