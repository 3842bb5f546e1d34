use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::ForeignPeer;
use cascade_tests::hostile_archive::{archive, file, head};
use cascade_tests::tree::{Elsewhere, FolderScene};
use std::fs;
use std::path::Path;

/// Everything below a folder, with the bytes of files.
fn everything(root: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = path.is_file().then(|| fs::read(&path).unwrap());
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push((path.display().to_string(), bytes));
        }
    }
    found.sort();
    found
}

/// A download of the archive ends with one line and exit code 1, and writes nothing but its part.
#[track_caller]
fn assert_refused(file: &TestFile, why: &str) {
    let peer = ForeignPeer::honest(file);
    // One folder up is where `..` leads.
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("a/b");
    fs::create_dir_all(&dir).unwrap();
    fs::write(outer.path().join("precious"), "precious").unwrap();
    fs::write(dir.join("passwd"), "precious").unwrap();
    let elsewhere = Elsewhere::of(file);
    let cascade = file.write_cascade(&dir);
    let before = everything(outer.path());
    for again in [false, true] {
        let download = elsewhere.download(peer.addr).arg("-o").arg(dir.join("photos"));
        let done = download.run();
        done.assert_one_line_error(&["photos", why, "refused"]);
        let mut after = everything(outer.path());
        after.retain(|(path, _)| !path.contains("photos.part"));
        assert!(after == before, "{why}, {again}: {after:?}");
    }
    assert!(cascade.exists());
}

#[test]
fn an_index_that_no_honest_peer_makes_is_refused() {
    let long = format!("0 f 0 0 {}", "n".repeat(256));
    let deep: Vec<String> = (0..18).map(|depth| format!("{depth} d 0 {}", "n".repeat(250))).collect();
    let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
    for (lines, why) in [
        (&["0 f 0 0 /etc/passwd"][..], "a name has a slash"),
        (&["0 f 0 0 ../passwd"], "a name has a slash"),
        (&["0 f 0 0 .."], "has the component .."),
        (&["0 d 0 a", "1 f 0 0 .."], "has the component .."),
        (&["0 d 0 ."], "has the component ."),
        (&["0 d 10 "], "an empty component"),
        (&["0 f 0 0 a", "0 f 0 0 a"], "it is there twice"),
        (&["0 f 0 0 a", "0 d 0 a"], "both a folder and something else"),
        (&["0 f 0 0 a", "1 f 0 0 b"], "both a folder and something else"),
        (&["0 l 0 a/..", "1 f 0 0 passwd"], "a"),
        (&["0 l 0 a/b", "1 f 0 0 passwd"], "below a symbolic link"),
        (&["0 d 0 a", "2 f 0 0 b"], "the folder that it is in is missing"),
        (&["0 d 0 b", "0 d 0 a"], "entries are sorted"),
        (&["0 f 0 0 README", "0 f 0 0 Readme"], "same name but for case or spelling"),
        (&["0 f 0 0 a\u{1b}[2J"], "the control character"),
        (&["0 f 0 0 \u{202e}gpj.exe"], "changes the direction of text"),
        (&["0 f 0 0 a\u{200b}"], "an invisible character"),
        (&[&long], "has 256 bytes"),
        (&deep, "at most 4096 are possible"),
        (&["0 l 0 a//etc/passwd"], "an absolute target"),
        (&["0 l 0 a/../precious"], "leaves the folder"),
        (&["0 d 0 a", "1 l 0 b/..", "1 l 0 c/b/.."], "nobody can tell where that leads"),
        (&["0 c 0 0 null"], "no kind of entry"),
        (&["0 f 0 05 a"], "a number is wrong"),
        (&["0 d 8589934592 a"], "the latest is"),
        (&["0 f 0 18446744073709551615 a"], "bytes by its index"),
        (&["0 f 0 700 a"], "bytes by its index"),
    ] {
        assert_refused(&file(archive(lines)), why);
    }
}

