//! What a peer asks of the tracker, in whichever form.

use cascade_format::tracker_room::{Report, RoomRequest};
use cascade_format::tracker_wide::{Form, WideRequest};
use cascade_format::tracker_wire::{Command, TrackerRequest};
use cascade_format::{CascadeHash, PeerAddr};

/// A request of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// For peers.
    Peers(Ask),
    /// A subscription with a report.
    Report(Report),
    /// For a room.
    Room(RoomRequest),
}

impl From<Report> for Ask {
    fn from(report: Report) -> Self {
        let Report { cascade_hash, listen, .. } = report;
        Self { form: Form::Wide, command: Command::Subscribe, cascade_hash, listen }
    }
}

/// A request for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Which addresses the answer may hold.
    pub form: Form,
    /// List, or subscribe and list.
    pub command: Command,
    /// The file.
    pub cascade_hash: CascadeHash,
    /// Where the asking peer listens.
    pub listen: PeerAddr,
}

impl From<TrackerRequest> for Ask {
    fn from(request: TrackerRequest) -> Self {
        let TrackerRequest { command, cascade_hash, listen } = request;
        Self { form: Form::Plain, command, cascade_hash, listen: listen.into() }
    }
}

impl From<WideRequest> for Ask {
    fn from(request: WideRequest) -> Self {
        let WideRequest { command, cascade_hash, listen } = request;
        Self { form: Form::Wide, command, cascade_hash, listen }
    }
}
