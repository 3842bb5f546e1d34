//! Clients of several hosts at one seeder: 127.0.0.0/8 has many addresses.

use super::support::{Client, PATIENCE, Sample, Server, elapsed, wait_until};
use crate::clock;
use crate::serve::uplink::unsent;
use cascade_tests::full_speed;
use socket2::{Domain, Socket, Type};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Longer than it takes to see that a client takes nothing.
const SEEN_WITHIN: Duration = Duration::from_secs(4);

/// What the system lets one connection alone have in its buffers, in bytes.
const MOST_OF_ONE: u64 = 4 << 20;

/// Bytes of a page of memory.
const PAGE: u64 = 4 << 10;

/// A client at 127.0.0.`host`.
fn connect_from(server: &Server, host: u8) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)).into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    Client(socket.into())
}

/// Asks for all blocks of `sample`, and reads nothing.
fn hold_from(server: &Server, sample: &Sample, host: u8) -> Client {
    let mut client = connect_from(server, host);
    let all: Vec<u8> =
        (0..sample.shared.layout().blocks()).flat_map(|number| sample.request(number)).collect();
    client.send(&all);
    client
}

/// Bytes that the system holds of what the server has sent.
#[cfg(target_os = "linux")]
fn pinned(server: &Server) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", server.address.port());
    let queued = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let (sent, _) = fields.nth(2)?.split_once(':')?;
        local.ends_with(&port).then(|| u64::from_str_radix(sent, 16).ok()).flatten()
    };
    table.lines().filter_map(queued).sum()
}

#[test]
fn a_connection_that_takes_nothing_does_not_keep_its_host_s_place() {
    let sample = Sample::new(64 << 20, 1 << 20);
    let server = Server::start(&[&sample]);
    // Another host competes all the time.
    let other = connect_from(&server, 3);
    let mut reading = other.0.try_clone().unwrap();
    let all: Vec<u8> = (0..64).flat_map(|number| sample.request(number)).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| while std::io::Write::write_all(&mut &other.0, &all).is_ok() {});
        scope.spawn(move || while matches!(reading.read(&mut vec![0; 1 << 18]), Ok(1..)) {});
        wait_until("the other host is being served", || server.stats.blocks_sent() > 10);
        let _stuck: Vec<Client> = (0..3).map(|_| hold_from(&server, &sample, 2)).collect();
        let start = clock::now();
        for number in 0..5 {
            let mut client = connect_from(&server, 2);
            client.send(&sample.request(number));
            client.expect_block(&sample, number);
        }
        assert!(full_speed::since(start) < SEEN_WITHIN, "served after {:?}", elapsed(start));
        other.0.shutdown(std::net::Shutdown::Both).unwrap();
    });
}

#[test]
fn those_who_take_nothing_do_not_count_as_waiting() {
    let sample = Sample::new(64 << 20, 1 << 20);
    let server = Server::start(&[&sample]);
    let _held: Vec<Client> = (0..16).map(|host| hold_from(&server, &sample, 10 + host)).collect();
    let mut client = connect_from(&server, 3);
    let start = clock::now();
    client.send(&sample.request(0));
    client.expect_block(&sample, 0);
    while server.stats.busy() > 1 && elapsed(start) < PATIENCE {
        client.send(&sample.request(0));
        client.expect_block(&sample, 0);
    }
    assert!(full_speed::since(start) < SEEN_WITHIN, "they counted for {:?}", elapsed(start));
}

#[test]
#[cfg(target_os = "linux")]
fn many_who_read_nothing_pin_little_memory() {
    let sample = Sample::new(64 << 20, 32 << 20);
    let server = Server::start(&[&sample]);
    let held: Vec<Client> = (0..150).map(|_| hold_from(&server, &sample, 2)).collect();
    wait_until("all of them are being answered", || {
        held.iter().all(|client| client.0.peek(&mut [0]).is_ok_and(|bytes| bytes > 0))
    });
    let (mut before, mut now) = (0, pinned(&server));
    while before != now {
        std::thread::sleep(Duration::from_millis(200));
        (before, now) = (now, pinned(&server));
    }
    assert!(now > 0, "nothing is held");
    // Each client that came after the first has the limit of that number of clients, and one call more: it sends as many
    // bytes at once. The system counts whole pages, two for each client.
    let limits = (2..=150).filter_map(unsent).map(u64::from).sum::<u64>();
    let most = MOST_OF_ONE + 2 * limits + 150 * 2 * PAGE;
    assert!(now < most, "{now} bytes in sockets, {most} expected at most");
}
