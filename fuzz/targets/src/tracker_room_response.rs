//! What a tracker says of a room, as our peer reads it.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::text::is_shown;
use cascade_format::tracker_room::{MAX_PAGE, Page};

/// Reads the body of an answer.
///
/// # Panics
/// It is read otherwise than the protocol says, or something comes out that must not be shown.
pub fn run(data: &[u8]) {
    let read = Page::parse(data);
    assert_eq!(
        read.is_ok(),
        members(data).is_some_and(|count| count <= MAX_PAGE),
        "judged otherwise: {read:?}"
    );
    match read {
        Ok(page) => {
            assert_eq!(number(data, 0, 4), Some(u64::from(page.summary.complete)));
            assert_eq!(members(data), Some(page.members.len()));
            for member in &page.members {
                let texts = [member.name.as_str(), member.program.as_str()];
                assert!(texts.iter().all(|text| text.chars().all(is_shown)), "{texts:?}");
                assert!(member.progress.is_none_or(|progress| progress.blocks_done <= progress.blocks));
            }
            let mut again = Vec::new();
            page.encode(&mut again);
            assert_eq!(Page::parse(&again), Ok(page), "what was written is not read again");
        }
        Err(error) => assert_one_line(&error.to_string()),
    }
}

/// How many sound members follow the numbers; `None`: one is not.
fn members(data: &[u8]) -> Option<usize> {
    let mut rest = data.get(24..)?;
    let mut count = 0;
    while !rest.is_empty() {
        let length = usize::try_from(number(rest, 0, 2)?).ok()?;
        let member = rest.get(2..2 + length)?;
        let text = |at: usize, most: usize| {
            let length = usize::try_from(number(member, at, 1)?).ok()?;
            let text = std::str::from_utf8(member.get(at + 1..at + 1 + length)?).ok()?;
            (length <= most && text.chars().all(is_shown)).then_some(at + 1 + length)
        };
        let name = text(64, 24)?;
        text(name, 64)?;
        if number(member, 20, 8)? > number(member, 28, 8)? {
            return None;
        }
        rest = rest.get(2 + length..)?;
        count += 1;
    }
    Some(count)
}

/// Answers of well and ill behaved trackers.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let numbers = [1u32, 2, 3, 4, 5, 0].map(u32::to_be_bytes).concat();
    let member = |length: u16, had: u64, name: &[u8], rest: &[u8]| {
        let ip = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 0x22, 0xb9];
        let figures = [had, 9, 700, 800, 90].map(u64::to_be_bytes).concat();
        let name_len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let fixed = join(&[&length.to_be_bytes(), &ip, &[16, 0], &figures, &[0, 0, 0, 7]]);
        join(&[&fixed, &[1, b'v', name_len], name, rest])
    };
    let sound = member(73, 5, b"lab-07", b"");
    vec![
        ("nobody", numbers.clone()),
        ("somebody", join(&[&numbers, &sound])),
        ("two", join(&[&numbers, &sound, &sound])),
        ("more-than-fit", join(&[&numbers, &sound.repeat(51)])),
        ("something-of-later", join(&[&numbers, &member(76, 5, b"lab-07", b"new")])),
        ("more-blocks-than-there-are", join(&[&numbers, &member(73, 10, b"lab-07", b"")])),
        ("escape-in-the-name", join(&[&numbers, &member(73, 5, b"l\x1b[2Jx", b"")])),
        ("member-cut", join(&[&numbers, sound.get(..60).unwrap_or_default()])),
        ("length-of-a-member-cut", join(&[&numbers, &[0]])),
        ("empty-member", join(&[&numbers, &[0, 0]])),
        ("numbers-cut", numbers.iter().copied().take(23).collect()),
        ("no-bytes", vec![]),
    ]
}
