//! A folder as one data file: a deterministic tar archive that nobody has to store.
//!
//! Version 1 peers see `NAME.tar`, and any tar unpacks it. Ours read its bytes from the real files and write
//! them there: everything else in it follows from the index in front, and is made when it is asked for. The layout
//! and every rule are in the protocol's section "Folders".
//!
//! There is no file, socket or clock here: entries, chunks of bytes and ranges come in, segments go out.
//!
//! ```
//! use cascade_archive::{Archive, Entry, Kind, Parser, Segment};
//!
//! let entry = |path: &str, kind| Entry { path: path.into(), kind, mtime: 1_700_000_000 };
//! let archive = Archive::build(vec![
//!     entry("docs/a.txt", Kind::File { size: 3, executable: false }),
//!     entry("docs", Kind::Folder),
//! ])?;
//!
//! // The sender makes its bytes …
//! let mut bytes = Vec::new();
//! for segment in archive.segments(0..archive.total_len()) {
//!     match segment {
//!         Segment::Made(made) => bytes.extend_from_slice(&made),
//!         Segment::File { .. } => bytes.extend_from_slice(b"abc"),
//!         Segment::Zero(len) => bytes.extend((0..len).map(|_| 0)),
//!     }
//! }
//!
//! // … and the receiver, who knows how many there are, reads the head of them.
//! let mut parser = Parser::new(bytes.len() as u64);
//! for chunk in bytes.chunks(1000) {
//!     parser.push(chunk)?;
//! }
//! let received = parser.finish()?;
//! received.check(0, &bytes)?;
//! assert_eq!(received, archive);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | `entry` | files, folders, links, and their order |
//! | `path`, `twins`, `checker` | which entries are taken |
//! | `line`, `head`, `header` | the bytes: of the index, of what is around it, of an entry's header |
//! | `map`, `place`, `cursor` | where each entry is, without keeping each |
//! | `builder`, `parser` | the two ways to an [`Archive`] |
//! | `archive`, `segments` | what can be done with it |

pub mod limits;

mod archive;
mod builder;
mod checker;
mod cursor;
mod entry;
mod error;
mod head;
mod header;
mod line;
mod map;
mod parser;
mod path;
mod place;
mod segments;
mod twins;

pub use archive::Archive;
pub use builder::Builder;
pub use entry::{Entry, Kind, order, seconds};
pub use error::{BuildError, Fault, LineError, NotCanonical, Refused, Shown};
pub use parser::Parser;
pub use path::check_link;
pub use segments::{Segment, Segments};
