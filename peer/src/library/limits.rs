//! Every bound of a served folder, with its reason. `docs/limits.md` lists them.

use std::time::Duration;

/// `.cascade` files of a served folder. A tracker that is asked about a hundred of them in a second is asked about all
/// within the ten minutes between two subscriptions.
pub const MAX_SERVED_FILES: usize = 50_000;

/// Folders in a served folder; each has a watch.
pub const MAX_FOLDERS: usize = 4096;

/// How often a served folder is looked through when nothing tells that something has changed.
pub const RESCAN_INTERVAL: Duration = Duration::from_secs(60);

/// The same where the system tells of no changes.
pub const UNWATCHED_INTERVAL: Duration = Duration::from_secs(10);

/// Between two looks, however much changes.
pub const MIN_RESCAN_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks, in times that the last one took: looking takes a twentieth of a core at most.
pub const RESCAN_SHARE: u32 = 20;

/// The same of a download that has failed.
pub const DOWNLOAD_RETRY: Duration = Duration::from_secs(300);

/// How long a file that its origin did not have is left out; doubles with each failure in a row …
pub const FIRST_REMOTE_RETRY: Duration = Duration::from_secs(60);

/// … up to this.
pub const MAX_REMOTE_RETRY: Duration = Duration::from_secs(3600);

/// Downloads of a served folder at the same time.
pub const MAX_DOWNLOADS: usize = 4;

/// Descriptors that the process must be allowed for each download: its links, and as many clients.
pub const DESCRIPTORS_A_DOWNLOAD: usize = 512;

/// A download that gets nothing for so long gives its place to one that waits.
pub const DOWNLOAD_PATIENCE: Duration = Duration::from_secs(60);

/// Files of a served folder that are ready to be given at the same time.
pub const MAX_AWAKE: usize = 1024;

/// Memory that these may take together, in bytes: their block hashes and, once their slices are given, the states of
/// SHA-256 in front of these. One that needs more is alone.
pub const MAX_AWAKE_LEN: u64 = 256 << 20;

/// Descriptors that these may take together, besides the data files: those of shared folders, and of long lists of
/// hashes.
pub const MAX_AWAKE_DESCRIPTORS: usize = 160;

/// A file that nobody has asked for since is put away.
pub const SLEEP_AFTER: Duration = Duration::from_secs(60);

/// Files that are opened at the same time because somebody asks for them.
pub const MAX_OPENINGS: usize = 4;

/// Files that wait to be opened; who asks for another one asks again.
pub const MAX_WAITING_OPENINGS: usize = 1024;

/// Files of a served folder that are announced on the local network: those that were added or asked for last.
pub const MAX_LAN_FILES: usize = 64;

/// Trackers of a served folder.
pub const MAX_TRACKERS: usize = 64;

/// How long goodbyes to trackers may take when the peer ends: those that do not leave in this time lapse by themselves.
pub const GOODBYES_TIME: Duration = Duration::from_secs(5);

/// Goodbyes that are under way at the same time.
pub const MAX_GOODBYES: usize = 32;

/// Events that wait for the program that embeds the peer; then the folder waits.
pub const MAX_EVENTS: usize = 1024;

/// How often it is told how many files a tracker has registered, while that changes.
pub const TELL_INTERVAL: Duration = Duration::from_secs(30);
