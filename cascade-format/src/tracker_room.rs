//! The room of a file: its peers report to a tracker how much they have (command 5), and anybody may ask for it
//! (command 6).
//!
//! A tracker that does not know these commands refuses them with status 1, as it does every command that it does not
//! know; then a peer goes on with those of [`crate::tracker_wide`] or [`crate::tracker_wire`].

use crate::address::{PEER_ADDR_LEN, PeerAddr};
use crate::field::{bytes, put, u32_at, u64_at};
use crate::label::Label;
use crate::tracker_wide::Form;
use crate::tracker_wire::{Command, REQUEST_HEADER_LEN, REQUEST_MAGIC, RequestError, VERSION};
use crate::{CascadeHash, tracker_wide};
use alloc::vec::Vec;

mod answer;

pub use answer::{MAX_PAGE, Member, Page, PageError, Presence, Summary};

/// The most bytes of a peer's name.
pub const MAX_PEER_NAME_LEN: usize = 64;

/// The most bytes of what a peer says of its program.
pub const MAX_VERSION_LEN: usize = 24;

/// The longest request to a tracker, in bytes: a report with a name and a version of full length.
pub const MAX_REQUEST_LEN: usize = REPORT_LEN + MAX_VERSION_LEN + MAX_PEER_NAME_LEN;

/// Length of a report without its texts, in bytes.
const REPORT_LEN: usize = 108;

/// Length of a question for a room, in bytes. It is not shorter than a request of version 1: a tracker that knows only
/// version 1 would otherwise wait for the missing bytes.
pub const ROOM_REQUEST_LEN: usize = 56;

const REPORT: u32 = 5;
const ROOM: u32 = 6;

/// Bits of a report's flags.
const GOODBYE: u8 = 1;
const SEEDER: u8 = 2;
const V4_ONLY: u8 = 4;

/// A peer's name for people, of at most [`MAX_PEER_NAME_LEN`] bytes. (Rust 1.95 fails to compile some uses of a type whose
/// parameter is a named constant.)
pub type PeerName = Label<64>;

/// The name and version of a peer's program, of at most [`MAX_VERSION_LEN`] bytes.
pub type Program = Label<24>;

const _: () = assert!(PeerName::MAX_LEN == MAX_PEER_NAME_LEN && Program::MAX_LEN == MAX_VERSION_LEN);

/// What a request's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Commands 1 to 4: for peers.
    Peers(Form, Command),
    /// Command 5: a report.
    Report,
    /// Command 6: for the room.
    Room,
}

impl Kind {
    /// Reads a request's header: its kind, and the length of the whole request in bytes.
    ///
    /// # Errors
    /// A wrong magic, version, command or length, in this order.
    pub fn parse_header(header: &[u8; REQUEST_HEADER_LEN]) -> Result<(Self, usize), RequestError> {
        let (version, command, length) = (u32_at(header, 4), u32_at(header, 8), u32_at(header, 12));
        if command != REPORT && command != ROOM {
            let (form, command) = Form::parse_header(header)?;
            return Ok((Self::Peers(form, command), form.request_len()));
        }
        if bytes(header, 0) != REQUEST_MAGIC {
            return Err(RequestError::Magic);
        }
        if version != VERSION {
            return Err(RequestError::Version(version));
        }
        let whole = REQUEST_HEADER_LEN.saturating_add(length as usize);
        match command {
            REPORT if (REPORT_LEN..=MAX_REQUEST_LEN).contains(&whole) => Ok((Self::Report, whole)),
            REPORT => Err(RequestError::ReportLength(length)),
            _ if whole == ROOM_REQUEST_LEN => Ok((Self::Room, whole)),
            _ => Err(RequestError::RoomLength(length)),
        }
    }
}

/// How much of a file a peer has, as it reports to a tracker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Verified blocks that it has.
    pub blocks_done: u64,
    /// All blocks of the file.
    pub blocks: u64,
    /// Bytes of the file that it has received from others, in this run of the program.
    pub received: u64,
    /// Bytes of the file that it has given to others.
    pub given: u64,
}

impl Progress {
    /// Whether it has every block.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.blocks_done >= self.blocks
    }
}

/// A subscription with which a peer tells how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub cascade_hash: CascadeHash,
    /// Where the peer listens: one of its addresses.
    pub listen: PeerAddr,
    /// A number that the peer draws at random and keeps secret. Reports with this number from several addresses count
    /// as one member, and no other peer can report in this one's name.
    pub number: u64,
    /// The peer leaves, so its registration ends.
    pub goodbye: bool,
    /// The peer was started to give the file, not to receive it.
    pub seeder: bool,
    /// The peer cannot use IPv6 addresses.
    pub v4_only: bool,
    /// How far it is.
    pub progress: Progress,
    /// Its program.
    pub program: Program,
    /// Its name for people.
    pub name: PeerName,
}