#[test]
fn claims_are_not_believed() {
    let filled = |mut bytes: Vec<u8>, len: usize| {
        bytes.resize(bytes.len() + len, 0);
        file(bytes)
    };
    let line = "0 d 0 a\n";
    // A million entries in a tiny file, more than any folder has, an index that is longer than the file.
    assert_refused(&filled(head(1_000_000, 9_000_000, line), 2048), "claims 1000000 entries");
    assert_refused(&filled(head(4_194_305, 100, line), 2048), "claims 4194305 entries");
    assert_refused(&filled(head(1, 999_999_999, line), 2048), "claims 999999999 bytes");
    assert_refused(&filled(head(1, 100_000, line), 2048), "entries in");
    // More and fewer lines than it says; more bytes behind the last entry.
    assert_refused(&filled(head(2, 16, "0 d 0 a\n0 d 0 b\n"), 2048 + 512), "bytes by its index");
    assert_refused(&filled(head(1, 16, "0 d 0 a\n0 d 0 b\n"), 2048), "claims 1");
    assert_refused(&filled(head(3, 24, "0 d 0 a\n0 d 0 bbbbbbbbb\n"), 4096), "claims 3");
}

/// An honest archive with one byte changed.
fn changed(honest: &TestFile, block_size: usize, change: impl Fn(&mut [u8])) -> TestFile {
    let mut bytes = honest.data.to_vec();
    change(&mut bytes);
    TestFile::of("photos", bytes, block_size)
}

#[test]
fn a_byte_that_is_not_what_belongs_there_is_refused() {
    let scene = FolderScene::new("photos", "65536", |root| {
        fs::create_dir(root.join("folder")).unwrap();
        for name in ["a", "b", "c", "folder/d"] {
            fs::write(root.join(name), vec![7; 10_000]).unwrap();
        }
    });
    let (_seeder, addr) = scene.seeding();
    let honest = scene.fetch(addr);
    let find = |bytes: &[u8], name: &[u8]| {
        let units = bytes.chunks(512).enumerate();
        let is_header = |unit: &[u8]| unit.starts_with(name) && &unit[257..262] == b"ustar";
        units.filter(|(_, unit)| is_header(unit)).map(|(number, _)| number * 512).next().unwrap()
    };
    for block_size in [500, 4096, 1 << 20] {
        // The head: the mode of its header, and a byte behind the index.
        let in_head = |at: usize| changed(&honest, block_size, |bytes| bytes[at] = b'7');
        assert_refused(&in_head(104), "index is damaged");
        assert_refused(&in_head(1023), "index is damaged");
        // Headers: another mode, another name, a longer size, an owner.
        for (name, at) in [("b\0", 104), ("c\0", 0), ("folder/d\0", 130), ("folder/\0", 110), ("a\0", 500)] {
            let file = changed(&honest, block_size, |bytes| {
                let header = find(bytes, name.as_bytes());
                bytes[header + at] = b'7';
            });
            assert_refused(&file, "tar header");
        }
        // Behind a file's content, and at the end of all.
        let behind = changed(&honest, block_size, |bytes| {
            let header = find(bytes, b"b\0");
            bytes[header + 512 + 10_000] = 1;
        });
        assert_refused(&behind, "tar header");
        let end = changed(&honest, block_size, |bytes| *bytes.last_mut().unwrap() = 1);
        assert_refused(&end, "tar header");
    }
}

/// Kept as one file it is what it is: a file.
#[test]
fn a_hostile_archive_can_be_had_as_one_file() {
    let file = file(archive(&["0 f 0 0 /etc/passwd"]));
    let peer = ForeignPeer::honest(&file);
    let elsewhere = Elsewhere::of(&file);
    elsewhere.download(peer.addr).arg("--tar").run().assert_success();
    file.assert_same(&elsewhere.dir.path().join("photos.tar"));
}
