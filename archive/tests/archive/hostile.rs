//! Every hostile archive that we could think of, and what is said to it. All are refused before the head has ended,
//! so before anything could be written.

use super::{file, folder, link, parse};
use cascade_archive::{Archive, BuildError, Entry, Fault, LineError, Refused, Shown};
use cascade_tests::hostile_archive as raw;

/// Longer than any archive here claims to be.
const LONG: u64 = 1 << 40;

fn refusal(lines: &[&str]) -> Refused {
    parse(&raw::head_of(lines), LONG, 100).expect_err(&format!("{lines:?} is taken"))
}

fn entry(path: &str, fault: Fault) -> Refused {
    Refused::Entry { path: Shown(path.into()), fault }
}

fn line(line: u64, why: LineError) -> Refused {
    Refused::Line { line, why }
}

#[test]
fn paths_and_names() {
    let deep: Vec<String> = (0..20).map(|depth| format!("{depth} d 0 {}", "n".repeat(250))).collect();
    let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
    let deep_path = vec!["n".repeat(250); 17].join("/");
    let long = "n".repeat(256);
    for (lines, refused) in [
        (&["0 f 0 0 /etc/passwd"][..], line(2, LineError::Slash)),
        (&["0 d 0 a", "1 f 0 0 b//c"], line(3, LineError::Slash)),
        (&["0 d 0 a/"], line(2, LineError::Slash)),
        (&["0 d 0 .."], entry("..", Fault::DotDot)),
        (&["0 d 0 a", "1 f 0 0 .."], entry("a/..", Fault::DotDot)),
        (&["0 d 0 ."], entry(".", Fault::Dot)),
        (&["0 d 10 "], entry("", Fault::Empty)),
        (&["0 d 0 a", "1 d 10 "], entry("a/", Fault::Empty)),
        (&["0 f 0 0 a\0b"], entry("a\0b", Fault::Zero)),
        (&["0 f 0 0 a\u{1b}[2Jb"], entry("a\u{1b}[2Jb", Fault::Control('\u{1b}'))),
        (&["0 f 0 0 a\rb"], entry("a\rb", Fault::Control('\r'))),
        (&["0 f 0 0 \u{202e}gpj.exe"], entry("\u{202e}gpj.exe", Fault::Direction('\u{202e}'))),
        (&["0 f 0 0 a\u{200b}"], entry("a\u{200b}", Fault::Invisible('\u{200b}'))),
        (&[&format!("0 f 0 0 {long}")], entry(&long, Fault::ComponentTooLong(256))),
        (&deep, entry(&deep_path, Fault::PathTooLong(17 * 251 - 1))),
    ] {
        assert_eq!(refusal(lines), refused, "{lines:?}");
    }
}

#[test]
fn trees_that_are_none() {
    for (lines, refused) in [
        (&["0 f 0 0 a", "0 f 0 0 a"][..], entry("a", Fault::Twice)),
        (&["0 d 0 a", "0 d 0 a"], entry("a", Fault::Twice)),
        (&["0 d 0 a", "1 f 0 0 b", "0 d 0 a"], entry("a", Fault::Twice)),
        (&["0 f 0 0 a", "0 f 0 0 b", "0 f 0 0 a"], entry("a", Fault::Order)),
        (&["0 d 0 b", "0 d 0 a"], entry("a", Fault::Order)),
        (&["0 d 0 a", "1 f 0 0 c", "1 f 0 0 b"], entry("a/b", Fault::Order)),
        (&["0 f 0 0 a", "0 d 0 a"], entry("a", Fault::FileAndFolder)),
        (&["0 d 0 a", "1 f 0 0 b", "0 f 0 0 a"], entry("a", Fault::FileAndFolder)),
        (&["0 f 0 0 a", "1 f 0 0 b"], entry("a/b", Fault::FileAndFolder)),
        (&["0 l 0 a/b", "0 d 0 a"], entry("a", Fault::FileAndFolder)),
        (&["0 l 0 a/b", "1 f 0 0 b"], entry("a/b", Fault::BelowLink)),
        (&["1 f 0 0 a"], entry("a", Fault::NoFolder)),
        (&["0 d 0 a", "2 f 0 0 b"], entry("a/b", Fault::NoFolder)),
        (&["0 d 0 a", "4294967296 f 0 0 b"], entry("a/b", Fault::NoFolder)),
        (&["18446744073709551615 d 0 b"], entry("b", Fault::NoFolder)),
        (&["0 d 8589934592 a"], entry("a", Fault::Time(8_589_934_592))),
    ] {
        assert_eq!(refusal(lines), refused, "{lines:?}");
    }
}

