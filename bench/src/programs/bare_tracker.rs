//! The tracker's floor: accept, read 54 bytes, write a fixed reply, close. No tracker on this runtime can be
//! faster.

use crate::error::{Context, Result};
use cascade_format::tracker_wire::{REQUEST_LEN, RESPONSE_HEADER_LEN, TrackerResponseHeader};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves replies with bodies of `body_len` bytes until it is killed; prints the address first.
///
/// # Errors
/// No port is free.
pub fn serve(body_len: u32, threads: usize) -> Result<()> {
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(threads).enable_io().build();
    let runtime = runtime.context(|| "cannot start the runtime".to_owned())?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context(|| "cannot listen on 127.0.0.1".to_owned())?;
        println!("listening on {}", listener.local_addr().context(|| "no local address".to_owned())?);
        accept_all(listener, reply(body_len)).await;
        Ok(())
    })
}

/// A reply of status 0 with a body of zeroes.
fn reply(body_len: u32) -> Arc<[u8]> {
    let mut reply = TrackerResponseHeader { status: 0, body_len }.encode().to_vec();
    reply.resize(RESPONSE_HEADER_LEN + usize::try_from(body_len).unwrap_or(0), 0);
    reply.into()
}

async fn accept_all(listener: TcpListener, reply: Arc<[u8]>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&reply)));
        }
    }
}

async fn answer(mut stream: TcpStream, reply: Arc<[u8]>) {
    let mut request = [0; REQUEST_LEN];
    if stream.read_exact(&mut request).await.is_ok() {
        // A client that has gone away needs no answer.
        let _ = stream.write_all(&reply).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_has_the_length_it_states() {
        assert_eq!(*reply(2), [0, 0, 0, 0, 2, 0, 0]);
        assert_eq!(reply(240).len(), 245);
    }
}
