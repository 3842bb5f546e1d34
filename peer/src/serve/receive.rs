//! Receiving the requests of a connection.

use super::connection::Connection;
use super::guest::Guest;
use super::slots::Phase;
use super::socket::{self, Got};
use cascade_format::peer_wire::REQUEST_LEN;
use std::io;

impl Connection {
    /// Takes what has arrived, as far as the queue has room.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let room = self.room();
        if room == 0 {
            return Ok(());
        }
        let wanted = room * REQUEST_LEN - self.inbox.begun();
        match socket::receive(&self.stream, buffer.get_mut(..wanted).unwrap_or_default())? {
            Got::Nothing => {}
            Got::End => {
                self.ended = true;
                self.broken = self.inbox.begun() > 0 && self.guest.is_none();
            }
            Got::Bytes(bytes) => {
                let before = self.queue.len();
                let arrived = buffer.get(..bytes).unwrap_or_default();
                if self.is_for_tracker(arrived) {
                    return Ok(());
                }
                let queue = &mut self.queue;
                self.broken = self.inbox.take(arrived, |request| queue.push_back(request)).is_err();
                self.worker.count_queued(before, self.queue.len());
                if self.queue.len() > before {
                    if let (true, Some(conversation), Some(last)) =
                        (self.worker.extension, &mut self.conversation, self.queue.back())
                    {
                        conversation.hear_request(last);
                    }
                    if !std::mem::replace(&mut self.asked, true) {
                        self.slot.asked();
                    }
                    self.enter(Phase::Answer);
                }
            }
        }
        Ok(())
    }

    /// Takes what has arrived if it is for the tracker on the same port; false: it is not.
    fn is_for_tracker(&mut self, arrived: &[u8]) -> bool {
        if self.guest.is_none() {
            if self.worker.guests.is_none() || self.has_asked() {
                return false;
            }
            self.guest = Guest::begin(self.begun(), arrived).map(Box::new);
        }
        self.guest.iter_mut().for_each(|guest| guest.take(arrived));
        self.guest.is_some()
    }
}
