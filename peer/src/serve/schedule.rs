//! Whose turn it is.
//!
//! The connections of a worker take turns in the order in which they became ready. One that waits for a share of
//! the uplink, as [`cascade_swarm::give`] counts it, looks again after a pause.

use super::connection::Connection;
use super::slots::Phase;
use super::socket::{self, Got};
use super::turn::Next;
use crate::limits::DRAIN_LEN;
use socket2::SockRef;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// Serves a client until either side ends it. Time limits are not here: a connection whose time is up
/// is dropped from outside, and with it this future.
#[allow(
    clippy::manual_async_fn,
    reason = "the future of an `async fn` has room for its argument twice: most of an idle client's memory"
)]
pub(super) fn serve(mut connection: Connection) -> impl Future<Output = ()> {
    async move {
        // Whatever breaks a connection concerns its client alone, who can see it; there is nobody to
        // tell.
        let _ = take_turns(&mut connection).await;
    }
}

async fn take_turns(connection: &mut Connection) -> io::Result<()> {
    loop {
        match connection.turn()? {
            // (Tokio's `readable` and `writable` let several tasks wait for one socket; their futures take
            // a hundred bytes more, for each idle client.)
            // Comes last, after the runtime has looked which others are ready.
            Next::Turn => tokio::task::yield_now().await,
            Next::Readable => poll_fn(|context| connection.stream.poll_read_ready(context)).await?,
            Next::Share(until) => Box::pin(tokio::time::sleep_until(until.into())).await,
            Next::Place(pause) => Box::pin(place_is_free(connection, pause)).await,
            Next::Origin => Box::pin(connection.fetched()).await,
            Next::Limit(until) => Box::pin(tokio::time::sleep_until(until.into())).await,
            Next::News(until) => Box::pin(wait_for_news(connection, until)).await?,
            Next::Writable => poll_fn(|context| connection.stream.poll_write_ready(context)).await?,
            // Boxed, so that connections that are not closing need no room for it.
            Next::Close => return Box::pin(close(connection)).await,
        }
    }
}

async fn place_is_free(connection: &Connection, pause: Option<Duration>) {
    if let Some(place) = &connection.place {
        place.is_free(pause).await;
    }
}

/// Waits until there is news for the client, or it asks for something else that can be read.
async fn wait_for_news(connection: &Connection, until: Instant) -> io::Result<()> {
    let (Some(conversation), Some(question)) = (&connection.conversation, connection.queue.front()) else {
        return Ok(());
    };
    tokio::select! {
        ready = poll_fn(|context| connection.stream.poll_read_ready(context)), if connection.room() > 0 => ready,
        () = conversation.wait(&question.cascade_hash, until) => Ok(()),
    }
}

/// Closes a connection so that the last answer arrives: the system resets a connection that is closed
/// with bytes unread, and a reset can overtake the answer. So our side ends first, and what the client
/// still sends is thrown away, for a bounded time and number of bytes.
async fn close(connection: &mut Connection) -> io::Result<()> {
    if let Some(place) = &mut connection.place {
        place.drain().await;
    }
    if connection.ended {
        return Ok(());
    }
    connection.enter(Phase::Closing);
    SockRef::from(&connection.stream).shutdown(Shutdown::Write)?;
    let mut drained = 0;
    while drained < DRAIN_LEN {
        poll_fn(|context| connection.stream.poll_read_ready(context)).await?;
        let scratch = &mut *connection.worker.scratch.borrow_mut();
        match socket::receive(&connection.stream, &mut scratch.requests)? {
            Got::Bytes(bytes) => drained += bytes,
            Got::End => break,
            Got::Nothing => {}
        }
    }
    Ok(())
}
