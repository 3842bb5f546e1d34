//! Serves blocks to other peers (protocol §3).
//!
//! A fixed number of worker threads, each multiplexing many connections. A connection that idles or
//! has sent half a request costs a descriptor and about a kilobyte; a slow one costs that, and its turns. Large
//! blocks go from the page cache to the socket (`sendfile`), small ones many to a call.
//!
//! | module | what it holds |
//! |---|---|
//! | [`pool`], [`options`], [`stats`] | what others use: start, stop, count |
//! | [`descriptors`] | the limit on open descriptors |
//! | `accept` | the accepting thread; refuses what is beyond the bound |
//! | `spare` | a descriptor in hand for when there is none |
//! | `slots`, `clients` | who holds a connection, who must go, whose time is up (`slots` is pure) |
//! | `hosts` | how many connections each host holds (pure) |
//! | `thread`, `worker` | what the connections of a thread share; its life |
//! | `schedule` | whose turn it is; how a connection ends |
//! | `turn` | a connection's turn: receive, decide, send, until it must wait |
//! | `connection` | one client: its requests, its answer, its place |
//! | `receive` | reading its requests from the socket |
//! | `decide` | what it is answered next, if anything yet |
//! | `fetching`, `awaited` | a block that must come from an origin first |
//! | `send` | sending that |
//! | `answer` | an answer under way, and where it stands |
//! | `uplink` | which connection of which host may send (pure) |
//! | `place` | the same for all threads, and a connection's part in it |
//! | `inbox` | bytes to requests (pure) |
//! | `guest` | a client of the tracker's protocol on the same port |
//! | `response` | requests to statuses (pure) |
//! | `conversation` | a client and one file, in blocks and in slices: what it asks is decided by `cascade_swarm::give` |
//! | `burst`, `burst_size` | many small answers with one read and one send; how many |
//! | `proof` | hashing blocks before they are sent, with `--paranoid` |
//! | `large` | one large answer from the page cache (Linux) |
//! | `socket` | calls on the socket that do not wait |

pub mod descriptors;
pub mod options;
pub mod pool;
pub mod stats;

mod accept;
mod answer;
mod awaited;
mod burst;
mod burst_size;
mod clients;
mod connection;
mod conversation;
mod decide;
mod fetching;
mod guest;
mod hosts;
mod inbox;
mod large;
mod place;
mod proof;
mod receive;
mod response;
mod schedule;
mod segment;
mod send;
mod slots;
mod socket;
mod spare;
mod thread;
mod turn;
mod uplink;
mod worker;

#[cfg(test)]
mod tests;

pub use options::{Guests, Options, Timeouts, Warn};
pub use pool::Pool;
pub use stats::ServeStats;
