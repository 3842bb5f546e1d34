//! The bytes of a state file. No I/O but through `Read`, no clock.
//!
//! ```text
//!  "CASCREGS" │ version 4 │ CRC 4 │ frame │ frame │ ... │ last frame
//!  frame:  length 4 │ CRC of the payload 4 │ payload
//!  payload: 4 or 6 │ second 4 │ files: hash 32 │ number 4 │ registrations: source 4 │ age 2 │ address 6 or 18
//!  the last: 0 │ second 4 │ registrations in all frames 8
//! ```
//!
//! Numbers are big-endian. `second` is the wall clock's when the frame was made, and ages are of that moment: so a clock
//! that is set while the tracker runs spoils one frame at most.

use crate::registry::{Address, AddressV6, Registration, Source};
use cascade_format::CascadeHash;
use std::io::{self, Read};
use std::net::SocketAddrV4;

/// The first bytes of a state file.
const MAGIC: [u8; 8] = *b"CASCREGS";

/// The only version so far.
const VERSION: u32 = 1;

const HEADER_LEN: usize = 16;

/// The longest frame, in bytes: what is read into memory at once.
pub const MAX_FRAME_LEN: usize = 1 << 20;

/// The longest state file, in bytes. As many registrations as a tracker keeps take at most a third of it.
pub const MAX_STATE_LEN: u64 = 2 << 30;

/// Bytes of a file with one registration.
pub(crate) const SHORTEST_FILE: u64 = 48;

const END: u8 = 0;
const V4: u8 = 4;
const V6: u8 = 6;

/// Length and CRC before a payload.
const FRAME_HEADER_LEN: usize = 8;

/// Bytes of the payload before its files.
const PAYLOAD_START: usize = 5;

/// A registration of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Of an IPv4 address.
    V4(Registration<SocketAddrV4>),
    /// Of an IPv6 address.
    V6(Registration<AddressV6>),
}

/// Why a state file is not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it is not a tracker's state")]
    Foreign,
    /// Of a later version.
    #[error("it has version {0} of the format, and this program knows {VERSION}")]
    Version(u32),
    /// It was cut short, or bytes of it have changed.
    #[error("it is damaged after {0} bytes")]
    Damaged(u64),
}

/// The bytes before the first frame.
#[must_use]
pub fn header() -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// Whether a file may be the state of a tracker, whole or damaged: it begins as one does, as far as it goes. An empty file
/// may be one.
///
/// # Errors
/// It cannot be read.
pub fn may_be_state(from: impl Read) -> io::Result<bool> {
    let mut start = Vec::new();
    from.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(MAGIC.starts_with(&start))
}

/// Writes a frame of registrations of one family.
#[derive(Debug)]
pub struct FrameWriter<'f> {
    frame: &'f mut Vec<u8>,
    /// The file that the last registration was of, where its number stands, and the number.
    open: Option<(CascadeHash, usize, u32)>,
    written: u64,
}

impl<'f> FrameWriter<'f> {
    /// Begins a frame in `frame`, which it clears, at the second `unix` of the wall clock.
    pub fn new<A: Address>(frame: &'f mut Vec<u8>, unix: u32) -> Self {
        begin(frame, if A::LEN == SocketAddrV4::LEN { V4 } else { V6 }, unix);
        Self { frame, open: None, written: 0 }
    }

    /// Adds a registration; those of one file should come in a row.
    pub fn add<A: Address>(&mut self, kept: &Registration<A>) {
        if self.open.is_none_or(|(file, ..)| file != kept.file) {
            self.close();
            self.frame.extend_from_slice(&kept.file.0);
            self.open = Some((kept.file, self.frame.len(), 0));
            self.frame.extend_from_slice(&[0; 4]);
        }
        self.frame.extend_from_slice(&kept.source.to_bytes());
        let age = u16::try_from(kept.age).unwrap_or(u16::MAX);
        self.frame.extend_from_slice(&age.to_be_bytes());
        kept.addr.write(self.frame);
        self.written += 1;
        if let Some((.., number)) = &mut self.open {
            *number += 1;
        }
    }

    /// Number of registrations in it. It still has to be sealed: see [`seal`].
    pub fn finish(mut self) -> u64 {
        self.close();
        self.written
    }

    fn close(&mut self) {
        if let Some((_, at, number)) = self.open.take() {
            put(self.frame, at, number);
        }
    }
}

