//! Sends large blocks and slices from the page cache to the socket, without a copy. On systems that cannot, no
//! block is large, and all go the way of the small ones, in pieces.

use super::response::Response;
use super::socket::Took;
use crate::limits::SENDFILE_LEN;
use crate::store::Shared;
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN};
use std::io;
use tokio::net::TcpStream;

#[cfg(target_os = "linux")]
pub(super) use linux::{read_ahead, send};

/// Whether a response of which `sent` bytes are out goes on this way; `copy` is the connection's. What follows must
/// lie in a file as it is: in a folder's archive, headers and small files are copied.
pub(super) fn is_large(copy: bool, file: &Shared, response: Response, sent: u64) -> bool {
    cfg!(target_os = "linux")
        && !copy
        // What goes to the socket by itself cannot be hashed first.
        && file.proof().is_none()
        // What is dropped would become zeroes in the socket.
        && !file.drops()
        && response.carried().is_some_and(|block| {
            let (layout, data) = (response.layout(file), file.data());
            layout.len_of(block) >= SENDFILE_LEN && {
                let at = layout.start(block) + sent.saturating_sub(RESPONSE_HEADER_LEN as u64);
                !data.loses(at) && data.run_at(at).is_some_and(|run| run.len >= SENDFILE_LEN)
            }
        })
}

/// What of a large block has left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) took: Took,
    /// The file system cannot do it: it is copied from now on.
    pub(super) copy: bool,
}

/// Never called, since no block is large.
#[cfg(not(target_os = "linux"))]
pub(super) fn send(_: &TcpStream, _: &Shared, _: Response, _: u64, _: (usize, usize)) -> io::Result<Sent> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never called, since no block is large.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_ahead(_: &Shared, _: Option<&BlockRequest>) {}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use crate::limits::{READ_AHEAD_LEN, TURN_LEN};
    use crate::serve::burst::file_range;
    use crate::serve::response::layout_by_name;
    use crate::serve::segment::Range64;
    use crate::serve::socket;
    use cascade_format::peer_wire::ResponseHeader;

    /// Sends `response`, which carries a block or a slice, from its byte `sent` on, until the socket takes no more: with one
    /// call at most `most` bytes, and of a long answer at most the bytes that the turn has `left`.
    ///
    /// # Errors
    /// The connection broke, or the file is shorter than it was.
    pub(in crate::serve) fn send(
        stream: &TcpStream,
        file: &Shared,
        response: Response,
        mut sent: u64,
        (most, left): (usize, usize),
    ) -> io::Result<Sent> {
        let (layout, block) = (response.layout(file), response.carried());
        let block = block.ok_or(io::ErrorKind::InvalidData)?;
        let header = ResponseHeader::of_block(layout, block);
        let total = RESPONSE_HEADER_LEN as u64 + header.body_len;
        let mut took = Took { bytes: 0, full: false };
        if sent < RESPONSE_HEADER_LEN as u64 {
            let header = header.encode();
            let rest = header.get(usize::try_from(sent).unwrap_or(0)..).unwrap_or_default();
            took = socket::send_more(stream, rest)?;
            sent += took.bytes as u64;
        }
        if took.full {
            return Ok(Sent { took, copy: false });
        }
        let range = file_range(layout, block, Range64 { start: sent, end: total });
        let rest = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        // A turn ends between two blocks, not a few bytes before the end of one.
        let len = if rest <= TURN_LEN { rest } else { left }.min(most);
        let run = file.data().run_at(range.start).ok_or(io::ErrorKind::UnexpectedEof)?;
        let len = usize::try_from(run.len).map_or(len, |run| run.min(len));
        match socket::send_file(stream, run.file(), run.offset, len) {
            Ok(body) => {
                let took = Took { bytes: took.bytes + body.bytes, full: body.full };
                Ok(Sent { took, copy: false })
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(error),
            // The file system cannot (EINVAL, ENOSYS); what else it may be shows when it is copied.
            Err(_) => Ok(Sent { took, copy: true }),
        }
    }

    /// Lets the disk work on the next request while an answer goes to the network.
    pub(in crate::serve) fn read_ahead(file: &Shared, next: Option<&BlockRequest>) {
        let Some(next) = next else { return };
        let layout = layout_by_name(file, &next.cascade_hash);
        if let Some((layout, block)) = layout.and_then(|layout| Some((layout, layout.block(next.block)?))) {
            let range = layout.range(block);
            file.data().will_need(range.start..range.end.min(range.start.saturating_add(READ_AHEAD_LEN)));
        }
    }
}
