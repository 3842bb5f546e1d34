//! What the fuzzers run: one module for each parser of bytes that come from outside.
//!
//! A target takes any bytes and panics if the parser is wrong. "Wrong" is more than a crash: each
//! module holds an *oracle*, the rule of the protocol written a second time, plainly and apart from
//! the parser, and compares the two. Two drivers run the same targets:
//!
//! - `cargo test -p cascade-fuzz`, on the stable toolchain: the committed corpus and a fixed number of
//!   mutations of it;
//! - `cargo fuzz run TARGET`, on nightly: libFuzzer, guided by coverage, for as long as you like.
//!
//! To add a target: a module here with `run` and `seeds`, a row in [`TARGETS`], a wrapper in
//! `fuzz/fuzz_targets/`, a `[[bin]]` in `fuzz/Cargo.toml`, and
//! `cargo run -p cascade-fuzz --example make_corpus`. A test notices what was forgotten.

pub mod block_request;
pub mod block_response;
pub mod extension_field;
pub mod extension_marker;
pub mod folder_index;
pub mod have;
pub mod link;
pub mod link_response;
pub mod metafile;
pub mod metafile_message;
pub mod tracker_config;
pub mod tracker_request;
pub mod tracker_response;
pub mod tracker_room_request;
pub mod tracker_room_response;
pub mod tracker_state;
pub mod tracker_wide_request;

mod layouts;
mod raw;

/// One input to begin with: its file name in the corpus, and its bytes.
pub type Seed = (&'static str, Vec<u8>);

/// One thing to fuzz.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the module here, of the folder in `fuzz/corpus/`, and of the libFuzzer binary.
    pub name: &'static str,
    /// Takes any bytes; panics if the parser breaks its rule.
    pub run: fn(&[u8]),
    /// The inputs to begin with: each golden message, and each of its damages that has a name.
    pub seeds: fn() -> Vec<Seed>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "metafile", run: metafile::run, seeds: metafile::seeds },
    Target { name: "block_request", run: block_request::run, seeds: block_request::seeds },
    Target { name: "block_response", run: block_response::run, seeds: block_response::seeds },
    Target { name: "extension_marker", run: extension_marker::run, seeds: extension_marker::seeds },
    Target { name: "extension_field", run: extension_field::run, seeds: extension_field::seeds },
    Target { name: "metafile_message", run: metafile_message::run, seeds: metafile_message::seeds },
    Target { name: "link_response", run: link_response::run, seeds: link_response::seeds },
    Target { name: "tracker_request", run: tracker_request::run, seeds: tracker_request::seeds },
    Target { name: "tracker_response", run: tracker_response::run, seeds: tracker_response::seeds },
    Target {
        name: "tracker_wide_request",
        run: tracker_wide_request::run,
        seeds: tracker_wide_request::seeds,
    },
    Target {
        name: "tracker_room_request",
        run: tracker_room_request::run,
        seeds: tracker_room_request::seeds,
    },
    Target {
        name: "tracker_room_response",
        run: tracker_room_response::run,
        seeds: tracker_room_response::seeds,
    },
    Target { name: "tracker_config", run: tracker_config::run, seeds: tracker_config::seeds },
    Target { name: "tracker_state", run: tracker_state::run, seeds: tracker_state::seeds },
    Target { name: "link", run: link::run, seeds: link::seeds },
    Target { name: "folder_index", run: folder_index::run, seeds: folder_index::seeds },
    Target { name: "have", run: have::run, seeds: have::seeds },
];

/// Error messages end up on one line of a terminal, or of a foreign peer's log.
fn assert_one_line(message: &str) {
    assert!(!message.is_empty(), "an error without a message");
    assert!(!message.chars().any(char::is_control), "control characters in {message:?}");
    assert!(message.len() <= 300, "{} bytes of error message: {message:?}", message.len());
}
