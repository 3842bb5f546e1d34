//! Tracker requests of either form, as our tracker reads them.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::tracker_wide::{Form, REQUEST_LEN, WideRequest};
use cascade_format::tracker_wire::{Command, REQUEST_HEADER_LEN};

/// Reads a request at the start of `data`, or its header alone when no more has come.
///
/// # Panics
/// A request is read otherwise than the protocol says.
pub fn run(data: &[u8]) {
    let Some((header, _)) = data.split_first_chunk::<REQUEST_HEADER_LEN>() else { return };
    let early = Form::parse_header(header);
    match early {
        Ok((form, command)) => {
            let number = match (form, command) {
                (Form::Plain, Command::List) => 1,
                (Form::Plain, Command::Subscribe) => 2,
                (Form::Wide, Command::List) => 3,
                (Form::Wide, Command::Subscribe) => 4,
            };
            assert_eq!(legal(header), Some(number), "accepted a header that the protocol forbids");
        }
        Err(error) => {
            assert!(legal(header).is_none(), "refused a legal header: {error}");
            assert_one_line(&error.to_string());
        }
    }

    let Some((bytes, _)) = data.split_first_chunk::<REQUEST_LEN>() else { return };
    let wide = matches!(early, Ok((Form::Wide, _)));
    let whole = WideRequest::parse(bytes);
    assert_eq!(whole.is_ok(), wide, "the header alone was judged otherwise");
    if let Ok(request) = whole {
        assert_eq!(Some(request.cascade_hash.as_bytes().as_slice()), bytes.get(16..48));
        assert_eq!(Some(u64::from(request.listen.port())), number(bytes, 64, 2));
        assert_eq!(&request.encode(), bytes);
    }
}

/// The command of a legal header.
fn legal(header: &[u8]) -> Option<u64> {
    let command = number(header, 8, 4).filter(|_| header.starts_with(b"CASC\0\0\0\x01"))?;
    let length = match command {
        1 | 2 => 38,
        3 | 4 => 50,
        _ => return None,
    };
    (number(header, 12, 4) == Some(length)).then_some(command)
}

/// Requests by well and ill behaved peers.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let request = |magic: &[u8], version: u32, command: u32, length: u32| {
        let [version, command, length] = [version, command, length].map(u32::to_be_bytes);
        let ip = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        join(&[magic, &version, &command, &length, &[0xca; 32], &ip, &[0x22, 0xb9]])
    };
    let sound = request(b"CASC", 1, 4, 50);
    vec![
        ("subscribe", sound.clone()),
        ("list", request(b"CASC", 1, 3, 50)),
        ("version-1", request(b"CASC", 1, 2, 38)),
        ("wrong-magic", request(b"CASK", 1, 3, 50)),
        ("wrong-version", request(b"CASC", 2, 3, 50)),
        ("wrong-command", request(b"CASC", 1, 5, 50)),
        ("the-other-length", request(b"CASC", 1, 3, 38)),
        ("header-only", sound.iter().copied().take(16).collect()),
        ("last-byte-missing", sound.iter().copied().take(65).collect()),
    ]
}