impl Report {
    /// The report's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (program, name) = (self.program.as_bytes(), self.name.as_bytes());
        let Progress { blocks_done: had, blocks, received, given } = self.progress;
        let whole = REPORT_LEN + program.len() + name.len();
        let mut out = Vec::with_capacity(whole);
        start(&mut out, REPORT, whole);
        out.extend_from_slice(self.cascade_hash.as_bytes());
        out.extend_from_slice(&self.listen.encode());
        out.extend_from_slice(&self.number.to_be_bytes());
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(bit(self.goodbye, GOODBYE) | bit(self.seeder, SEEDER) | bit(self.v4_only, V4_ONLY));
        for number in [had, blocks, received, given] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.push(u8::try_from(program.len()).unwrap_or(0));
        out.extend_from_slice(program);
        out.extend_from_slice(name);
        out
    }

    /// Reads a whole report.
    ///
    /// # Errors
    /// Those of [`Kind::parse_header`]; [`RequestError::Command`] for another request, and what is wrong with blocks and
    /// texts.
    pub fn parse(request: &[u8]) -> Result<Self, RequestError> {
        let (kind, whole) = Kind::parse_header(&bytes(request, 0))?;
        if kind != Kind::Report || request.len() != whole {
            return Err(RequestError::Command(u32_at(request, 8)));
        }
        let (had, blocks) = (u64_at(request, 75), u64_at(request, 83));
        if had > blocks {
            return Err(RequestError::ReportBlocks(had, blocks));
        }
        let texts = request.get(REPORT_LEN..).unwrap_or_default();
        let length = usize::from(bytes::<1>(request, REPORT_LEN - 1)[0]);
        let (program, name) = texts.split_at_checked(length).ok_or(RequestError::ReportText)?;
        let program = Label::read(program).ok_or(RequestError::ReportText)?;
        let name = Label::read(name).ok_or(RequestError::ReportText)?;
        let flags = bytes::<1>(request, 74)[0];
        Ok(Self {
            cascade_hash: CascadeHash(bytes(request, 16)),
            listen: PeerAddr::parse(&bytes::<PEER_ADDR_LEN>(request, 48)),
            number: u64_at(request, 66),
            goodbye: flags & GOODBYE != 0,
            seeder: flags & SEEDER != 0,
            v4_only: flags & V4_ONLY != 0,
            progress: Progress {
                blocks_done: had,
                blocks,
                received: u64_at(request, 91),
                given: u64_at(request, 99),
            },
            program,
            name,
        })
    }
}

/// A question for the room of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomRequest {
    /// The file.
    pub cascade_hash: CascadeHash,
    /// Where the list begins: 0, or what [`Page::next`] was.
    pub first: u32,
}

impl RoomRequest {
    /// The question's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ROOM_REQUEST_LEN] {
        let mut head = Vec::with_capacity(REQUEST_HEADER_LEN);
        start(&mut head, ROOM, ROOM_REQUEST_LEN);
        let mut out = [0; ROOM_REQUEST_LEN];
        put(&mut out, 0, &head);
        put(&mut out, 16, self.cascade_hash.as_bytes());
        put(&mut out, 48, &self.first.to_be_bytes());
        out
    }

    /// Reads a whole question.
    ///
    /// # Errors
    /// Those of [`Kind::parse_header`]; [`RequestError::Command`] for another request.
    pub fn parse(request: &[u8; ROOM_REQUEST_LEN]) -> Result<Self, RequestError> {
        match Kind::parse_header(&bytes(request, 0))? {
            (Kind::Room, _) => {
                Ok(Self { cascade_hash: CascadeHash(bytes(request, 16)), first: u32_at(request, 48) })
            }
            (Kind::Peers(..) | Kind::Report, _) => Err(RequestError::Command(u32_at(request, 8))),
        }
    }
}

fn start(out: &mut Vec<u8>, command: u32, whole: usize) {
    let length = u32::try_from(whole - REQUEST_HEADER_LEN).unwrap_or(u32::MAX);
    out.extend_from_slice(&REQUEST_MAGIC);
    for number in [VERSION, command, length] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

const _: () =
    assert!(MAX_REQUEST_LEN > tracker_wide::REQUEST_LEN, "a buffer for the longest request holds any");

#[cfg(test)]
mod tests;
