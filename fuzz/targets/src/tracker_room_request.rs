//! Reports to a tracker, and questions for a room, as our tracker reads them.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::text::is_shown;
use cascade_format::tracker_room::{Kind, Report, RoomRequest};
use cascade_format::tracker_wire::REQUEST_HEADER_LEN;

/// Length of a report up to its texts.
const FIXED: usize = 108;

/// Reads a request at the start of `data`, or its header alone when no more has come.
///
/// # Panics
/// A request is read otherwise than the protocol says.
pub fn run(data: &[u8]) {
    let Some((header, _)) = data.split_first_chunk::<REQUEST_HEADER_LEN>() else { return };
    let expected = whole(header);
    let (kind, length) = match Kind::parse_header(header) {
        Ok(known) => known,
        Err(error) => {
            assert_eq!(expected, None, "refused a legal header: {error}");
            assert_one_line(&error.to_string());
            return;
        }
    };
    assert_eq!(Some(length), expected, "the header was read otherwise");
    let Some(bytes) = data.get(..length) else { return };
    match kind {
        Kind::Report => report(bytes),
        Kind::Room => {
            let request = bytes.first_chunk().map(RoomRequest::parse);
            assert!(matches!(request, Some(Ok(_))), "refused a sound question: {request:?}");
            let Some(Ok(request)) = request else { return };
            assert_eq!(Some(u64::from(request.first)), number(bytes, 48, 4));
            assert_eq!(request.encode().get(..52), bytes.get(..52));
        }
        Kind::Peers(..) => {}
    }
}

fn report(bytes: &[u8]) {
    let read = Report::parse(bytes);
    let text_len = number(bytes, FIXED - 1, 1).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let texts = bytes.get(FIXED..).unwrap_or_default();
    let fits = |text: &[u8], most: usize| {
        text.len() <= most && std::str::from_utf8(text).is_ok_and(|text| text.chars().all(is_shown))
    };
    let texts =
        texts.split_at_checked(text_len).is_some_and(|(program, name)| fits(program, 24) && fits(name, 64));
    let blocks = number(bytes, 75, 8) <= number(bytes, 83, 8);
    assert_eq!(read.is_ok(), texts && blocks, "a report was judged otherwise: {read:?}");
    match read {
        Ok(report) => {
            let mut known = bytes.to_vec();
            if let Some(flags) = known.get_mut(74) {
                *flags &= 7;
            }
            assert_eq!(report.encode(), known);
        }
        Err(error) => assert_one_line(&error.to_string()),
    }
}

/// The length of the request with a legal header.
fn whole(header: &[u8]) -> Option<usize> {
    let command = number(header, 8, 4).filter(|_| header.starts_with(b"CASC\0\0\0\x01"))?;
    let length = usize::try_from(number(header, 12, 4)?).ok()?;
    let legal = match command {
        1 | 2 => length == 38,
        3 | 4 => length == 50,
        5 => (92..=180).contains(&length),
        6 => length == 40,
        _ => false,
    };
    legal.then_some(length + 16)
}

/// Requests by well and ill behaved peers.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let header = |command: u32, length: usize| {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        join(&[b"CASC", &1u32.to_be_bytes(), &command.to_be_bytes(), &length.to_be_bytes(), &[0xca; 32]])
    };
    let report = |flags: u8, had: u64, blocks: u64, claimed: u8, texts: &[u8]| {
        let ip = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x22, 0xb9];
        let numbers = [had, blocks, 700, 800].map(u64::to_be_bytes).concat();
        join(&[&header(5, 92 + texts.len()), &ip, &[9; 8], &[flags], &numbers, &[claimed], texts])
    };
    let sound = report(2, 3, 4, 13, b"cascade 0.1.0lab-07");
    let cut = sound.iter().copied().take(100).collect();
    vec![
        ("report", sound),
        ("goodbye", report(5, 4, 4, 0, b"lab-07")),
        ("without-texts", report(0, 0, 0, 0, b"")),
        ("flags-of-later", report(0xff, 1, 2, 4, b"test")),
        ("more-blocks-than-there-are", report(0, 5, 4, 4, b"test")),
        ("version-behind-the-end", report(0, 1, 4, 5, b"test")),
        ("escape-in-the-name", report(0, 1, 4, 1, b"vlab\x1b[2J")),
        ("name-that-turns-around", report(0, 1, 4, 1, "vgpj.\u{202e}exe".as_bytes())),
        ("not-utf-8", report(0, 1, 4, 1, b"vlab\xff")),
        ("longest", report(0, 1, 4, 24, &[b'x'; 88])),
        ("name-too-long", report(0, 1, 4, 0, &[b'x'; 65])),
        ("last-byte-missing", cut),
        ("room", join(&[&header(6, 40), &[0, 0, 0, 50], &[0; 4]])),
        ("room-with-another-length", join(&[&header(6, 36), &[0; 4]])),
        ("report-longer-than-any", header(5, 181)),
    ]
}