#[test]
fn links_that_leave() {
    for (lines, refused) in [
        (&["0 l 0 a/"][..], entry("a", Fault::NoTarget)),
        (&["0 l 0 a//etc/passwd"], entry("a", Fault::TargetAbsolute)),
        (&["0 l 0 a/.."], entry("a", Fault::TargetLeaves)),
        (&["0 d 0 a", "1 l 0 b/../../c"], entry("a/b", Fault::TargetLeaves)),
        // Two links of which each looks as if it stayed inside: deep/a is the shared folder, so deep/b is above it.
        (&["0 d 0 deep", "1 l 0 a/..", "1 l 0 b/a/.."], entry("deep/b", Fault::TargetClimbs)),
        (&["0 l 0 a/b/../../.."], entry("a", Fault::TargetClimbs)),
        (&["0 l 0 a/b\u{202e}"], entry("a", Fault::TargetCharacter('\u{202e}'))),
        (&[&format!("0 l 0 a/{}", "t".repeat(4096))], entry("a", Fault::TargetTooLong(4096))),
    ] {
        assert_eq!(refusal(lines), refused, "{lines:?}");
    }
}

#[test]
fn lines_that_are_none() {
    let endless = format!("0 f 0 0 {}", "n".repeat(5000));
    for (lines, refused) in [
        (&["0 c 0 1 3 null"][..], line(2, LineError::Kind('c'))),
        (&["0 h 0 a/b"], line(2, LineError::Kind('h'))),
        (&["0 d 0 a", "1 f 0 5"], line(3, LineError::Field)),
        (&["0 f 0 -5 a"], line(2, LineError::Number)),
        (&["0 f 0 05 a"], line(2, LineError::Number)),
        (&["0 f 0 99999999999999999999 a"], line(2, LineError::Number)),
        (&["", "0 f 100000 0 a"], line(2, LineError::Field)),
        (&[&endless], line(2, LineError::TooLong)),
    ] {
        assert_eq!(refusal(lines), refused, "{lines:?}");
    }
    let not_text = raw::comment(&raw::index(1, b"0 f 0 0 \xff\n"));
    assert_eq!(parse(&not_text, LONG, 100), Err(line(2, LineError::NotText)));
    let no_end = raw::comment(&raw::index(1, b"0 f 0 0 a\n0"));
    assert_eq!(parse(&no_end, LONG, 100), Err(line(3, LineError::Field)));
}

/// The twins are found when the head has ended and the length is right.
#[test]
fn twins() {
    for (lines, path, other) in [
        (&["0 f 0 0 README", "0 f 0 0 Readme"][..], "Readme", "README"),
        (&["0 d 0 A", "1 f 0 0 x", "0 d 0 a", "1 f 0 0 X"], "a", "A"),
        (&["0 d 0 d", "1 f 0 0 e\u{301}", "1 f 0 0 é"], "d/é", "d/e\u{301}"),
        (&["0 f 0 0 STRASSE", "0 f 0 0 straße"], "straße", "STRASSE"),
    ] {
        let head = raw::head_of(lines);
        // Names that are not ASCII have an extended header of two units more.
        let units: usize = lines.iter().map(|line| if line.is_ascii() { 1 } else { 3 }).sum();
        let length = (head.len() + 512 * units + 1024) as u64;
        let twin = entry(path, Fault::Twin(Shown(other.into())));
        assert_eq!(parse(&head, length, 100), Err(twin), "{lines:?}");
    }
    assert!(Archive::build(vec![folder("a"), folder("b"), file("a/x", 1), file("b/X", 1)]).is_ok());
}

#[test]
fn claims() {
    let comment = |first: &str| raw::comment(format!("{first}0 d 0 a\n").as_bytes());
    let claim =
        |entries: &str, bytes: &str| comment(&format!("cascade-folder 1 entries {entries} bytes {bytes}\n"));
    let (few, small) = ("0000000001", "0000000008");
    for (head, length, refused) in [
        (claim("0001000000", small), 5000, Refused::Claims { entries: 1_000_000, bytes: 8, length: 5000 }),
        (claim("0001000000", small), LONG, Refused::Claims { entries: 1_000_000, bytes: 8, length: LONG }),
        (claim(few, "0001000000"), 5000, Refused::Claims { entries: 1, bytes: 1_000_000, length: 5000 }),
        (claim("9999999999", small), LONG, Refused::TooManyEntries(9_999_999_999)),
        (claim("0004194305", small), LONG, Refused::TooManyEntries(4_194_305)),
        (claim(few, "9999999999"), LONG, Refused::IndexTooLong(9_999_999_999)),
        (claim("0000000000", small), 2560, Refused::Count { found: 1, claimed: 0 }),
        (claim(few, small), 2559, Refused::Claims { entries: 1, bytes: 8, length: 2559 }),
        (claim(few, small), 2561, Refused::Length { index: 2560, length: 2561 }),
        (claim(few, small), u64::MAX, Refused::Length { index: 2560, length: u64::MAX }),
        (claim("+000000001", small), 2560, Refused::Head(514)),
        (
            comment("cascade-folder 2 entries many, bytes unknown, and more\n"),
            2560,
            Refused::Version(Shown("2".into())),
        ),
        (comment(""), 2560, Refused::NotAFolder),
        (claim(few, small), 500, Refused::NotAFolder),
    ] {
        assert_eq!(parse(&head, length, 7), Err(refused));
    }
    let two = raw::comment(&raw::index(2, b"0 d 0 abcdefghij\n"));
    assert_eq!(parse(&two, 3072, 7), Err(Refused::Count { found: 1, claimed: 2 }));
    // A file that is longer than any: its length is not summed up to something small.
    let huge = raw::head_of(&["0 f 0 18446744073709551615 a", "0 f 0 18446744073709551615 b"]);
    let refused = |length| Refused::Length { index: u64::MAX, length };
    assert_eq!(parse(&huge, LONG, 7), Err(refused(LONG)));
    assert_eq!(parse(&huge, u64::MAX, 7), Err(refused(u64::MAX)));
    assert_eq!(parse(&raw::head_of(&["0 d 0 a"])[..600], 2560, 7), Err(Refused::Cut));
}

