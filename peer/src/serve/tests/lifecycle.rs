//! Beginning, stopping, and what is left afterwards.

use super::support::{Client, Sample, Server, elapsed, is_alone, socket};
use crate::clock;
use crate::serve::{Options, Timeouts, Warn};
use cascade_tests::full_speed;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn stop_finishes_the_answers_under_way() {
    for copy in [false, true] {
        let sample = Sample::new(48 << 20, 16 << 20);
        let mut server = Server::with(&[&sample], Options { copy, ..Options::default() });
        let (mut idle, mut busy) = (server.connect(), server.connect());
        busy.send(&[sample.request(1), sample.request(2)].concat());
        let mut header = [0; 9];
        busy.0.read_exact(&mut header).unwrap();
        let reader = std::thread::scope(|scope| {
            let stopping = scope.spawn(|| server.stop());
            idle.expect_end();
            let mut body = vec![0; 16 << 20];
            busy.0.read_exact(&mut body).unwrap();
            assert!(body == sample.block(1), "copy {copy}: not the block's bytes");
            busy.expect_end();
            drop(busy);
            stopping.join()
        });
        reader.unwrap();
        assert!(TcpStream::connect(server.address).is_err(), "still listening");
        assert_eq!(server.stats.clients(), 0);
    }
}

#[test]
fn stop_does_not_wait_for_ever() {
    let timeouts = Timeouts { stop: Duration::from_millis(300), ..Timeouts::default() };
    let sample = Sample::new(32 << 20, 32 << 20);
    let mut server = Server::with(&[&sample], Options { timeouts, ..Options::default() });
    let mut stuck = server.connect();
    stuck.send(&sample.request(0));
    stuck.0.read_exact(&mut [0; 9]).unwrap();
    let start = clock::now();
    server.stop();
    let took = elapsed(start);
    assert!(took >= Duration::from_millis(290), "the answer had no chance: {took:?}");
    let at_full_speed = full_speed::since(start);
    assert!(at_full_speed < Duration::from_secs(5), "stopped only after {took:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_left_behind() {
    if !is_alone("serve::tests::lifecycle::nothing_is_left_behind") {
        return;
    }
    let sample = Sample::new(2 << 20, 1 << 20);
    let mut counts = Vec::new();
    for _ in 0..4 {
        let mut server = Server::start(&[&sample]);
        let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            match number % 4 {
                0 => client.send(&sample.request(1)),
                1 => client.send(&sample.request(0)[..30]),
                2 => client.send(b"nonsense"),
                _ => {}
            }
        }
        clients[0].expect_block(&sample, 1);
        drop(clients);
        server.stop();
        counts.push(["fd", "task"].map(count_own));
    }
    // The first pool leaves what tokio makes once for a process.
    assert_eq!(counts[1..], [counts[0]; 3], "descriptors and threads after each pool");
}

#[cfg(target_os = "linux")]
fn count_own(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

/// Without a free descriptor a new client is told so; if somebody takes nothing, it gets that one's place.
#[test]
#[cfg(target_os = "linux")]
fn no_descriptor_is_no_end() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if !is_alone("serve::tests::lifecycle::no_descriptor_is_no_end") {
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum: Some(100) }).unwrap();
    let sample = Sample::new(1000, 100);
    let soon = Duration::from_millis(50);
    let timeouts = Timeouts { evict: soon, silent: soon, ..Timeouts::default() };
    let warnings = Arc::new(AtomicUsize::new(0));
    let warn = {
        let warnings = Arc::clone(&warnings);
        Warn(Arc::new(move |text| {
            assert!(text.contains("ulimit -n"), "{text}");
            warnings.fetch_add(1, Ordering::Relaxed);
        }))
    };
    let server = Server::with(&[&sample], Options { timeouts, warn, ..Options::default() });
    let use_up = || {
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        taken
    };
    // The clients are in this process, too, so they have their sockets before none is left: one that is left
    // for them is in use for a moment each time that the server looks whether another client waits.
    let mut sockets: Vec<_> = (0..21).map(|_| socket(server.address)).collect();
    // Nobody can be closed to make room: the new client is refused at once.
    let ticks = own_cpu_ticks();
    let taken = use_up();
    let mut refused = Vec::new();
    for socket in sockets.drain(1..) {
        let mut client = Client::over(socket, server.address);
        let _ = client.0.write_all(&sample.request(1));
        assert_ne!(client.read_to_end().first(), Some(&0), "a block");
        refused.push(client);
    }
    assert_eq!((server.stats.evicted(), server.stats.refused()), (0, 20));
    drop((taken, refused));
    assert!(own_cpu_ticks() - ticks < 20, "busy while there was nothing to do but refuse");
    let mut first = server.connect();
    first.send(&sample.request(1));
    first.expect_block(&sample, 1);
    // Now there is somebody: the first one idles.
    std::thread::sleep(soon * 2);
    let _taken = use_up();
    let mut second = Client::over(sockets.remove(0), server.address);
    second.send(&sample.request(2));
    second.expect_block(&sample, 2);
    first.expect_end();
    assert_eq!((server.stats.evicted(), server.stats.refused()), (1, 20));
    assert_eq!(warnings.load(Ordering::Relaxed), 1, "told once, not each time");
}

/// User and system time of this process, in ticks of 10 ms.
#[cfg(target_os = "linux")]
fn own_cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum()
}
