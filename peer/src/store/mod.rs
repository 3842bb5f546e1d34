//! The data file on disk and what is known of it. What its bytes are on is [`ground`](crate::ground).
//!
//! | module | what it holds |
//! |---|---|
//! | [`prepare`] | finding what there is, and the part file that a download writes to |
//! | `error` | why a download cannot begin |
//! | [`part`] | choosing, locking and removing a part file |
//! | [`data_file`] | the data file: its bytes, and how they are divided into blocks |
//! | `guarded` | a file that is written to and guarded |
//! | `closed_file`, `handles` | a file that is open only while it is read; how many are |
//! | [`own_writes`] | telling our own writes from those of others |
//! | [`watch`] | hearing of others who open the file |
//! | `reserve` | taking room on the disk |
//! | [`ledger`] | which blocks are known to be on the disk |
//! | [`record`] | what was found by checking a file, kept from run to run |
//! | [`given`] | what was given of it to others |
//! | [`shared`] | one file as the serving threads see it |
//! | [`slices`] | the slices of its large blocks, and the states of SHA-256 between them |
//! | `turning` | a part file that may turn out to be the archive of a folder |
//! | [`finish`] | giving a complete file its name |

pub(crate) mod closed_file;
pub mod data_file;
mod error;
pub mod finish;
pub mod given;
pub(crate) mod guarded;
pub(crate) mod handles;
pub mod ledger;
pub mod own_writes;
pub mod part;
pub mod prepare;
pub mod record;
mod reserve;
pub mod shared;
pub mod slices;
mod turning;
pub mod watch;

pub use data_file::DataFile;
pub use error::PrepareError;
pub use given::Given;
#[cfg(feature = "cli")]
pub(crate) use given::distinct;
pub(crate) use given::{Receiver, SeenReceiver};
pub use part::Part;
pub use prepare::{Place, Preparation, Prepared, Taken};
pub use record::{Record, Records};
pub use shared::{Listener, Shared, Trouble};