/// No byte of a head or a header may be another one.
#[test]
fn bytes_that_are_not_canonical() {
    let archive = Archive::build(vec![folder("ä"), file("ä/b", 600), link("c", "ä")]).unwrap();
    let sound = super::bytes(&archive, 0..archive.total_len());
    archive.check(0, &sound).unwrap();
    let mut in_content = 0;
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        match archive.check(0, &damaged) {
            Err(error) => assert_eq!(error.at, at as u64),
            Ok(()) => in_content += 1,
        }
        if at < usize::try_from(archive.head_len()).unwrap() {
            let read = parse(&damaged, damaged.len() as u64, 333);
            // Another name may be as good a name.
            assert!(read.as_ref() != Ok(&archive), "byte {at} does not matter");
        }
    }
    assert_eq!(in_content, 600);
    let at = archive.head_len() + 1024;
    let mut unit = sound[usize::try_from(at).unwrap()..][..512].to_vec();
    unit[0] = b'/';
    let error = archive.check(at, &unit).unwrap_err();
    assert_eq!((error.at, error.path.0.as_str()), (at, "c"));
}

#[test]
fn what_is_not_built() {
    let built = |entries: &[Entry]| Archive::build(entries.to_vec()).unwrap_err();
    for (entries, path, fault) in [
        (&[file("/a", 1)][..], "/a", Fault::Absolute),
        (&[file("", 1)], "", Fault::Empty),
        (&[folder("a"), file("a//b", 1)], "a//b", Fault::Empty),
        (&[folder("a/")], "a/", Fault::Empty),
        (&[folder("./a")], "./a", Fault::Dot),
        (&[folder("a"), file("a/../b", 1)], "a/../b", Fault::DotDot),
        (&[file("a/b", 1)], "a/b", Fault::NoFolder),
        (&[folder("a"), folder("b"), file("b/c/d", 1)], "b/c/d", Fault::NoFolder),
        (&[link("a", "b"), file("a/b", 1)], "a/b", Fault::BelowLink),
        (&[file("a", 1), file("a/b", 1)], "a/b", Fault::FileAndFolder),
        (&[file("a", 1), folder("a")], "a", Fault::FileAndFolder),
        (&[file("a", 1), file("a", 2)], "a", Fault::Twice),
        (&[link("a", "/etc")], "a", Fault::TargetAbsolute),
        (&[file("A", 1), file("a", 1)], "a", Fault::Twin(Shown("A".into()))),
        (&[Entry { mtime: 1 << 33, ..folder("a") }], "a", Fault::Time(1 << 33)),
    ] {
        assert_eq!(built(entries), BuildError::Entry { path: Shown(path.into()), fault }, "{entries:?}");
    }
    assert_eq!(built(&[file("a", u64::MAX)]), BuildError::TooLong);
    assert_eq!(built(&[file("a", 1 << 62), file("b", 1 << 62)]), BuildError::TooLong);
}

/// However hostile a name is, what is said of it is one line of bounded length that shows what it is.
#[test]
fn every_message_is_one_line() {
    let name = format!("{}\u{202e}\u{1b}\n{}", "n".repeat(5000), "\u{1b}".repeat(4000));
    let error = Refused::Entry { path: Shown(name.clone()), fault: Fault::Twin(Shown(name)) };
    let message = error.to_string();
    assert!(!message.contains(char::is_control) && message.len() < 400, "{message}");
    assert_eq!(
        entry("a/\u{202e}b", Fault::Direction('\u{202e}')).to_string(),
        "the folder has \"a/\\u{202e}b\": its name has a character that changes the direction of text, '\\u{202e}'"
    );
}
