//! The formats of the Cascade protocol, version 1: what is on disk and on the wire, bytes only.
//!
//! There is no socket, file or clock here, and no `std`: a parser takes bytes and gives a value or a
//! typed error, an encoder gives an array of the exact size, so that writing a message with one call
//! is the easy path. All integers are unsigned and big-endian; "hash" means SHA-256.
//!
//! | module | what it describes |
//! |---|---|
//! | [`hash`] | the three kinds of hash, which must not be mixed up |
//! | [`layout`] | how a length is divided into blocks; the only offset arithmetic there is |
//! | [`metafile`] | the `.cascade` file |
//! | [`tracker_wire`] | peer ↔ tracker |
//! | [`tracker_wide`] | the same with addresses of both families |
//! | [`tracker_room`] | what peers tell a tracker of how far they are, and how it is asked for |
//! | [`peer_wire`] | peer ↔ peer |
//! | [`address`] | where a peer listens, in either family |
//! | [`extension`] | additional messages between our own peers |
//! | [`have`] | which blocks a peer has |
//! | [`link`] | one line of text that says what to download and where to begin |
//! | [`name`] | file names that somebody else chose |
//! | [`label`] | short texts of peers about themselves |
//! | [`text`] | names and messages that others wrote, as they may be shown |
//! | [`units`] | sizes, speeds and times as people write and read them |

#![no_std]
extern crate alloc;

pub mod address;
pub mod extension;
pub mod hash;
pub mod have;
pub mod label;
pub mod layout;
pub mod link;
pub mod metafile;
pub mod name;
pub mod peer_wire;
pub mod text;
pub mod tracker_room;
pub mod tracker_wide;
pub mod tracker_wire;
pub mod units;

mod field;

pub use address::PeerAddr;
pub use hash::{BlockHash, CascadeHash, FileHash};
pub use have::Have;
pub use layout::{Block, Layout, LayoutError};
pub use link::{Link, LinkError};
pub use metafile::{Header, Metafile, MetafileError};

/// The example of the crate's README runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
