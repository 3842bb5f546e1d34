//! Seeding what is not on the disk: blocks are fetched from an object store or a web server when they are asked for.
//!
//! A seeder with an [`Origin`] is a download whose source is the origin, with one difference: it says from the start
//! that it has every block. A block that is asked for is fetched once, by a request for a range of bytes, verified, kept
//! on the disk, and given to everybody from there.
//!
//! | module | what it holds |
//! |---|---|
//! | [`address`] | where the origin is, and how it is shown |
//! | [`plan`] | what is asked of the origin, when (pure) |
//! | `troubles` | an origin that fails, refuses, or gives wrong blocks (pure) |
//! | [`cache`] | what is kept where not all of it may be (pure) |
//! | [`pool`] | the bound on that, as the files of a process share it |
//! | `pay` | the limit on speed, as requests keep it |
//! | [`fetcher`] | the plan as threads share it, and those who wait |
//! | [`source`] | what the bytes come from |
//! | `client` | a source over HTTP, by a library; the feature `origin` |
//! | `error` | why it cannot go on |
//!
//! One request, whose bytes are written, verified and published, is a part of the session (`session::origin::crew`).

pub mod address;
pub mod cache;
#[cfg(feature = "origin")]
mod client;
mod error;
pub mod fetcher;
mod pay;
pub mod plan;
pub mod pool;
pub mod source;
pub(crate) mod troubles;

pub use address::{AddressError, Origin};
#[cfg(feature = "origin")]
pub(crate) use client::Clients;
pub use error::OriginError;
pub use fetcher::Fetcher;
pub(crate) use pay::Gate;
pub use pool::Pool;
pub use source::{Body, Fault, Opened, Source};
