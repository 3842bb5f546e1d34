//! A tracker's answer to a question for a room: the numbers of the room, and a part of its members.

use super::{PeerName, Program, Progress};
use crate::address::{PEER_ADDR_LEN, PeerAddr};
use crate::field::{bytes, u32_at, u64_at};
use crate::label::Label;
use alloc::vec::Vec;

/// The most members in one answer: it stays below 8 KiB, which every socket takes with one call.
pub const MAX_PAGE: usize = 50;

/// Length of the numbers in front of the members, in bytes.
const SUMMARY_LEN: usize = 24;

/// Length of a member without its texts and their lengths, in bytes.
const MEMBER_LEN: usize = 64;

/// Bits of a member's flags.
const SEEDER: u8 = 1;
const SILENT: u8 = 2;
const LEFT: u8 = 4;
const ELSEWHERE: u8 = 8;
const KNOWN: u8 = 16;

/// The numbers of a room. A peer counts once, however many addresses it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Receivers that have every block; those that have left since then count, too.
    pub complete: u32,
    /// Receivers that lack blocks and have reported in the last two minutes.
    pub incomplete: u32,
    /// Receivers that lack blocks and have not reported in the last two minutes: they may be cut off, or gone.
    pub silent: u32,
    /// Peers that were started to give the file.
    pub seeders: u32,
    /// Registered peers that do not report, such as peers of version 1. The true number may be higher.
    pub unknown: u32,
}

/// Whether a member of a room is still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It has reported in the last two minutes.
    #[default]
    Here,
    /// It has not reported in the last two minutes.
    Silent,
    /// It had every block, and then said goodbye or let its registration lapse.
    Left,
}

/// A peer in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Where it listens; port 0: nowhere.
    pub addr: PeerAddr,
    /// How much it says that it has; `None` if it does not report, as peers of version 1.
    pub progress: Option<Progress>,
    /// It was started to give the file.
    pub seeder: bool,
    /// Whether it is there.
    pub presence: Presence,
    /// Whether its reports come from another address than the one at which it says that it listens.
    pub elsewhere: bool,
    /// Bytes a second that it has received between its last two reports.
    pub rate: u64,
    /// Seconds since its last report; if it does not report, since its last subscription.
    pub since: u32,
    /// Its program.
    pub program: Program,
    /// Its name for people, in its own words.
    pub name: PeerName,
}

/// Why bytes are no answer about a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It ends inside the summary or inside a member.
    #[error("an answer about a room of {0} bytes is cut short")]
    CutShort(usize),
    /// A member is too short, claims more blocks than the file has, or has a text that must not be shown.
    #[error("a member of a room makes no sense")]
    Member,
    /// More members than one answer has.
    #[error("an answer about a room has more than {MAX_PAGE} members")]
    TooMany,
}

/// A part of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// How many there are in the whole room.
    pub summary: Summary,
    /// Where the next part begins; 0: this is the last.
    pub next: u32,
    /// The members of this part.
    pub members: Vec<Member>,
}

impl Page {
    /// Appends the bytes of the answer's body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Summary { complete, incomplete, silent, seeders, unknown } = self.summary;
        for number in [complete, incomplete, silent, seeders, unknown, self.next] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        self.members.iter().for_each(|member| member.encode(out));
    }

    /// Reads the body of an answer with status 0.
    ///
    /// # Errors
    /// Everything in [`PageError`].
    pub fn parse(body: &[u8]) -> Result<Self, PageError> {
        let cut = PageError::CutShort(body.len());
        let (head, mut rest) = body.split_first_chunk::<SUMMARY_LEN>().ok_or(cut)?;
        let [complete, incomplete, silent, seeders, unknown, next] =
            [0, 4, 8, 12, 16, 20].map(|at| u32_at(head, at));
        let summary = Summary { complete, incomplete, silent, seeders, unknown };
        let mut members = Vec::new();
        while !rest.is_empty() {
            let (length, behind) = rest.split_first_chunk().ok_or(cut)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (member, behind) = behind.split_at_checked(length).ok_or(cut)?;
            if members.len() == MAX_PAGE {
                return Err(PageError::TooMany);
            }
            members.push(Member::parse(member).ok_or(PageError::Member)?);
            rest = behind;
        }
        Ok(Self { summary, next, members })
    }
}

impl Member {
    /// A peer of which nothing is known but its address.
    #[must_use]
    pub const fn unknown(addr: PeerAddr, since: u32) -> Self {
        Self {
            addr,
            progress: None,
            seeder: false,
            presence: Presence::Here,
            elsewhere: false,
            rate: 0,
            since,
            program: Label::EMPTY,
            name: Label::EMPTY,
        }
    }

    /// Whether it has every block, as it says.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.progress.is_some_and(|progress| progress.is_complete())
    }

    /// Appends the member's bytes, its length first.
    fn encode(&self, out: &mut Vec<u8>) {
        let (program, name) = (self.program.as_bytes(), self.name.as_bytes());
        let length = MEMBER_LEN + 2 + program.len() + name.len();
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = bit(self.seeder, SEEDER)
            | bit(self.presence == Presence::Silent, SILENT)
            | bit(self.presence == Presence::Left, LEFT)
            | bit(self.elsewhere, ELSEWHERE)
            | bit(self.progress.is_some(), KNOWN);
        let Progress { blocks_done: had, blocks, received, given } = self.progress.unwrap_or_default();
        out.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&self.addr.encode());
        // The second byte is for later.
        out.extend_from_slice(&[flags, 0]);
        for number in [had, blocks, received, given, self.rate] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.since.to_be_bytes());
        for text in [program, name] {
            out.push(u8::try_from(text.len()).unwrap_or(0));
            out.extend_from_slice(text);
        }
    }

    /// Reads a member; bytes behind its texts are for later versions.
    fn parse(member: &[u8]) -> Option<Self> {
        let (fixed, texts) = member.split_first_chunk::<MEMBER_LEN>()?;
        let (program, texts) = text(texts)?;
        let (name, _) = text(texts)?;
        let flags = bytes::<1>(fixed, 18)[0];
        let [had, blocks, received, given, rate] = [20, 28, 36, 44, 52].map(|at| u64_at(fixed, at));
        let progress = Progress { blocks_done: had, blocks, received, given };
        if had > blocks {
            return None;
        }
        Some(Self {
            addr: PeerAddr::parse(&bytes::<PEER_ADDR_LEN>(fixed, 0)),
            progress: (flags & KNOWN != 0).then_some(progress),
            seeder: flags & SEEDER != 0,
            presence: match flags & (SILENT | LEFT) {
                0 => Presence::Here,
                SILENT => Presence::Silent,
                _ => Presence::Left,
            },
            elsewhere: flags & ELSEWHERE != 0,
            rate,
            since: u32_at(fixed, 60),
            program: Label::read(program)?,
            name: Label::read(name)?,
        })
    }
}

/// A text and what is behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, behind) = bytes.split_first()?;
    behind.split_at_checked(usize::from(*length))
}
