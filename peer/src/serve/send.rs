//! Sending the answers of a connection.

use super::answer::Answer;
use super::burst::Burst;
use super::connection::Connection;
use super::conversation::Head;
use super::large;
use super::proof::Proof;
use super::response::{Refusal, Response};
use super::segment::Segment;
use super::socket::{self, Took};
use super::thread::Scratch;
use crate::store::Shared;
use cascade_format::peer_wire::RESPONSE_HEADER_LEN;
use std::io;
use std::sync::Arc;

impl Connection {
    /// Sends some of what is to be sent, in the way that suits it.
    pub(super) fn send(&mut self, scratch: &mut Scratch, left: usize) -> io::Result<Took> {
        let Some(Answer { response, file, sent, head, .. }) = self.current.take() else {
            return Ok(Took { bytes: 0, full: false });
        };
        if let Some(head) = head {
            return self.send_head(response, file, head);
        }
        match (response, file) {
            (_, Some(file)) if large::is_large(self.copy, &file, response, sent) => {
                self.send_large(response, file, sent, left)
            }
            (_, Some(file)) => self.send_burst(response, file, sent, scratch),
            (Response::Refusal(refusal), None) => self.send_refusal(refusal, sent),
            (
                Response::Block(_)
                | Response::Slice(_)
                | Response::Part { .. }
                | Response::News
                | Response::Guest,
                None,
            ) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends more of a block or a slice from the page cache.
    fn send_large(
        &mut self,
        response: Response,
        file: Arc<Shared>,
        sent: u64,
        left: usize,
    ) -> io::Result<Took> {
        // Of an answer with a head the header is out already.
        if sent <= RESPONSE_HEADER_LEN as u64 {
            large::read_ahead(&file, self.queue.get(1));
        }
        let large::Sent { took, copy } =
            large::send(&self.stream, &file, response, sent, (self.call_len(), left))?;
        self.copy |= copy;
        let given = body_len(sent, sent + took.bytes as u64);
        let sent = sent + took.bytes as u64;
        let done = sent == response.answer_len(&file);
        self.worker.stats.add_sent(took.bytes, u64::from(done && matches!(response, Response::Block(_))));
        self.gave(&file, given);
        if done {
            self.answered(response);
        } else {
            self.remember(response, file, sent);
        }
        Ok(took)
    }

    /// Sends what stands in front of an answer; the rest follows as if its header had been sent.
    fn send_head(
        &mut self,
        response: Response,
        file: Option<Arc<Shared>>,
        mut head: Head,
    ) -> io::Result<Took> {
        let alone = matches!(response, Response::News | Response::Guest);
        let rest = head.bytes.get(head.sent..).unwrap_or_default();
        let rest = rest.get(..self.promised()).unwrap_or(rest);
        let took =
            if alone { socket::send(&self.stream, rest)? } else { socket::send_more(&self.stream, rest)? };
        self.worker.stats.add_sent(took.bytes, 0);
        head.sent += took.bytes;
        let (sent, head) = if head.sent < head.bytes.len() {
            (0, Some(head))
        } else if alone {
            self.answered(response);
            return Ok(took);
        } else {
            (RESPONSE_HEADER_LEN as u64, None)
        };
        self.current = Some(Answer { response, file, head, sent, settled: true });
        Ok(took)
    }

    /// Sends this answer and the next ones of the same file with one call.
    fn send_burst(
        &mut self,
        response: Response,
        file: Arc<Shared>,
        sent: u64,
        scratch: &mut Scratch,
    ) -> io::Result<Took> {
        let mut size = self.burst.next().min(self.call_len());
        if file.proof().is_some() {
            // A block that fits is hashed before any of it leaves.
            let rest = response.answer_len(&file).saturating_sub(sent);
            size = size.max(usize::try_from(rest).unwrap_or(usize::MAX).min(scratch.burst.len()));
        }
        let out = scratch.burst.get_mut(..size).unwrap_or_default();
        let proof = self.proof.take();
        let mut burst = Burst::new(&file, out, &mut scratch.segments).after(proof.as_deref());
        let mut open = burst.push(response, sent) && !response.closes();
        // What follows a slice has a head of its own.
        open &= !matches!(response, Response::Slice(_));
        for at in 1..self.queue.len() {
            let same_file =
                self.queue.get(at).is_some_and(|request| request.cascade_hash == file.cascade_hash());
            if !open || !same_file {
                break;
            }
            let Some(response) = self.decide_in_burst(at, &file) else { break };
            open = burst.push(response, 0) && !response.closes();
        }
        let filled = burst.finish();
        if filled == 0 {
            return self.cannot_read(file, sent);
        }
        let sent = scratch.burst.get(..filled.min(self.promised())).unwrap_or_default();
        let took = socket::send(&self.stream, sent)?;
        self.burst.took(took.bytes, took.full);
        self.proof = proof;
        self.account(&scratch.segments, &file, sent, took.bytes);
        Ok(took)
    }

    /// The block to be sent cannot be read: the client is told to look elsewhere, if it is not too late.
    fn cannot_read(&mut self, file: Arc<Shared>, sent: u64) -> io::Result<Took> {
        // That a file below a folder has changed is seen when it is read: whoever checks it again hears of it now.
        let _ = file.is_unchanged();
        if sent > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let response = Response::Refusal(Refusal::MissingBlock);
        self.current = Some(Answer { response, file: Some(file), head: None, sent: 0, settled: true });
        Ok(Took { bytes: 0, full: false })
    }

    /// Sends a refusal that concerns no file of ours.
    fn send_refusal(&mut self, refusal: Refusal, sent: u64) -> io::Result<Took> {
        let answer = refusal.encode();
        let rest = answer.get(usize::try_from(sent).unwrap_or(usize::MAX)..).unwrap_or_default();
        let took = socket::send(&self.stream, rest)?;
        self.worker.stats.add_sent(took.bytes, 0);
        let response = Response::Refusal(refusal);
        if took.bytes == rest.len() {
            self.answered(response);
        } else {
            let sent = sent + took.bytes as u64;
            self.current = Some(Answer { response, file: None, head: None, sent, settled: sent > 0 });
        }
        Ok(took)
    }

    /// Notes which answers of the burst `sent` are done when the socket took `bytes` of it, and where the next
    /// one stands.
    fn account(&mut self, segments: &[Segment], file: &Arc<Shared>, sent: &[u8], bytes: usize) {
        let (mut left, mut blocks, mut given) = (bytes as u64, 0, 0);
        for segment @ Segment { response, part, total } in segments {
            let len = part.end - part.start;
            if response.carried().is_some() {
                given += body_len(part.start, part.start + left.min(len));
            }
            if left < len || part.end < *total {
                if file.proof().is_some() {
                    let taken = usize::try_from(left.min(len)).unwrap_or(usize::MAX);
                    let rest = sent.get(bytes.saturating_sub(usize::try_from(left).unwrap_or(0))..);
                    let before = self.proof.take();
                    self.proof = Some(Proof::follow(before, segment, rest.unwrap_or_default(), taken));
                }
                self.remember(*response, Arc::clone(file), part.start + left.min(len));
                break;
            }
            left -= len;
            blocks += u64::from(matches!(response, Response::Block(_)));
            self.answered(*response);
        }
        self.worker.stats.add_sent(bytes, blocks);
        self.gave(file, given);
    }

    /// Bytes of blocks or slices of `file` are on their way to the client.
    pub(super) fn gave(&mut self, file: &Shared, bytes: u64) {
        if bytes == 0 {
            return;
        }
        file.given().add(bytes);
        self.conversation.iter_mut().for_each(|conversation| conversation.gave(file, bytes));
    }

    /// Notes where an answer stands that the socket took in part.
    fn remember(&mut self, response: Response, file: Arc<Shared>, sent: u64) {
        self.current =
            (sent > 0).then_some(Answer { response, file: Some(file), head: None, sent, settled: true });
    }

    /// The first answer is out to its last byte.
    fn answered(&mut self, response: Response) {
        (self.current, self.proof) = (None, None);
        if let (Some(block), Some(conversation), Some(request)) =
            (response.carried(), &self.conversation, self.queue.front())
        {
            conversation.sent(request, block);
        }
        self.granted = self.granted.saturating_sub(1);
        self.finished = response.closes();
        let before = self.queue.len();
        self.queue.pop_front();
        self.worker.count_queued(before, self.queue.len());
    }
}

/// Bytes of the block in this range of an answer's bytes.
pub(super) fn body_len(start: u64, end: u64) -> u64 {
    let body = |at: u64| at.saturating_sub(RESPONSE_HEADER_LEN as u64);
    body(end) - body(start)
}
