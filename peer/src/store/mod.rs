//! The data file on disk and what is known of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`have_map`] | the blocks that are verified and on disk, shared with the serving threads |
//! | [`data_file`] | positioned reads and writes of the data file |
//! | [`stamp`] | a cheap proof that a file has not changed |
//! | [`shared`] | the above, as the serving threads see one file |

pub mod data_file;
pub mod have_map;
pub mod shared;
pub mod stamp;

pub use data_file::DataFile;
pub use have_map::HaveMap;
pub use shared::Shared;
pub use stamp::Stamp;
