//! A connection to something that has a name, and perhaps addresses of both families.

use crate::dial::Dial;
use crate::limits::CONNECT_TIMEOUT;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// After so long without a connection the next address is tried too (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to whichever of `addrs` answers first; they are tried in this order, each a little later than the one
/// before, and at once when that has failed.
///
/// # Errors
/// That of the last one, when none answers.
pub(super) async fn connect_any(dial: Dial, addrs: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
    // Dropping the set ends the attempts that are not needed any more.
    let (mut attempts, mut rest) = (JoinSet::new(), addrs.iter().copied());
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = rest.next();
        if let Some(addr) = next {
            attempts.spawn(async move {
                let connecting = timeout(CONNECT_TIMEOUT, dial.connect(addr)).await;
                connecting.unwrap_or_else(|late| Err(late.into())).map(|stream| (stream, addr))
            });
        }
        let ended = tokio::select! {
            ended = attempts.join_next() => ended,
            () = sleep(STAGGER), if next.is_some() => continue,
        };
        match ended {
            Some(Ok(Ok(connected))) => return Ok(connected),
            Some(Ok(Err(error))) => failed = error,
            Some(Err(_)) => {}
            None => return Err(failed),
        }
    }
}

/// The addresses, one of each family in turn, beginning with the first.
pub(super) fn in_turn(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addrs.first() else { return Vec::new() };
    let (like, mut others): (Vec<_>, Vec<_>) =
        addrs.iter().partition(|addr| addr.is_ipv4() == first.is_ipv4());
    others.reverse();
    let mut order = Vec::new();
    for addr in like {
        order.push(addr);
        order.extend(others.pop());
    }
    order.extend(others.into_iter().rev());
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let addrs = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(at);
        let turns = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(at);
        assert_eq!(in_turn(&addrs), turns);
        let addrs = ["1.1.1.1:1", "[::1]:1", "[::2]:1"].map(at);
        assert_eq!(in_turn(&addrs), addrs);
        assert!(in_turn(&[]).is_empty());
    }

    #[tokio::test]
    async fn the_first_that_answers_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let refused = {
            let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            gone.local_addr().unwrap()
        };
        let dial = Dial::from(None);
        for addrs in [&[there][..], &[refused, there], &[there, refused], &[refused, refused, there]] {
            assert_eq!(connect_any(dial, addrs).await.unwrap().1, there);
        }
        assert!(connect_any(dial, &[refused]).await.is_err());
        assert!(connect_any(dial, &[]).await.is_err());
    }
}
