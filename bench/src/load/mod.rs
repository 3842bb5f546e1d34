//! The tracker's load generator: a bounded number of exchanges at once, each on a connection of its own.

use crate::clock;
use crate::error::{Context, Result, failed};
use crate::stats::percentile;
use cascade_format::CascadeHash;
use cascade_format::tracker_wire::{Command, RESPONSE_HEADER_LEN, TrackerRequest, TrackerResponseHeader};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// How long one exchange may take.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);

/// What is exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// Subscribing to a file over Cascade's tracker protocol.
    Subscribe(CascadeHash),
    /// Announcing to a torrent over HTTP.
    Announce([u8; 20]),
}

/// How much of it.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the tracker listens.
    pub tracker: SocketAddr,
    /// What is exchanged.
    pub exchange: Exchange,
    /// Number of exchanges.
    pub count: u64,
    /// Exchanges at once.
    pub concurrency: usize,
    /// Different peers that subscribe, in turns.
    pub peers: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Answers {
    /// Exchanges a second.
    pub rate: f64,
    /// Median time of an exchange, from the connect to the tracker's close, in microseconds.
    pub p50: u64,
    /// 99th percentile of the same.
    pub p99: u64,
    /// Greatest of the same.
    pub max: u64,
    /// Exchanges that the tracker refused.
    pub refused: u64,
    /// Exchanges that broke or took too long.
    pub broken: u64,
    /// Length of the last good answer, in bytes.
    pub answer_len: u64,
}

/// Puts the load on the tracker, from one thread.
///
/// # Errors
/// The runtime does not start; not one exchange succeeded.
pub fn run(load: &Load) -> Result<Answers> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answers = runtime.context(|| "cannot start the runtime".to_owned())?.block_on(all(load));
    if answers.answer_len == 0 {
        return failed(format!("no good answer from {}", load.tracker));
    }
    Ok(answers)
}

#[derive(Debug, Default)]
struct Counts {
    next: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    answer_len: AtomicU64,
}

async fn all(load: &Load) -> Answers {
    let counts = Arc::new(Counts::default());
    let started = clock::now();
    let workers: Vec<_> =
        (0..load.concurrency).map(|_| tokio::spawn(work(load.clone(), Arc::clone(&counts)))).collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap_or_default());
    }
    let seconds = started.elapsed().as_secs_f64();
    times.sort_unstable();
    Answers {
        rate: times.len() as f64 / seconds,
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
        max: times.last().copied().unwrap_or(0),
        refused: counts.refused.load(Ordering::Relaxed),
        broken: counts.broken.load(Ordering::Relaxed),
        answer_len: counts.answer_len.load(Ordering::Relaxed),
    }
}

/// One exchange after the other, until all have been started. The times of those that were answered, in
/// microseconds.
async fn work(load: Load, counts: Arc<Counts>) -> Vec<u64> {
    let mut times = Vec::new();
    let mut answer = Vec::with_capacity(MAX_ANSWER);
    loop {
        let number = counts.next.fetch_add(1, Ordering::Relaxed);
        if number >= load.count {
            return times;
        }
        let request = load.exchange.request(number % load.peers.max(1));
        let started: Instant = clock::now();
        answer.clear();
        match tokio::time::timeout(EXCHANGE_WITHIN, exchange(load.tracker, &request, &mut answer)).await {
            Ok(Ok(())) if load.exchange.is_good(&answer) => {
                times.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
                counts.answer_len.store(answer.len() as u64, Ordering::Relaxed);
            }
            Ok(Ok(())) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                counts.broken.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Connects, asks, reads until the tracker closes: so the waiting after a close (TIME-WAIT) is the tracker's,
/// as in the field, and the generator does not run out of ports.
async fn exchange(tracker: SocketAddr, request: &[u8], answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(tracker).await?;
    stream.write_all(request).await?;
    while answer.len() < MAX_ANSWER {
        if stream.read_buf(answer).await? == 0 {
            break;
        }
    }
    Ok(())
}

impl Exchange {
    /// The request of peer `peer`.
    fn request(&self, peer: u64) -> Vec<u8> {
        let port = 10_000 + u16::try_from(peer % 50_000).unwrap_or(0);
        match self {
            Self::Subscribe(hash) => {
                let listen = SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), port);
                TrackerRequest { command: Command::Subscribe, cascade_hash: *hash, listen }.encode().to_vec()
            }
            Self::Announce(hash) => {
                let hash: String = hash.iter().map(|byte| format!("%{byte:02x}")).collect();
                format!(
                    "GET /announce?info_hash={hash}&peer_id=-CB0001-{peer:012}&port={port}&uploaded=0&\
                     downloaded=0&left=1&compact=1&numwant=20 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
                )
                .into_bytes()
            }
        }
    }

    /// Whether an answer is whole and no refusal.
    fn is_good(&self, answer: &[u8]) -> bool {
        match self {
            Self::Subscribe(_) => {
                answer.split_first_chunk::<RESPONSE_HEADER_LEN>().is_some_and(|(head, body)| {
                    let head = TrackerResponseHeader::parse(head);
                    head.status == 0 && u64::from(head.body_len) == body.len() as u64
                })
            }
            Self::Announce(_) => {
                let has = |text: &[u8]| answer.windows(text.len()).any(|part| part == text);
                answer.starts_with(b"HTTP/1.") && has(b" 200 ") && has(b"5:peers") && !has(b"failure reason")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_answers_are_told_apart() {
        let subscribe = Exchange::Subscribe(CascadeHash([1; 32]));
        assert!(subscribe.is_good(&[0, 0, 0, 0, 2, 7, 7]));
        assert!(!subscribe.is_good(&[1, 0, 0, 0, 2, 7, 7]), "a refusal");
        assert!(!subscribe.is_good(&[0, 0, 0, 0, 2, 7]), "cut short");
        let announce = Exchange::Announce([1; 20]);
        assert!(announce.is_good(b"HTTP/1.1 200 OK\r\n\r\nd5:peers0:e"));
        assert!(!announce.is_good(b"HTTP/1.1 200 OK\r\n\r\nd14:failure reason2:noe"));
    }

    #[test]
    fn requests_are_those_of_the_protocols() {
        let request = Exchange::Subscribe(CascadeHash([1; 32])).request(3);
        assert_eq!((request.len(), request[52..].to_vec()), (54, 10_003u16.to_be_bytes().to_vec()));
        let text = String::from_utf8(Exchange::Announce([0xab; 20]).request(3)).unwrap();
        assert!(
            text.starts_with("GET /announce?info_hash=%ab%ab") && text.contains("&port=10003&"),
            "{text}"
        );
    }

    #[test]
    fn every_exchange_is_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tracker = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                stream.read_exact(&mut [0; 54]).unwrap();
                let status = u8::from(number % 4 == 3);
                stream.write_all(&[status, 0, 0, 0, 0]).unwrap();
            }
        });
        let exchange = Exchange::Subscribe(CascadeHash([1; 32]));
        let answers = run(&Load { tracker, exchange, count: 40, concurrency: 4, peers: 10 }).unwrap();
        assert_eq!((answers.refused, answers.broken, answers.answer_len), (10, 0, 5));
    }
}
