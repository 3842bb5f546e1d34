//! A folder that is brought up to date and has files with second names, as `cp -al` makes them.

use super::*;
use crate::ground::disk::SystemDisk;
use cascade_format::Have;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

/// What [`sample`] has, and files that are one file in the outdated folder.
fn with_twins() -> tempfile::TempDir {
    let dir = sample();
    for name in ["twin 1", "twin 2", "z 1", "z 2"] {
        fs::write(dir.path().join(name), vec![name.as_bytes()[0]; 600]).unwrap();
    }
    dir
}

/// Brings `outdated` up to date. Tells whether anything looked as if another program had changed it.
fn update(source: &Tree, outdated: &Path, block_size: u64) -> Option<PathBuf> {
    let bytes = plain(source.archive(), &source.path());
    let made = tempfile::tempdir().unwrap();
    let layout = Layout::new(bytes.len() as u64, block_size).unwrap();
    let (lock, written) = (tempfile::tempfile().unwrap(), Written::default());
    let old = Some(Outdated { path: outdated, written });
    let part = FolderPart::open(source.archive().clone(), made.path(), lock, layout, old).unwrap();
    part.copy_from(outdated, &NEVER).unwrap();
    part.look().unwrap();
    let mut have = Have::none(&layout);
    let wanted = |block| {
        let range = layout.range(block);
        &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    };
    for block in layout.iter() {
        let mut read = vec![0; wanted(block).len()];
        if part.fill(&mut read, layout.start(block)).is_ok() && read == wanted(block) {
            have.insert(block);
        }
    }
    part.move_out(&have, &NEVER).unwrap();
    for block in layout.iter().filter(|block| !have.has(*block)) {
        part.write_all_at(&mut [IoSlice::new(wanted(block))], layout.start(block)).unwrap();
    }
    part.complete(&NEVER).unwrap();
    let done = part.rename(&SystemDisk, made.path(), outdated).unwrap();
    assert!(done.is_some() || part.first_changed().is_some());
    part.first_changed()
}

fn look(path: &Path) -> (u64, u32, i64, Vec<u8>) {
    let there = fs::metadata(path).unwrap();
    (there.ino(), there.mode(), there.mtime(), fs::read(path).unwrap())
}

#[test]
fn a_file_with_a_second_name_stays_if_all_of_it_is_right_and_is_never_changed() {
    for block_size in [512, 8192] {
        let (new, old) = (with_twins(), with_twins());
        let (shelf, outdated) = (tempfile::tempdir().unwrap(), old.path());
        let names = ["a/file", "a/b/c/large", "a-b", "ü/é", "none", "twin 1", "twin 2", "z 1", "z 2"];
        for name in names {
            for root in [new.path(), outdated] {
                let time = UNIX_EPOCH + Duration::from_secs(1_000_000);
                fs::File::open(root.join(name)).unwrap().set_modified(time).unwrap();
            }
        }
        // Two names in the folder, of which one, or none, gets another file.
        fs::write(new.path().join("twin 1"), "another").unwrap();
        for (one, other) in [("twin 1", "twin 2"), ("z 1", "z 2")] {
            fs::remove_file(outdated.join(other)).unwrap();
            fs::hard_link(outdated.join(one), outdated.join(other)).unwrap();
        }
        fs::write(new.path().join("a/b/c/large"), vec![3; 300_000]).unwrap();
        fs::File::open(outdated.join("a-b")).unwrap().set_modified(UNIX_EPOCH).unwrap();
        fs::set_permissions(outdated.join("ü/é"), fs::Permissions::from_mode(0o755)).unwrap();
        for (number, name) in names.iter().enumerate() {
            fs::hard_link(outdated.join(name), shelf.path().join(number.to_string())).unwrap();
        }
        let elsewhere = || -> Vec<_> {
            (0..names.len()).map(|number| look(&shelf.path().join(number.to_string()))).collect()
        };
        let before = elsewhere();
        let source = walk(new.path()).unwrap();
        assert_eq!(update(&source, outdated, block_size), None, "nobody has changed anything but we");
        assert!(elsewhere() == before, "what has another name elsewhere is what it was");
        assert!(walk(outdated).unwrap().archive() == source.archive());
        for (name, before) in names.iter().zip(before) {
            let now = look(&outdated.join(name));
            assert_eq!(now.3, fs::read(new.path().join(name)).unwrap(), "{name}");
            assert_eq!(now.0 == before.0, ["a/file", "none"].contains(name), "{name}");
        }
        let kept =
            outdated.with_file_name(format!("{}.replaced", outdated.file_name().unwrap().to_str().unwrap()));
        assert!(!kept.join("a/file").exists() && kept.join("a-b").exists());
        fs::remove_dir_all(kept).unwrap();
    }
}
