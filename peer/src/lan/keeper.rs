//! The task that has the library's thread. All files share both; and what the library remembers is what others tell,
//! which it does not bound by itself: so it is watched.

use super::found::Networks;
use super::member::Member;
use super::name::SERVICE;
use cascade_format::PeerAddr;
use cascade_swarm::Listening;
use if_addrs::{IfAddr, get_if_addrs};
use mdns_sd::{Error, IfKind, Receiver, ServiceDaemon, ServiceEvent};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Records that the library may remember: four for each of four thousand announcements.
const MAX_LAN_RECORDS: i64 = 16_384;

/// Times that it may note for each: when it ends, and when it is asked for again.
const TIMERS_A_RECORD: i64 = 8;

/// How often they are counted, and it is looked who has left: in between, no more comes than a network carries in a
/// second.
const LAN_LOOK: Duration = Duration::from_secs(1);

/// After a flood of records everything is forgotten, and nobody is looked for for so long; twice as long each time.
const FLOOD_PAUSE: Duration = Duration::from_secs(10);

/// The longest such pause.
const MAX_FLOOD_PAUSE: Duration = Duration::from_secs(10 * 60);

/// How long goodbyes may take to leave.
const GOODBYE: Duration = Duration::from_millis(500);

/// The library takes a hundred orders at once: with hundreds of files, some wait.
const ORDER_RETRY: Duration = Duration::from_millis(20);

