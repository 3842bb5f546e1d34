//! The data file on disk and what is known of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`prepare`] | finding what there is, and the part file that a download writes to |
//! | [`part`] | choosing, locking and removing a part file |
//! | [`open`] | opening files that a user has named |
//! | [`data_file`] | the data file: its bytes, and how they are divided into blocks |
//! | [`ground`] | what its bytes are read from: a file, or a folder |
//! | `guarded` | a file that is written to and guarded |
//! | `closed_file`, `handles` | a file that is open only while it is read; how many are |
//! | [`own_writes`] | telling our own writes from those of others |
//! | [`watch`] | hearing of others who open the file |
//! | `reserve` | taking room on the disk |
//! | [`disk`] | what makes data durable, and can be made to fail by a test |
//! | [`ledger`] | which blocks are known to be on the disk |
//! | [`have_map`] | the blocks that are verified and on disk, shared with the serving threads |
//! | [`stamp`] | a cheap proof that a file has not changed |
//! | [`record`] | what was found by checking a file, kept from run to run |
//! | [`given`] | what was given of it to others |
//! | [`shared`] | one file as the serving threads see it |
//! | `turning` | a part file that may turn out to be the archive of a folder |
//! | [`finish`] | giving a complete file its name |

pub(crate) mod closed_file;
pub mod data_file;
pub mod disk;
pub mod finish;
pub mod given;
pub mod ground;
pub(crate) mod guarded;
pub(crate) mod handles;
pub mod have_map;
pub mod ledger;
pub mod open;
pub mod own_writes;
pub mod part;
pub mod prepare;
pub mod record;
mod reserve;
pub mod shared;
pub mod stamp;
mod turning;
pub mod watch;

pub use data_file::DataFile;
pub use given::Given;
#[cfg(feature = "cli")]
pub(crate) use given::distinct;
pub(crate) use given::{Receiver, SeenReceiver};
pub use ground::{Ground, Guarded};
pub use have_map::HaveMap;
pub use part::Part;
pub use prepare::{Place, Preparation, PrepareError, Prepared, Taken};
pub use record::{Record, Records};
pub use shared::{Listener, Shared, Trouble};
pub use stamp::Stamp;
