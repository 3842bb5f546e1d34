//! A link of 10 MB/s that divides itself by connections, and clients that ask for blocks over it.

use super::*;
use std::cell::Cell;
use std::rc::Rc;

const STEP: Duration = Duration::from_millis(5);
const LINK: u64 = 10_000_000;
const BLOCK: u64 = 256 << 10;

/// What the system holds of one connection's answers, and whether it was woken.
#[derive(Debug, Default)]
struct Socket {
    queued: Cell<u64>,
    woken: Cell<bool>,
}

/// One connection and its client.
struct Client {
    asker: Asker,
    socket: Rc<Socket>,
    /// Bytes of its block that are still to be sent.
    left: u64,
    /// Bytes that it reads in a second.
    rate: u64,
    /// It asks for the next block before it has read this one.
    pipelined: bool,
    got: u64,
    asks_at: Option<Time>,
}

struct World {
    uplink: Uplink<Rc<Socket>>,
    /// Bytes that the link carries in a second.
    link: u64,
    block: u64,
    clients: Vec<Client>,
    now: Time,
}

fn host(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

impl World {
    fn new() -> Self {
        Self { uplink: Uplink::new(None), link: LINK, block: BLOCK, clients: Vec::new(), now: STEP }
    }

    fn join(&mut self, connections: usize, from: u8, rate: u64, pipelined: bool) {
        for _ in 0..connections {
            let id = FlowId::try_from(self.clients.len()).unwrap();
            let asker = Asker { id, host: host(from), sent: 0, fresh: true };
            let socket = Rc::default();
            let (left, asks_at) = (self.block, Some(self.now));
            self.clients.push(Client { asker, socket, left, rate, pipelined, got: 0, asks_at });
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.serve();
            self.carry();
            self.now += STEP;
        }
    }

    /// Every connection whose time has come takes its turns.
    fn serve(&mut self) {
        while self.serve_each_once() {}
    }

    /// Whether one of them has sent something.
    fn serve_each_once(&mut self) -> bool {
        let mut has_sent = false;
        for client in &mut self.clients {
            let due = client.asks_at.is_some_and(|at| at <= self.now) || client.socket.woken.take();
            let room = u64::from(UNSENT_LEN).saturating_sub(client.socket.queued.get());
            if !due || room < u64::from(UNSENT_LEN) / 2 {
                continue;
            }
            client.asker.fresh = client.left == self.block;
            let queued = |socket: &Rc<Socket>| socket.queued.get();
            match self.uplink.ask(self.now, client.asker, &client.socket, &queued) {
                Reply::Wait(pause) => client.asks_at = pause.map(|pause| self.now + pause),
                Reply::Go { .. } => {
                    let sent = client.left.min(room);
                    has_sent |= sent > 0;
                    client.asker.sent += sent;
                    client.socket.queued.update(|queued| queued + sent);
                    client.left -= sent;
                    client.asks_at = Some(self.now);
                    if client.left == 0 && client.pipelined {
                        client.left = self.block;
                    } else if client.left == 0 {
                        // It asks for the next one when it has read this one.
                        client.asks_at = None;
                        self.uplink.rest(client.asker.id, client.asker.sent);
                    }
                }
            }
            for socket in self.uplink.take_woken() {
                socket.woken.set(true);
            }
        }
        has_sent
    }

    /// The link carries what it can, of each connection as much as of any other.
    fn carry(&mut self) {
        let mut left = self.link / 200;
        let mut waiting = self.clients.iter().filter(|client| client.socket.queued.get() > 0).count() as u64;
        for client in &mut self.clients {
            let queued = client.socket.queued.get();
            if queued == 0 {
                continue;
            }
            let taken = queued.min(left / waiting).min(client.rate / 200);
            (left, waiting) = (left - taken, waiting - 1);
            client.socket.queued.set(queued - taken);
            client.got += taken;
            if queued == taken && client.left == 0 {
                (client.left, client.asks_at) = (self.block, Some(self.now));
            }
        }
    }

    /// Bytes that a host has got.
    fn got(&self, from: u8) -> u64 {
        self.clients.iter().filter(|client| client.asker.host == host(from)).map(|client| client.got).sum()
    }
}

#[test]
fn fifty_connections_of_one_host_get_one_share() {
    for pipelined in [false, true] {
        let mut world = World::new();
        world.join(50, 9, LINK, pipelined);
        world.run(Duration::from_secs(3));
        let before = world.got(9);
        assert!(before > LINK * 5 / 2, "alone it has the link: {before}");
        for number in 1..=4 {
            world.join(1, number, LINK, true);
        }
        world.run(Duration::from_secs(20));
        let greedy = world.got(9) - before;
        assert!((LINK..LINK * 20 / 4).contains(&greedy), "a fifth of {} is not {greedy}", LINK * 20);
        for number in 1..=4 {
            let got = world.got(number);
            assert!(got > LINK * 20 / 6, "{number} got {got}");
        }
        let fewest = world.clients.iter().map(|client| client.got).min().unwrap();
        assert!(fewest > BLOCK, "in its line, everybody has had turns");
    }
}

#[test]
fn connections_that_read_nothing_for_a_while_get_one_share_when_they_read() {
    let mut world = World::new();
    world.join(60, 9, 0, true);
    (1..=4).for_each(|number| world.join(1, number, LINK, true));
    world.run(Duration::from_secs(40));
    let reads = world.clients.iter_mut().filter(|client| client.asker.host == host(9));
    reads.for_each(|client| client.rate = LINK);
    let before = world.got(9);
    world.run(Duration::from_secs(20));
    let greedy = world.got(9) - before;
    assert!(greedy < LINK * 20 / 3, "a fifth of {} is not {greedy}", LINK * 20);
}

#[test]
fn hosts_with_two_connections_each_fill_a_fast_link() {
    let mut world = World::new();
    (world.link, world.block) = (80_000_000, 64 << 10);
    (1..=2).for_each(|number| world.join(2, number, world.link, true));
    world.run(Duration::from_secs(3));
    let got = world.got(1) + world.got(2);
    assert!(got > world.link * 3 * 3 / 4, "{got} bytes in 3 s at {} bytes/s", world.link);
}

#[test]
fn connections_of_a_lone_host_are_not_limited() {
    let mut world = World::new();
    world.join(20, 1, LINK, true);
    world.run(Duration::from_secs(1));
    assert!(world.clients.iter().all(|client| client.got > 0));
    assert!(world.uplink.waiting == 0 && world.got(1) > LINK * 9 / 10, "{}", world.got(1));
}

#[test]
fn who_takes_next_to_nothing_does_not_count() {
    for (hosts, connections) in [(8, 1), (1, 8), (1, 50)] {
        for rate in [0, 1024] {
            let mut world = World::new();
            (0..hosts).for_each(|number| world.join(connections, 10 + number, rate, true));
            let time = Duration::from_millis(1500) + LOOK_INTERVAL * u32::try_from(connections).unwrap();
            world.run(time);
            world.join(1, 1, LINK, true);
            world.run(Duration::from_secs(5));
            let got = world.got(1);
            assert!(got > LINK * 5 * 95 / 100, "{hosts} hosts, {rate} bytes/s: {got}");
            let busy = world.uplink.busy();
            assert!(busy <= 2, "{hosts} hosts, {rate} bytes/s: {busy} count");
        }
    }
}

#[test]
fn a_host_that_is_alone_again_is_not_limited_any_more() {
    let mut world = World::new();
    world.join(10, 1, LINK, true);
    world.join(1, 2, LINK, true);
    world.run(Duration::from_secs(2));
    let held = |world: &World| world.uplink.hosts.get(&host(1)).unwrap().holds;
    assert!(held(&world) <= 1 && world.uplink.waiting > 0);
    let other = world.clients.pop().unwrap();
    world.uplink.leave(other.asker.id);
    world.run(RECENT + LOOK_INTERVAL * 2);
    assert_eq!(world.uplink.waiting, 0);
}

#[test]
fn nothing_is_remembered_of_those_who_left() {
    let mut world = World::new();
    (1..=5).for_each(|number| world.join(10, number, LINK, true));
    world.run(Duration::from_secs(2));
    for client in world.clients.drain(..) {
        world.uplink.leave(client.asker.id);
    }
    world.uplink.look(world.now + RECENT * 2, &|socket| socket.queued.get());
    let Uplink { flows, hosts, competing, waiting, lines, busy, .. } = &world.uplink;
    assert!(flows.is_empty() && hosts.is_empty(), "{flows:?} {hosts:?}");
    assert_eq!((*competing, *waiting, *lines, *busy), (0, 0, 0, 0));
}

/// Of the looks in `time`, the share that find the uplink full.
fn share_of_full_looks(world: &mut World, time: Duration) -> f64 {
    let looks = time.as_millis() / LOOK_INTERVAL.as_millis();
    let full = (0..looks).filter(|_| {
        world.run(LOOK_INTERVAL);
        world.uplink.is_full()
    });
    full.count() as f64 / looks as f64
}

#[test]
fn an_uplink_that_carries_what_it_can_is_full_but_for_trials() {
    let mut world = World::new();
    (1..=4).for_each(|number| world.join(1, number, LINK, true));
    world.run(Duration::from_secs(2));
    let full = share_of_full_looks(&mut world, Duration::from_secs(20));
    assert!((0.8..1.0).contains(&full), "{full}");
}

#[test]
fn an_uplink_that_has_carried_more_is_not_full() {
    let mut world = World::new();
    (1..=4).for_each(|number| world.join(1, number, LINK / 20, true));
    world.join(1, 5, LINK, true);
    world.run(Duration::from_secs(3));
    assert!(world.uplink.is_full());
    // The fifth is held back: the others, a fifth of the link, do not fill it.
    world.clients.pop();
    world.run(LOOK_INTERVAL * 2);
    let full = share_of_full_looks(&mut world, Duration::from_secs(10));
    assert_eq!(full, 0.0);
    // Nobody has needed more for long: perhaps the link carries no more by now.
    world.run(Duration::from_secs(90));
    let full = share_of_full_looks(&mut world, Duration::from_secs(20));
    assert!((0.8..1.0).contains(&full), "{full}");
}

#[test]
fn what_clients_took_that_have_left_counts() {
    let mut world = World::new();
    (1..=4).for_each(|number| world.join(1, number, LINK, true));
    world.run(Duration::from_secs(10));
    let before = world.uplink.rate;
    // One connection for each block.
    for _ in 0..300 {
        world.run(STEP * 4);
        let client = world.clients.remove(0);
        world.uplink.leave(client.asker.id);
        let number = world.clients.iter().map(|client| client.asker.id).max().unwrap_or(0) + 1;
        let asker = Asker { id: number, host: client.asker.host, sent: 0, fresh: true };
        let (socket, asks_at) = (Rc::default(), Some(world.now));
        world.clients.push(Client { asker, socket, left: BLOCK, asks_at, ..client });
    }
    let rate = world.uplink.rate;
    assert!(rate > before * 0.8 && rate < before * 1.3, "{rate} instead of {before}");
}

#[test]
fn what_waits_in_sockets_is_bounded_for_all_together() {
    assert_eq!(unsent(1), None);
    for flows in [2, 8, 9, 50, 128, 16_384] {
        let each = unsent(flows).unwrap();
        assert!((MIN_UNSENT_LEN..=UNSENT_LEN).contains(&each), "{flows}: {each}");
        let all = each as usize * flows;
        assert!(all <= MAX_UNSENT_LEN as usize || each == MIN_UNSENT_LEN, "{flows}: {all}");
    }
}
