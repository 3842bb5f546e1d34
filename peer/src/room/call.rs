//! One question to a tracker that is no question for peers.

use crate::dial::Dial;
use crate::limits::{CONNECT_TIMEOUT, TRACKER_TIMEOUT};
use crate::tracker_client::{self, TrackerError, resolve};
use std::net::Ipv4Addr;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// The body of the answer to `request`.
///
/// # Errors
/// Everything in [`TrackerError`].
pub(super) async fn exchange(tracker: &str, request: &[u8]) -> Result<Vec<u8>, TrackerError> {
    let converse = async {
        let addr = resolve(tracker).await?;
        let connecting = timeout(CONNECT_TIMEOUT, Dial::from(Ipv4Addr::UNSPECIFIED).connect(addr)).await;
        let stream = connecting.unwrap_or_else(|late| Err(late.into()));
        let mut stream = stream.map_err(TrackerError::Connect)?;
        stream.write_all(request).await.map_err(TrackerError::Io)?;
        tracker_client::read_answer(stream).await
    };
    timeout(TRACKER_TIMEOUT, converse).await.map_err(|_| TrackerError::Timeout)?
}
