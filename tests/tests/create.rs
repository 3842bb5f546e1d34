use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::launch::{Launch, Sink};
use cascade_tests::process::has_open;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// The block size in the header of a `.cascade` file.
fn block_size(cascade: &Path) -> u64 {
    let bytes = fs::read(cascade).unwrap();
    u64::from_be_bytes(bytes[24..32].try_into().unwrap())
}

/// A file of zeroes that takes no room.
fn sparse(path: &Path, length: u64) {
    File::create(path).unwrap().set_len(length).unwrap();
}

#[test]
fn it_writes_beside_the_file_and_prints_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("create.bin", 300_000, 65_536);
    let data = file.write_data(folder.path());
    let done = Launch::peer("create").arg(&data).run();
    done.assert_success();
    assert_eq!(fs::read(folder.path().join("create.bin.cascade")).unwrap(), file.cascade);
    for part in [&file.hex(), "peer seed", "peer download", "create.bin.cascade"] {
        assert!(done.stdout.contains(part), "{part} is not printed: {done}");
    }
}

#[test]
fn the_output_can_be_named_and_several_files_given() {
    let folder = tempfile::tempdir().unwrap();
    let first = TestFile::random("first", 1000, 65_536);
    let second = TestFile::random("second", 100_000, 65_536);
    let out = folder.path().join("elsewhere.cascade");
    Launch::peer("create").arg(first.write_data(folder.path())).arg("-o").arg(&out).run().assert_success();
    assert_eq!(fs::read(&out).unwrap(), first.cascade);
    let both = [&first, &second].map(|file| file.write_data(folder.path()));
    Launch::peer("create").args(both).run().assert_success();
    for file in [&first, &second] {
        assert_eq!(fs::read(folder.path().join(format!("{}.cascade", file.name))).unwrap(), file.cascade);
    }
}

#[test]
fn the_default_block_size_follows_the_length() {
    let folder = tempfile::tempdir().unwrap();
    // The power of two nearest to length/1024, between 64 KiB and 4 MiB.
    for (length, expected) in [
        (0, 65_536),
        (1, 65_536),
        (80 * MIB, 65_536),
        (100 * MIB, 131_072),
        (150 * MIB, 131_072),
        (256 * MIB, 262_144),
    ] {
        let data = folder.path().join(format!("{length}.bin"));
        sparse(&data, length);
        let done = Launch::peer("create").arg(&data).run();
        done.assert_success();
        assert_eq!(
            block_size(&folder.path().join(format!("{length}.bin.cascade"))),
            expected,
            "{length} bytes"
        );
    }
}

#[test]
fn block_sizes_are_written_in_many_ways() {
    let folder = tempfile::tempdir().unwrap();
    let data = TestFile::random("sizes", 10, 1).write_data(folder.path());
    for (size, expected) in
        [("1048576", MIB), ("1MiB", MIB), ("1mib", MIB), ("100kib", 102_400), ("64KiB", 65_536), ("1", 1)]
    {
        Launch::peer("create").arg(&data).args(["-b", size]).run().assert_success();
        assert_eq!(block_size(&folder.path().join("sizes.cascade")), expected, "{size}");
    }
    fs::remove_file(folder.path().join("sizes.cascade")).unwrap();
    for wrong in ["0", "0KiB", "-1", "many", "1 parsec", "", "99999999999999999999", "99999999999TiB"] {
        Launch::peer("create").arg(&data).arg(format!("--block-size={wrong}")).run().assert_code(2);
    }
    assert!(!folder.path().join("sizes.cascade").exists());
}

#[test]
fn a_cascade_file_that_may_not_grow_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = TestFile::random("grows", 5000, 1).write_data(folder.path());
    // In units of 512 bytes, at most of 1024.
    let done = Launch::peer("create").arg(&data).args(["-b", "1"]).after_shell("ulimit -f 1").run();
    done.assert_one_line_error(&["grows.cascade", "large", "ulimit -f"]);
    assert!(!done.stderr.contains(".cascade-"), "the name of the temporary file: {done}");
}

