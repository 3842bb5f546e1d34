//! What a request is answered with (protocol §3).

use crate::store::Shared;
use crate::store::slices::Slices;
use cascade_format::extension::metafile::{PART_HEAD_LEN, PartHead};
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_format::{Block, CascadeHash, Layout};

/// The answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    /// Status 0 and the block's bytes.
    Block(Block),
    /// The same with a slice. The head of such an answer always has the state in front of the slice.
    Slice(Block),
    /// Another status and a message.
    Refusal(Refusal),
    /// A part of the `.cascade` file.
    Part {
        /// Where it begins.
        offset: u32,
        /// The bytes in front of it.
        head: PartHead,
    },
    /// The answer of the tracker that shares the port.
    Guest,
    /// Status 2 without a message, behind what a client that knows the extension is told.
    News,
}

/// A status other than 0, and what its message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The file is not in the catalog.
    UnknownFile,
    /// Every connection that this peer can hold is taken.
    Full {
        /// How many that is.
        clients: usize,
    },
    /// The block is not verified, or cannot be read.
    MissingBlock,
    /// The number is too large.
    NoSuchBlock {
        /// Number of blocks of the file.
        blocks: u64,
    },
    /// The magic is wrong, or the client stopped sending within a request.
    BadRequest,
}

/// How `file` is divided into what is requested by `name`: blocks or slices. `None`: it is no name of the file.
pub(super) fn layout_by_name<'a>(file: &'a Shared, name: &CascadeHash) -> Option<&'a Layout> {
    if *name == file.cascade_hash() {
        return Some(file.layout());
    }
    file.slices().filter(|slices| slices.name() == *name).map(Slices::layout)
}

/// Decides how `request`, which names `file` or its slices, is answered. `unchanged` is what
/// [`Shared::is_unchanged`] said just before.
pub(super) fn judge(request: &BlockRequest, file: &Shared, unchanged: bool) -> Response {
    let layout = layout_by_name(file, &request.cascade_hash).unwrap_or(file.layout());
    let is_slice = layout.slices_a_block() > 1;
    match layout.block(request.block) {
        None => Response::Refusal(Refusal::NoSuchBlock { blocks: layout.blocks() }),
        Some(slice) if is_slice && unchanged && file.has_slice(slice) => Response::Slice(slice),
        Some(block) if !is_slice && unchanged && file.gives(block) => Response::Block(block),
        Some(_) => Response::Refusal(Refusal::MissingBlock),
    }
}

/// Decides how a request for the part of the `.cascade` file at `offset` is answered.
pub(super) fn judge_part(file: &Shared, offset: u32) -> Response {
    let Some(metafile) = file.metafile() else { return Response::Refusal(Refusal::MissingBlock) };
    match PartHead::at(metafile.layout().metafile_len(), offset) {
        Some(head) => Response::Part { offset, head },
        None => Response::Refusal(Refusal::NoSuchBlock { blocks: file.layout().blocks() }),
    }
}

impl Response {
    /// Whether it carries bytes that others may want at the same time.
    pub(super) fn gives(self) -> bool {
        matches!(self, Self::Block(_) | Self::Slice(_) | Self::Part { .. })
    }

    /// The block or slice that it carries.
    pub(super) fn carried(self) -> Option<Block> {
        match self {
            Self::Block(block) | Self::Slice(block) => Some(block),
            Self::Refusal(_) | Self::Part { .. } | Self::Guest | Self::News => None,
        }
    }

    /// How `file` is divided into what such answers carry.
    pub(super) fn layout(self, file: &Shared) -> &Layout {
        let slices = file.slices().filter(|_| matches!(self, Self::Slice(_)));
        slices.map_or(file.layout(), Slices::layout)
    }

    /// Whether the connection is closed after this answer.
    pub(super) fn closes(self) -> bool {
        match self {
            Self::Guest => true,
            Self::Refusal(refusal) => refusal != Refusal::MissingBlock,
            Self::Block(_) | Self::Slice(_) | Self::Part { .. } | Self::News => false,
        }
    }

    /// Length of the answer in bytes, header included; `file` is what was asked for.
    pub(super) fn answer_len(self, file: &Shared) -> u64 {
        match self {
            Self::Block(block) | Self::Slice(block) => {
                RESPONSE_HEADER_LEN as u64 + self.layout(file).len_of(block)
            }
            Self::Part { head, .. } => PART_HEAD_LEN as u64 + u64::from(head.len),
            Self::Refusal(refusal) => refusal.encode().len() as u64,
            Self::News => RESPONSE_HEADER_LEN as u64,
            // All of it stands in front.
            Self::Guest => 0,
        }
    }

    /// The answer's status.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Block(_) | Self::Slice(_) | Self::Part { .. } => Status::Block,
            Self::Refusal(refusal) => refusal.status(),
            Self::News => Status::MissingBlock,
            Self::Guest => Status::BadRequest,
        }
    }
}

impl Refusal {
    fn status(self) -> Status {
        match self {
            Self::UnknownFile | Self::Full { .. } => Status::UnknownFile,
            Self::MissingBlock => Status::MissingBlock,
            Self::NoSuchBlock { .. } => Status::NoSuchBlock,
            Self::BadRequest => Status::BadRequest,
        }
    }

    /// The whole answer, header and message: it is sent with one call. The message ends with a newline: some
    /// clients of the field read it as a line, and without one would wait for it as long as the connection
    /// stays open.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut message = match self {
            Self::UnknownFile => "this peer does not have that file".to_owned(),
            Self::Full { clients } => {
                format!("this peer has all the {clients} connections it can hold; try again later")
            }
            Self::MissingBlock => "this peer does not have that block now".to_owned(),
            Self::NoSuchBlock { blocks } => {
                format!("no such block: the file has {blocks} blocks, numbered from 0")
            }
            Self::BadRequest => {
                "the request could not be parsed: a block request has 64 bytes and starts with CASCADE1"
                    .to_owned()
            }
        };
        message.push('\n');
        let header = ResponseHeader { status: self.status(), body_len: message.len() as u64 };
        [header.encode().as_slice(), message.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_block_leaves_the_connection_open() {
        for (refusal, status, closes) in [
            (Refusal::UnknownFile, 1, true),
            (Refusal::Full { clients: 5 }, 1, true),
            (Refusal::MissingBlock, 2, false),
            (Refusal::NoSuchBlock { blocks: 3 }, 3, true),
            (Refusal::BadRequest, 4, true),
        ] {
            let answer = refusal.encode();
            assert_eq!(answer.first(), Some(&status), "{refusal:?}");
            assert_eq!(Response::Refusal(refusal).closes(), closes, "{refusal:?}");
            let body = answer.get(9..).unwrap();
            assert_eq!(answer.get(1..9).unwrap(), (body.len() as u64).to_be_bytes());
            let text = std::str::from_utf8(body).unwrap();
            let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("{refusal:?} does not end its line"));
            assert!(!line.is_empty() && !line.contains('\n'), "{refusal:?}: one line");
        }
    }
}
