//! The buffers for data on its way from socket to disk. There is a fixed number of them, so memory
//! depends neither on the number of peers nor on the size of blocks.

use crate::limits::{PIECE_BUFFERS, PIECE_LEN};
use crate::page_buffer::PageBuffer;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A pool of [`PIECE_BUFFERS`] buffers of [`PIECE_LEN`] bytes; each is made when it is first needed.
#[derive(Debug, Clone)]
pub struct BufferPool {
    permits: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<PageBuffer>>>,
}

/// A buffer; it goes back when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    /// Taken when it is dropped.
    bytes: Option<PageBuffer>,
    spare: Arc<Mutex<Vec<PageBuffer>>>,
    _permit: OwnedSemaphorePermit,
}

impl Default for BufferPool {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(PIECE_BUFFERS)), spare: Arc::default() }
    }
}

impl BufferPool {
    /// Waits for a buffer. Hold it only while there is data for it.
    ///
    /// # Panics
    /// Never: the semaphore is never closed.
    pub async fn take(&self) -> Buffer {
        #[allow(clippy::expect_used, reason = "the pool never closes its semaphore")]
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("an open semaphore");
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.unwrap_or_else(|| PageBuffer::new(PIECE_LEN));
        Buffer { bytes: Some(bytes), spare: Arc::clone(&self.spare), _permit: permit }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Before the permit is given back, so that the task that gets it finds this buffer.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).extend(self.bytes.take());
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().unwrap_or_default()
    }
}