/// Makes the last frame of a file with this number of registrations, sealed.
pub fn end(frame: &mut Vec<u8>, unix: u32, registrations: u64) {
    begin(frame, END, unix);
    frame.extend_from_slice(&registrations.to_be_bytes());
    seal(frame);
}

/// Writes a frame's length and checksum.
pub fn seal(frame: &mut [u8]) {
    let payload = frame.get(FRAME_HEADER_LEN..).unwrap_or_default();
    let (len, crc) = (u32::try_from(payload.len()).unwrap_or(u32::MAX), crc32fast::hash(payload));
    put(frame, 0, len);
    put(frame, 4, crc);
}

fn begin(frame: &mut Vec<u8>, kind: u8, unix: u32) {
    frame.clear();
    frame.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    frame.push(kind);
    frame.extend_from_slice(&unix.to_be_bytes());
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = number.to_be_bytes();
    }
}

/// Reads a state file; tells of each registration, with the second of the wall clock in which it had its age. What
/// comes before a fault has been told of: its checksum was right.
///
/// # Errors
/// Everything in [`Fault`].
pub fn read(from: impl Read, mut tell: impl FnMut(Kept, u32)) -> Result<u64, Fault> {
    let mut from = Counted { from: from.take(MAX_STATE_LEN), read: 0 };
    check_header(&mut from)?;
    let (mut payload, mut told) = (Vec::new(), 0);
    loop {
        let start = from.read;
        from.frame(&mut payload)?;
        let (kind, rest) = payload.split_first().ok_or(Fault::Damaged(start))?;
        let (unix, rest) = number(rest).ok_or(Fault::Damaged(start))?;
        let done = match *kind {
            V4 => files(rest, |kept| tell(Kept::V4(kept), unix)),
            V6 => files(rest, |kept| tell(Kept::V6(kept), unix)),
            END if rest == u64::to_be_bytes(told) && from.is_over()? => return Ok(told),
            _ => None,
        };
        told += done.ok_or(Fault::Damaged(start))?;
    }
}

fn check_header(from: &mut Counted<impl Read>) -> Result<(), Fault> {
    let mut bytes = [0; HEADER_LEN];
    let filled = from.fill(&mut bytes);
    let (magic, rest) = bytes.split_at(MAGIC.len());
    match filled {
        Ok(()) | Err(Fault::Damaged(_)) if magic != MAGIC => return Err(Fault::Foreign),
        filled => filled?,
    }
    let (covered, crc) = bytes.split_at(HEADER_LEN - 4);
    if crc != crc32fast::hash(covered).to_be_bytes() {
        return Err(Fault::Damaged(0));
    }
    match number(rest) {
        Some((VERSION, _)) => Ok(()),
        version => Err(Fault::Version(version.map_or(0, |(version, _)| version))),
    }
}

