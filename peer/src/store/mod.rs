//! The data file on disk and what is known of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`prepare`] | finding what there is, and the part file that a download writes to |
//! | [`data_file`] | positioned reads and writes of the data file |
//! | [`have_map`] | the blocks that are verified and on disk, shared with the serving threads |
//! | [`stamp`] | a cheap proof that a file has not changed |
//! | [`record`] | what was found by checking a file, kept from run to run |
//! | [`shared`] | one file as the serving threads see it |
//! | [`finish`] | giving a complete file its name |

pub mod data_file;
pub mod finish;
pub mod have_map;
pub mod prepare;
pub mod record;
pub mod shared;
pub mod stamp;

pub use data_file::DataFile;
pub use have_map::HaveMap;
pub use prepare::{Place, Preparation, PrepareError, Prepared};
pub use record::{Record, Records};
pub use shared::Shared;
pub use stamp::Stamp;
