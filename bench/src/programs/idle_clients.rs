//! Clients that know the swarm extension and ask for nothing but news, all in one process.

use crate::error::{Context, Result, failed};
use cascade_format::extension::{Marker, NEWS};
use cascade_format::peer_wire::{RESPONSE_HEADER_LEN, ResponseHeader};
use cascade_format::{CascadeHash, Metafile};
use std::net::SocketAddrV4;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connects `count` clients to `peer`, prints its address when all have had an answer, and goes on asking.
///
/// # Errors
/// The `.cascade` file is none, a client loses its connection.
pub fn run(peer: SocketAddrV4, path: &Path, count: usize) -> Result<()> {
    let bytes = std::fs::read(path).context(|| format!("cannot read {}", path.display()))?;
    Metafile::parse(&bytes).or_else(|e| failed(format!("{}: {e}", path.display())))?;
    let hash = CascadeHash::of(&bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "no runtime".to_owned())?;
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let mut stream =
                TcpStream::connect(peer).await.context(|| format!("cannot connect to {peer}"))?;
            // Block 0 first: a version 1 peer would close on a question for news.
            exchange(&mut stream, hash, 0).await.context(|| format!("no block from {peer}"))?;
            clients.spawn(async move {
                loop {
                    exchange(&mut stream, hash, NEWS).await.context(|| format!("no news from {peer}"))?;
                }
            });
        }
        println!("listening on {peer}");
        let ended: Option<std::result::Result<Result<()>, _>> = clients.join_next().await;
        match ended {
            Some(Ok(Err(error))) => Err(error),
            _ => failed("no client is left"),
        }
    })
}

/// Asks once, and throws the answer away.
async fn exchange(stream: &mut TcpStream, hash: CascadeHash, block: u64) -> std::io::Result<()> {
    stream.write_all(&Marker { port: 0, offers_seen: 0, progress: None }.request(hash, block)).await?;
    let mut header = [0; RESPONSE_HEADER_LEN];
    stream.read_exact(&mut header).await?;
    let body = ResponseHeader::parse(&header).body_len;
    copy(&mut stream.take(body), &mut sink()).await.map(drop)
}
