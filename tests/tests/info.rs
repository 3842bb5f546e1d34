use cascade_tests::cascade_file::{TestFile, hex, sha256};
use cascade_tests::launch::Launch;

#[test]
fn several_files_are_told_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "two", "three"].map(|name| TestFile::random(name, 5000, 512));
    let paths: Vec<_> = files.iter().map(|file| file.write_cascade(folder.path())).collect();
    let done = Launch::peer("info").args(&paths).run();
    done.assert_success();
    let at = files.each_ref().map(|file| done.stdout.find(&file.hex()).unwrap_or_else(|| panic!("{done}")));
    assert!(at.is_sorted(), "in the order given: {done}");
}

#[test]
fn json_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("described", 5000, 512);
    let done = Launch::peer("info").arg(file.write_cascade(folder.path())).arg("--json").run();
    let lines = done.assert_success().json_lines();
    assert_eq!(lines.len(), 1, "one object a file: {done}");
    let text = lines[0].to_string();
    for part in [file.hex(), hex(&sha256(&file.data)), "5000".into(), "512".into(), "10".into()] {
        assert!(text.contains(&part), "{part}: {done}");
    }
}

#[test]
fn a_damaged_file_among_others_fails_and_hides_none() {
    let folder = tempfile::tempdir().unwrap();
    let right = TestFile::random("right", 5000, 512);
    let mut damaged = TestFile::random("damaged", 5000, 512);
    damaged.cascade.pop();
    let paths = [damaged.write_cascade(folder.path()), right.write_cascade(folder.path())];
    let done = Launch::peer("info").args(paths).run();
    done.assert_one_line_error(&["damaged.cascade"]);
    assert!(done.stdout.contains(&right.hex()), "the right one is told all the same: {done}");
}

#[test]
fn reserved_bytes_are_ignored_but_count_in_the_cascade_hash() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = TestFile::random("reserved", 5000, 512);
    file.cascade[8..16].fill(0xee);
    let done = Launch::peer("info").arg(file.write_cascade(folder.path())).run();
    done.assert_success();
    assert!(done.stdout.contains(&hex(&sha256(&file.cascade))), "{done}");
}
