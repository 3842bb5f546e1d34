//! The downloading side of a scripted peer: some threads, each with one connection and one request at a time.

use super::Shared;
use super::peers::Ending;
use super::talk::{self, Answer};
use crate::clock;
use crate::error::{Context, Result};
use cascade_format::Block;
use cascade_tests::foreign_client::ForeignClient;
use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Connections at once.
pub(super) const CONNECTIONS: usize = 4;

/// Until another peer, or another block, is looked for when there is none.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Silence after which a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Starts the connections of a peer that lacks blocks.
pub(super) fn start(shared: &Arc<Shared>) {
    if !shared.store.wants_blocks() {
        return;
    }
    for _ in 0..CONNECTIONS {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            if let Err(error) = work(&shared) {
                // Nobody listens only when the program ends.
                let _ = shared.ended.send(Err(error));
            }
        });
    }
}

/// One peer after the other until every block is there.
fn work(shared: &Shared) -> Result<()> {
    let mut random = fastrand::Rng::new();
    while shared.store.wants_blocks() {
        let Some(peer) = shared.peers().take(clock::now(), &mut random) else {
            thread::sleep(LOOK_AGAIN);
            continue;
        };
        let ending = talk_to(shared, peer, &mut random)?;
        shared.peers().release(peer, ending, clock::now());
    }
    Ok(())
}

fn connect(peer: SocketAddrV4) -> io::Result<ForeignClient> {
    let client = ForeignClient::over(TcpStream::connect_timeout(&peer.into(), CONNECT_WITHIN)?);
    client.set_limit(SILENCE);
    Ok(client)
}

/// Asks one peer until there is a reason to leave it.
///
/// # Errors
/// A block cannot be written.
fn talk_to(shared: &Shared, peer: SocketAddrV4, random: &mut fastrand::Rng) -> Result<Ending> {
    let Ok(mut client) = connect(peer) else { return Ok(Ending::Failed) };
    let layout = shared.store.layout();
    let mut answers = 0;
    while shared.store.wants_blocks() {
        let Some(block) = shared.store.draw(random) else {
            thread::sleep(LOOK_AGAIN);
            continue;
        };
        let garbage = shared.habits.garbage.then_some(&mut *random);
        match talk::ask(&mut client, shared.store.hash, &layout, block, garbage) {
            Ok(Answer::Block(bytes)) if shared.store.verify(block, &bytes) => {
                answers += 1;
                shared.peers().answered(peer, false);
                put(shared, block, &bytes)?;
                continue;
            }
            Ok(Answer::Block(bytes)) => {
                shared.wrong_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                shared.store.give_back(block);
                return Ok(Ending::Lied);
            }
            Ok(Answer::Missing) => {
                answers += 1;
                shared.refusals.fetch_add(1, Ordering::Relaxed);
                shared.store.give_back(block);
                if shared.peers().answered(peer, true) {
                    return Ok(Ending::Tired);
                }
            }
            other => {
                shared.store.give_back(block);
                return Ok(ending(other.ok().as_ref(), answers));
            }
        }
    }
    Ok(Ending::Between)
}

/// Why a conversation ended after `answers` answers without another one.
fn ending(last: Option<&Answer>, answers: u64) -> Ending {
    match last {
        // Some close after each answer.
        Some(Answer::Closed) if answers > 0 => Ending::Between,
        Some(_) => Ending::Failed,
        None => Ending::Silent,
    }
}

fn put(shared: &Shared, block: Block, bytes: &[u8]) -> Result<()> {
    let last = shared.store.put(block, bytes).context(|| "cannot write a block".to_owned())?;
    if last {
        // Nobody listens only when the program ends.
        let _ = shared.ended.send(Ok(()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_is_a_habit_only_after_an_answer() {
        assert_eq!(ending(Some(&Answer::Closed), 3), Ending::Between);
        assert_eq!(ending(Some(&Answer::Closed), 0), Ending::Failed);
        assert_eq!(ending(Some(&Answer::Refused), 3), Ending::Failed);
        assert_eq!(ending(None, 3), Ending::Silent);
    }
}