/// Tells of the registrations of a frame; returns how many they are.
fn files<A: Address>(mut rest: &[u8], mut tell: impl FnMut(Registration<A>)) -> Option<u64> {
    let mut told = 0;
    while !rest.is_empty() {
        let (hash, after) = rest.split_first_chunk()?;
        let (registrations, after) = number(after)?;
        let len = usize::try_from(registrations).ok()?.checked_mul(6 + A::LEN)?;
        let (own, after) = after.split_at_checked(len)?;
        for one in own.chunks_exact(6 + A::LEN) {
            let (source, one) = one.split_first_chunk()?;
            let (age, addr) = one.split_first_chunk()?;
            tell(Registration {
                file: CascadeHash(*hash),
                source: Source::from_bytes(*source),
                addr: A::read(addr)?,
                age: u16::from_be_bytes(*age).into(),
            });
        }
        told += u64::from(registrations);
        rest = after;
    }
    Some(told)
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// A reader that knows where it is.
struct Counted<R> {
    from: R,
    read: u64,
}

impl<R: Read> Counted<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => return Err(Fault::Damaged(self.read)),
                Ok(read) => {
                    filled += read;
                    self.read += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The payload of the next frame.
    fn frame(&mut self, payload: &mut Vec<u8>) -> Result<(), Fault> {
        let start = self.read;
        let mut header = [0; FRAME_HEADER_LEN];
        self.fill(&mut header)?;
        let (len, crc) = header.split_at(4);
        let len = number(len).map_or(0, |(len, _)| len as usize);
        if !(PAYLOAD_START..=MAX_FRAME_LEN).contains(&len) {
            return Err(Fault::Damaged(start));
        }
        payload.resize(len, 0);
        self.fill(payload)?;
        if crc32fast::hash(payload).to_be_bytes() == crc { Ok(()) } else { Err(Fault::Damaged(start)) }
    }

    /// Whether nothing comes any more.
    fn is_over(&mut self) -> Result<bool, Fault> {
        match self.fill(&mut [0]) {
            Ok(()) => Ok(false),
            Err(Fault::Damaged(_)) => Ok(true),
            Err(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn sample() -> (Vec<u8>, Vec<(Kept, u32)>) {
        let (mut bytes, mut frame, mut all) = (header(), Vec::new(), Vec::new());
        let source = Source::of([10, 0, 0, 1].into());
        let mut writer = FrameWriter::new::<SocketAddrV4>(&mut frame, 1000);
        for n in 0..10u8 {
            let file = CascadeHash([n / 4; 32]);
            let addr = SocketAddrV4::new([10, 0, 0, n].into(), 7);
            let one = Registration { file, source, addr, age: u32::from(n) * 200 };
            writer.add(&one);
            all.push((Kept::V4(one), 1000));
        }
        assert_eq!(writer.finish(), 10);
        seal(&mut frame);
        bytes.extend_from_slice(&frame);
        let mut writer = FrameWriter::new::<AddressV6>(&mut frame, 1001);
        let addr: SocketAddr = "[2001:db8::7]:80".parse().unwrap();
        let addr = AddressV6::of(addr.into()).unwrap();
        let one = Registration { file: CascadeHash([3; 32]), source, addr, age: 5 };
        writer.add(&one);
        all.push((Kept::V6(one), 1001));
        writer.finish();
        seal(&mut frame);
        bytes.extend_from_slice(&frame);
        end(&mut frame, 1002, 11);
        bytes.extend_from_slice(&frame);
        (bytes, all)
    }

    fn read_all(bytes: &[u8]) -> (Result<u64, Fault>, Vec<(Kept, u32)>) {
        let mut told = Vec::new();
        let result = read(bytes, |kept, unix| told.push((kept, unix)));
        (result, told)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, all) = sample();
        let (result, told) = read_all(&bytes);
        assert_eq!((result.unwrap(), told), (11, all));
    }

    #[test]
    fn a_file_that_ends_early_is_damaged_and_what_came_before_counts() {
        let (bytes, all) = sample();
        for len in 0..bytes.len() {
            let (result, told) = read_all(&bytes[..len]);
            match result.unwrap_err() {
                Fault::Foreign => assert!(len < 8),
                Fault::Damaged(_) => assert!(len >= 8),
                other @ (Fault::Read(_) | Fault::Version(_)) => panic!("{other}"),
            }
            assert!(all.starts_with(&told), "{len}");
        }
        let (result, told) = read_all(&[&bytes[..], b"x"].concat());
        assert!(matches!(result, Err(Fault::Damaged(_))) && told == all);
    }

    #[test]
    fn a_changed_bit_is_noticed() {
        let (bytes, all) = sample();
        for at in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[at / 8] ^= 1 << (at % 8);
            let (result, told) = read_all(&changed);
            assert!(result.is_err(), "bit {at}");
            assert!(all.starts_with(&told), "bit {at}");
        }
    }

    #[test]
    fn other_files_and_later_versions_are_told_apart() {
        assert!(matches!(read_all(b"").0, Err(Fault::Foreign)));
        for (bytes, may_be) in [
            (&b""[..], true),
            (b"CASC", true),
            (b"CASCREGS and damage", true),
            (b"CASCADE1", false),
            (b"\x1aE\xdf\xa3", false),
        ] {
            assert_eq!(may_be_state(bytes).unwrap(), may_be, "{bytes:?}");
        }
        assert!(matches!(read_all(b"#!/bin/sh\necho not a state\n").0, Err(Fault::Foreign)));
        let mut later = [&MAGIC[..], &7u32.to_be_bytes()].concat();
        later.extend_from_slice(&crc32fast::hash(&later).to_be_bytes());
        assert!(matches!(read_all(&later).0, Err(Fault::Version(7))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_take_memory(payload in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..8) {
            // With right checksums: everything behind them is looked at.
            let mut frame = Vec::new();
            begin(&mut frame, kind, 7);
            frame.extend_from_slice(&payload);
            seal(&mut frame);
            let bytes = [header(), frame].concat();
            let (_, told) = read_all(&bytes);
            prop_assert!(told.len() <= payload.len() / 12);
            let (result, _) = read_all(&[header(), payload].concat());
            prop_assert!(result.is_err());
        }
    }
}