/// The task, seen from outside.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the task and others share.
#[derive(Default)]
struct Shared {
    /// Members that the task has not taken yet.
    joining: Mutex<Vec<Member>>,
    bell: Notify,
    /// The library's thread, while there is one.
    daemon: Mutex<Option<ServiceDaemon>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Keeper {
    /// Starts it, on the interface that this peer listens on, if it is one.
    pub(super) fn start(listening: Option<Listening>) -> Self {
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn(keep(listening, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// One more file.
    pub(super) fn join(&self, member: Member) {
        lock(&self.shared.joining).push(member);
        self.shared.bell.notify_one();
    }

    /// Ends the library's thread, which says goodbye for all that it has announced.
    pub(super) async fn shut_down(self) {
        self.task.abort();
        let daemon = lock(&self.shared.daemon).take();
        if let Some(daemon) = daemon {
            end(&daemon).await;
        }
    }
}

/// Starts the library's thread, and ends it when it remembers too much; again and again.
async fn keep(listening: Option<Listening>, shared: Arc<Shared>) {
    let (mut members, mut pause) = (Vec::new(), FLOOD_PAUSE);
    loop {
        if let Some(daemon) = open(listening) {
            *lock(&shared.daemon) = Some(daemon.clone());
            let mut search = Search { daemon: daemon.clone(), events: None };
            search.run(&shared, &mut members).await;
            lock(&shared.daemon).take();
            end(&daemon).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_FLOOD_PAUSE);
    }
}

/// Looking for the peers of all files.
struct Search {
    daemon: ServiceDaemon,
    /// `None`: nobody is looked for at the moment.
    events: Option<Receiver<ServiceEvent>>,
}

impl Search {
    /// Announces and looks for peers, until the library's thread has ended or remembers too much.
    async fn run(&mut self, shared: &Shared, members: &mut Vec<Member>) {
        for member in members.iter() {
            self.announce(member).await;
        }
        self.events = self.browse().await;
        let mut tick = interval(LAN_LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut networks = networks();
        loop {
            tokio::select! {
                () = shared.bell.notified() => {
                    let joining = std::mem::take(&mut *lock(&shared.joining));
                    for member in joining {
                        self.announce(&member).await;
                        members.push(member);
                    }
                    // What is known already is told again.
                    self.events = self.browse().await;
                }
                event = next(&self.events) => match event {
                    Some(event) => handle(&event, members, &networks),
                    // It was not read in time: it is begun anew at the next look.
                    None => self.events = None,
                },
                _ = tick.tick() => {
                    self.dismiss(members).await;
                    if records(&self.daemon).await > MAX_LAN_RECORDS {
                        return;
                    }
                    if self.events.is_none() {
                        self.events = self.browse().await;
                    }
                    networks = self::networks();
                }
            }
        }
    }

    async fn announce(&self, member: &Member) {
        if let Some(service) = member.service() {
            order(|| self.daemon.register(service.clone())).await;
        }
    }

    async fn browse(&self) -> Option<Receiver<ServiceEvent>> {
        order(|| self.daemon.browse(SERVICE)).await
    }

    /// Says goodbye for those who have left.
    async fn dismiss(&self, members: &mut Vec<Member>) {
        for member in members.extract_if(.., |member| member.has_left()) {
            if let Some(full_name) = member.full_name() {
                // The library says whether there was such a service: there was.
                let _ = order(|| self.daemon.unregister(&full_name)).await;
            }
        }
    }
}

async fn next(events: &Option<Receiver<ServiceEvent>>) -> Option<ServiceEvent> {
    match events {
        Some(events) => events.recv_async().await.ok(),
        None => std::future::pending().await,
    }
}

fn handle(event: &ServiceEvent, members: &mut [Member], networks: &Networks) {
    for member in members {
        if let ServiceEvent::ServiceResolved(service) = event {
            member.handle_resolved(service, networks);
        } else if let ServiceEvent::ServiceRemoved(_, full_name) = event {
            member.handle_gone(full_name);
        }
    }
}

fn open(listening: Option<Listening>) -> Option<ServiceDaemon> {
    let daemon = ServiceDaemon::new().ok()?;
    let one = listening.and_then(|listening| listening.addrs().first().map(PeerAddr::ip));
    let kinds = match one.filter(|ip| !ip.is_unspecified()) {
        Some(ip) => {
            daemon.disable_interface(IfKind::All).ok()?;
            daemon.enable_interface(IfKind::Addr(ip))
        }
        // Who is on this machine is found by its other addresses.
        None => {
            let mut unused = vec![IfKind::LoopbackV4, IfKind::LoopbackV6];
            unused.extend(listening.filter(|listening| listening.v4().is_none()).map(|_| IfKind::IPv4));
            unused.extend(listening.filter(|listening| listening.v6().is_none()).map(|_| IfKind::IPv6));
            daemon.disable_interface(unused)
        }
    };
    kinds.ok().map(|()| daemon)
}

/// How much the library remembers, and waits for; beyond every bound when it does not answer.
async fn records(daemon: &ServiceDaemon) -> i64 {
    let Some(metrics) = order(|| daemon.get_metrics()).await else { return i64::MAX };
    let Ok(metrics) = metrics.recv_async().await else { return i64::MAX };
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0);
    let kinds = ["cached-ptr", "cached-srv", "cached-addr", "cached-txt", "cached-nsec", "cached-subtype"];
    let records: i64 = kinds.iter().map(|kind| of(kind)).sum();
    records.max(of("timer") / TIMERS_A_RECORD)
}

async fn end(daemon: &ServiceDaemon) {
    if let Some(ended) = order(|| daemon.shutdown()).await {
        let _ = timeout(GOODBYE, ended.recv_async()).await;
    }
}

/// Gives the library an order, as soon as it takes one; `None`: it takes none any more.
async fn order<T>(give: impl Fn() -> Result<T, Error>) -> Option<T> {
    loop {
        match give() {
            Ok(taken) => return Some(taken),
            Err(Error::Again) => sleep(ORDER_RETRY).await,
            Err(_) => return None,
        }
    }
}

/// The networks that this machine is connected to now.
fn networks() -> Networks {
    let interfaces = get_if_addrs().unwrap_or_default();
    Networks::new(interfaces.into_iter().filter_map(|interface| match interface.addr {
        IfAddr::V4(addr) if !addr.is_loopback() => Some((IpAddr::V4(addr.ip), addr.prefixlen)),
        IfAddr::V6(addr) if !addr.is_loopback() => Some((IpAddr::V6(addr.ip), addr.prefixlen)),
        IfAddr::V4(_) | IfAddr::V6(_) => None,
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
