//! A minimal BitTorrent tracker over HTTP for one torrent, so that BitTorrent programs can be measured without
//! installing one: every peer that announces itself gets the addresses of all others, in compact form.

use crate::error::{Context, Result};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 8192;

/// Seconds between two announcements that peers are asked for.
const INTERVAL: u32 = 5;

/// Serves announcements until it is killed; prints the address first.
///
/// # Errors
/// The port is taken.
pub fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).context(|| format!("cannot listen on {listen}"))?;
    println!("listening on {}", listener.local_addr().context(|| "no local address".to_owned())?);
    let mut swarm = BTreeSet::new();
    for stream in listener.incoming().flatten() {
        // A client that breaks its connection has its own problem.
        let _ = answer(stream, &mut swarm);
    }
    Ok(())
}

fn answer(mut stream: TcpStream, swarm: &mut BTreeSet<SocketAddrV4>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_WITHIN))?;
    let from = match stream.peer_addr()?.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => return Ok(()),
    };
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < MAX_REQUEST {
        match stream.read(&mut piece)? {
            0 => break,
            count => request.extend_from_slice(&piece[..count]),
        }
    }
    let line = String::from_utf8_lossy(&request);
    let body = announce(line.lines().next().unwrap_or_default(), from, swarm);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat())
}

/// Registers the announcing peer and gives the bencoded answer.
fn announce(request_line: &str, from: Ipv4Addr, swarm: &mut BTreeSet<SocketAddrV4>) -> Vec<u8> {
    let query = request_line.split_whitespace().nth(1).and_then(|target| target.split_once('?'));
    let field = |name: &str| {
        let fields = query.map_or("", |(_, query)| query).split('&');
        fields.filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let Some(port) = field("port").and_then(|port| port.parse().ok()) else {
        return b"d14:failure reason7:no porte".to_vec();
    };
    let me = SocketAddrV4::new(from, port);
    if field("event") == Some("stopped") {
        swarm.remove(&me);
    } else {
        swarm.insert(me);
    }
    let others: Vec<u8> = swarm
        .iter()
        .filter(|peer| **peer != me)
        .flat_map(|peer| [&peer.ip().octets()[..], &peer.port().to_be_bytes()].concat())
        .collect();
    [format!("d8:intervali{INTERVAL}e5:peers{}:", others.len()).as_bytes(), &others, b"e"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_learns_of_the_others_but_not_of_itself() {
        let mut swarm = BTreeSet::new();
        let from = Ipv4Addr::new(10, 0, 0, 1);
        let first = announce("GET /announce?info_hash=%01&port=258&left=0 HTTP/1.1", from, &mut swarm);
        assert_eq!(first, b"d8:intervali5e5:peers0:e");
        let second = announce("GET /announce?port=259 HTTP/1.1", from, &mut swarm);
        assert_eq!(second, b"d8:intervali5e5:peers6:\x0a\0\0\x01\x01\x02e");
        announce("GET /announce?port=258&event=stopped HTTP/1.1", from, &mut swarm);
        assert_eq!(swarm.len(), 1);
    }

    #[test]
    fn nonsense_registers_nobody() {
        let mut swarm = BTreeSet::new();
        for line in ["", "GET", "GET /announce HTTP/1.1", "GET /announce?port=99999 HTTP/1.1"] {
            let answer = announce(line, Ipv4Addr::LOCALHOST, &mut swarm);
            assert!(answer.starts_with(b"d14:failure"), "{line:?}");
        }
        assert!(swarm.is_empty());
    }
}
