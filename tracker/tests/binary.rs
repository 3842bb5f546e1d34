//! The command as a process: its log, its limits, its end. What it answers, and its command line, are tested in
//! `tests/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test, with a deadline for each wait"
)]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn tracker(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a tracker and reads the line that says where it listens.
fn start(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    read_start(&mut tracker(args))
}

fn read_start(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (child, stdout, line)
}

fn port_of(line: &str) -> u16 {
    let rest = line.strip_prefix("tracker: listening on 127.0.0.1:").unwrap_or_else(|| panic!("{line:?}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}

fn subscribe(port: u16, file: u8) -> Vec<u8> {
    let mut request = [file; 54];
    request[..16].copy_from_slice(b"CASC\0\0\0\x01\0\0\0\x02\0\0\0\x26");
    request[48..].copy_from_slice(&[203, 0, 113, 7, 0x23, 0x28]);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(&request).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    answer
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn it_says_where_it_listens_logs_registrations_once_and_stops_on_both_signals() {
    for stop in [Signal::INT, Signal::TERM] {
        let (mut child, mut stdout, line) = start(&["--listen", "127.0.0.1:0"]);
        assert!(line.ends_with(" (open: any file)\n"), "{line:?}");
        for _ in 0..3 {
            assert_eq!(subscribe(port_of(&line), 0xab), [0; 5]);
        }
        signal(&child, stop);
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(log, format!("tracker: registered 203.0.113.7:9000 for {}\n", "ab".repeat(32)));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line on stdout");
    }
}

#[test]
fn it_serves_on_when_descriptors_run_out() {
    // Ten or so are taken before the first client: the limit is met long before the connections' bound.
    let script = format!("ulimit -n 24; exec {} -l 127.0.0.1:0", env!("CARGO_BIN_EXE_tracker"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (mut child, _stdout, line) = read_start(&mut command);
    let mut idle = Vec::new();
    for file in 0..100 {
        idle.push(TcpStream::connect(("127.0.0.1", port_of(&line))).unwrap());
        if file % 10 == 0 {
            assert_eq!(subscribe(port_of(&line), file), [0; 5]);
        }
    }
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", child.id())).map(Iterator::count);
    assert!(descriptors.unwrap_or(24) >= 20, "the limit was not met: this test shows nothing");
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Whether a thread of the process has this name.
#[cfg(target_os = "linux")]
fn has_thread(child: &Child, name: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
    threads.into_iter().any(|thread| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    })
}

#[cfg(target_os = "linux")]
#[test]
fn its_readers_may_die_at_any_time() {
    let (mut child, stdout, line) = start(&["-l", "127.0.0.1:0"]);
    assert_eq!(subscribe(port_of(&line), 0), [0; 5]);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    log.read_line(&mut first).unwrap();
    assert!(first.starts_with("tracker: registered "), "{first:?}");
    assert!(has_thread(&child, "log"), "another thread writes the log: this test shows nothing");
    drop((log, stdout));
    // The next line meets a closed pipe, and the thread that writes ends.
    assert_eq!(subscribe(port_of(&line), 1), [0; 5]);
    wait_for(&mut child, "its log goes on", |child| !has_thread(child, "log"));
    for file in 2..20 {
        assert_eq!(subscribe(port_of(&line), file), [0; 5]);
    }
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Looks at `child` until `done`, for up to 20 s; what is wrong then is `trouble`.
fn wait_for(child: &mut Child, trouble: &str, mut done: impl FnMut(&mut Child) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done(child) {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("after 20 s: {trouble}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process catches SIGINT: from then on it does not end by itself.
#[cfg(target_os = "linux")]
fn catches_interrupts(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
}

#[cfg(target_os = "linux")]
#[test]
fn sigint_ends_it_while_nobody_reads_the_pipe_that_it_starts_to_write_to() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut command = tracker(&["-l", "127.0.0.1:0"]);
    let mut child = command.stdout(writer).spawn().unwrap();
    wait_for(&mut child, "it does not catch SIGINT", |child| catches_interrupts(child));
    wait_for(&mut child, "it has not ended", |child| {
        signal(child, Signal::INT);
        child.try_wait().unwrap().is_some()
    });
}

#[cfg(target_os = "linux")]
#[test]
fn sigint_ends_it_while_it_hashes_the_largest_file_that_it_takes() {
    const BLOCKS: u64 = cascade_tracker::allow::MAX_ALLOWED_BLOCKS;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let header = [&b"CASCADE1\0\0\0\0\0\0\0\0"[..], &BLOCKS.to_be_bytes(), &1u64.to_be_bytes()];
    file.write_all(&header.concat()).unwrap();
    if let Err(error) = file.as_file().set_len(64 + 32 * BLOCKS) {
        eprintln!("skipped: no file system for a hole of 2 GiB here: {error}");
        return;
    }
    let path = file.path().to_str().unwrap();
    let mut child = tracker(&["-l", "127.0.0.1:0", "--allow", path]).spawn().unwrap();
    wait_for(&mut child, "it did not open the file: this test shows nothing", |child| {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        folder.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == file.path()))
    });
    signal(&child, Signal::INT);
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
    assert_eq!(printed, "", "it was past the file: this test shows nothing");
}
