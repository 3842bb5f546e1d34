use cascade_tests::cascade_file::TestFile;
use cascade_tests::launch::Launch;
use cascade_tests::outcome::Outcome;
use std::fs;
use tempfile::TempDir;

fn file() -> TestFile {
    TestFile::random("verified.bin", 10_000, 512)
}

/// A folder with the `.cascade` and this data, and what `peer verify` says of it.
fn verify(file: &TestFile, data: &[u8], args: &[&str]) -> (TempDir, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let cascade = file.write_cascade(folder.path());
    fs::write(folder.path().join(&file.name), data).unwrap();
    let done = Launch::peer("verify").arg(cascade).args(args).run();
    (folder, done)
}

#[test]
fn right_data_is_right() {
    let (_folder, done) = verify(&file(), &file().data, &[]);
    done.assert_success();
    assert!(done.stdout.contains("20"), "20 blocks: {done}");
}

#[test]
fn a_wrong_block_is_named() {
    let (_folder, done) = verify(&file(), &file().data_with(|block| block == 13), &[]);
    done.assert_code(1);
    assert!(done.both().contains("13"), "{done}");
}

#[test]
fn missing_blocks_are_told_from_wrong_ones() {
    let (_folder, done) = verify(&file(), &file().data[..5000], &[]);
    done.assert_code(1);
    assert!(done.both().contains("missing"), "{done}");
}

#[test]
fn json_tells_right_and_wrong() {
    let (_folder, done) = verify(&file(), &file().data_with(|block| block == 13), &["--json"]);
    assert!(!done.assert_code(1).json_lines().is_empty(), "{done}");
    let (_folder, done) = verify(&file(), &file().data, &["--json"]);
    assert!(!done.assert_success().json_lines().is_empty(), "{done}");
}

#[test]
fn trailing_bytes_are_not_right() {
    let longer = [&file().data[..], b"x"].concat();
    verify(&file(), &longer, &[]).1.assert_code(1);
}

#[test]
fn a_whole_file_hash_that_does_not_match_is_not_right() {
    let file = file().with_false_file_hash();
    verify(&file, &file.data, &[]).1.assert_code(1);
}

#[test]
fn the_data_may_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let cascade = file().write_cascade(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, &file().data).unwrap();
    Launch::peer("verify").arg(&cascade).arg(&elsewhere).run().assert_success();
    Launch::peer("verify").arg(&cascade).run().assert_code(1).assert_error_mentions(&["verified.bin"]);
}

#[test]
fn an_empty_file_is_right_and_a_missing_one_is_not() {
    let empty = TestFile::of("empty", Vec::new(), 512);
    verify(&empty, b"", &[]).1.assert_success();
    verify(&empty, b"x", &[]).1.assert_code(1);
}

/// The command that is named makes right what was verified, whatever its name is.
#[test]
fn the_command_that_mends_names_the_data() {
    let (file, folder) = (file(), tempfile::tempdir().unwrap());
    let cascade = file.write_cascade(folder.path());
    let _ = file.write_data(folder.path());
    let other = folder.path().join("other.bin");
    fs::write(&other, file.data_with(|block| block == 13)).unwrap();
    let done = Launch::peer("verify").arg(&cascade).arg(&other).run();
    let mends = format!("peer download {} -o {} mends it", cascade.display(), other.display());
    assert!(done.assert_code(1).stderr.contains(&mends), "{done}");
    let usual = folder.path().join(&file.name);
    fs::write(&usual, file.data_with(|block| block == 13)).unwrap();
    let done = Launch::peer("verify").arg(&cascade).arg(&usual).run();
    let mends = format!("peer download {} mends it", cascade.display());
    assert!(done.assert_code(1).stderr.contains(&mends), "{done}");
}
