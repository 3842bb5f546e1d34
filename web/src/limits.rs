//! Every bound of the page's server, with its reason. `docs/limits.md` lists them.

use std::time::Duration;

/// Between two snapshots, and so between two events of a viewer's stream: people see no more.
pub const TICK: Duration = Duration::from_millis(500);

/// Between two looks at the totals, which are two numbers, for the history of rates. It goes on without viewers.
pub const SAMPLE: Duration = Duration::from_secs(1);

/// Points of the history of rates; when they are used up, each two become one.
pub const MAX_POINTS: usize = 256;

/// Connections at the same time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 128;

/// Of them, those from one address: half, so that one host cannot shut out the others.
pub const MAX_CONNECTIONS_A_HOST: usize = 64;

/// Streams of events at the same time; another one is refused with status 503.
pub const MAX_VIEWERS: usize = 32;

/// Bytes of a request's head. Browsers send about 1 KiB.
pub const MAX_HEAD_LEN: usize = 16 << 10;

/// Headers of a request.
pub const MAX_HEADERS: usize = 64;

/// For the head of a request to arrive, and for a connection without a request.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Without a byte that the viewer takes, until its connection is closed.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that the system keeps for a viewer that reads late.
pub const SEND_BUFFER_LEN: usize = 256 << 10;

/// Requests answered in a second in the long run; more wait.
pub const REQUESTS_A_SECOND: u32 = 200;

/// Of them, those at once after a quiet time.
pub const REQUESTS_AT_ONCE: u32 = 100;

/// After a connection that was one too many, or that the system did not give, until the next is accepted.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// For the last event to reach the viewers when the program ends.
pub const FAREWELL: Duration = Duration::from_millis(300);

/// Files that are shown; the others are counted.
pub const MAX_FILES: usize = 256;

/// Swarms that are shown; the others are counted.
pub const MAX_SWARMS: usize = 256;

/// Members of all swarms, and links of all files, that are shown; the others are counted.
pub const MAX_MEMBERS: usize = 4096;

/// Cells of the map of a file: several blocks share one where there are more.
pub const MAX_CELLS: u64 = 1024;