#[test]
fn json_tells_the_cascade_hash() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("json.bin", 200_000, 65_536);
    let done = Launch::peer("create").arg(file.write_data(folder.path())).arg("--json").run();
    let lines = done.assert_success().json_lines();
    assert!(lines.iter().any(|line| line.to_string().contains(&file.hex())), "{done}");
}

#[test]
fn devices_missing_files_and_missing_places_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    Launch::peer("create").arg("/dev/null").run().assert_one_line_error(&["/dev/null", "device"]);
    Launch::peer("create").arg("/nonexistent/data").run().assert_one_line_error(&["/nonexistent/data"]);
    let data = TestFile::random("placed", 10, 1).write_data(folder.path());
    let out = "/nonexistent/out.cascade";
    let done = Launch::peer("create").arg(data).args(["-o", out]).run();
    done.assert_one_line_error(&[out, "No such file", "another place with -o"]);
    assert!(!done.stderr.contains(".cascade-"), "a name that the user has never seen: {done}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("changing.bin");
    sparse(&data, 512 * MIB);
    let mut create = Launch::peer("create").arg(&data).start();
    let pid = create.pid();
    create.wait_until("create has opened the file", || has_open(pid, &data).then_some(()));
    OpenOptions::new().write(true).open(&data).unwrap().write_all_at(b"changed", 0).unwrap();
    create.wait_exit().assert_one_line_error(&["changing.bin", "chang"]);
    assert!(!folder.path().join("changing.bin.cascade").exists(), "a wrong .cascade was left behind");
}

#[test]
fn a_file_that_grows_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("growing.bin");
    sparse(&data, 512 * MIB);
    let mut create = Launch::peer("create").arg(&data).start();
    let pid = create.pid();
    create.wait_until("create has opened the file", || has_open(pid, &data).then_some(()));
    OpenOptions::new().append(true).open(&data).unwrap().write_all(b"more").unwrap();
    create.wait_exit().assert_one_line_error(&["growing.bin", "chang"]);
    assert!(!folder.path().join("growing.bin.cascade").exists(), "a wrong .cascade was left behind");
}

#[test]
fn memory_does_not_depend_on_the_block_size() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("memory.bin");
    sparse(&data, 200 * MIB);
    for size in ["64KiB", "200MiB", "4GiB"] {
        let done = Launch::peer("create").arg(&data).args(["-b", size]).run();
        done.assert_success();
        assert!(done.peak_memory > 0, "the memory was not seen: {done}");
        assert!(done.peak_memory < 64 * MIB, "blocks of {size}: {done}");
    }
}

#[test]
fn a_broken_pipe_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("piped", 10, 1);
    let data = file.write_data(folder.path());
    let cascade = file.write_cascade(folder.path());
    for launch in [
        Launch::peer("create").arg(&data).args(["-b", "1"]),
        Launch::peer("info").arg(&cascade),
        Launch::peer("verify").arg(&cascade),
        Launch::peer("info").arg(&cascade).arg("--json"),
    ] {
        launch.stdout(Sink::BrokenPipe).run().assert_success();
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let reserved = Reserved::new().addr.to_string();
    for wrong in [
        Launch::peer("create"),
        Launch::peer("info"),
        Launch::peer("verify"),
        Launch::peer("download"),
        Launch::peer("seed"),
        Launch::peer("juggle"),
        Launch::peer("download").args(["x.cascade", "--listen", "nowhere"]),
        Launch::peer("download").args(["x.cascade", "--peer", "nowhere"]),
        Launch::peer("create").args(["x", "--peer", &reserved]),
        Launch::peer("create").args(["x", "--tracker", "nowhere"]),
        Launch::peer("link"),
        Launch::peer("download").arg("cascade:7f86"),
    ] {
        wrong.run().assert_code(2);
    }
}

#[test]
fn help_lists_the_subcommands() {
    let done = Launch::peer("--help").run();
    done.assert_success();
    for subcommand in ["share", "create", "info", "link", "verify", "download", "seed", "demo"] {
        assert!(done.stdout.contains(subcommand), "{subcommand}: {done}");
    }
}
