//! Waking the tracker's own thread.

use mio::Waker;

/// Wakes a server that waits for connections.
#[derive(Debug)]
pub(crate) struct Waken(Waker);

impl Waken {
    pub(crate) const fn new(waker: Waker) -> Self {
        Self(waker)
    }

    pub(crate) fn wake(&self) {
        // It fails only if the server's poll is broken, and then the server has ended.
        let _ = self.0.wake();
    }
}
