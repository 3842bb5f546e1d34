//! Files without data: they are told of, downloaded, or served from an origin.

use super::{Shelf, State, Time, data_of};
use crate::human::Name;
use crate::library::inspect::Described;
use crate::library::limits::{FIRST_REMOTE_RETRY, MAX_REMOTE_RETRY};
use cascade_format::CascadeHash;

/// What becomes of files without data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::library) enum Missing {
    /// They are told of.
    #[default]
    Told,
    /// They are downloaded.
    Downloaded,
    /// An origin has them.
    Remote,
}

impl Shelf {
    /// There is a `.cascade` file, and no data.
    pub(super) fn handle_no_data(&mut self, id: u32, now: Time, described: Described) {
        self.describe(id, described);
        self.set_state(id, State::Resting(None));
        match self.missing {
            Missing::Remote => self.serve_remote(id),
            Missing::Downloaded => {
                self.forget_blocks(id);
                self.want(id, now);
            }
            Missing::Told => {
                self.forget_blocks(id);
                let data = data_of(&self.path(id));
                let data = Name(&data);
                self.complain(
                    id,
                    format!("there is no {data}; put it there, or let it be downloaded with --download"),
                );
            }
        }
    }

    /// It is served from the origin. Whether that has it is seen when somebody asks for it.
    fn serve_remote(&mut self, id: u32) {
        let Some(item) = self.items.get_mut(&id) else { return };
        (item.checked, item.distrusted, item.tree) = (None, false, None);
        let new = !std::mem::replace(&mut item.remote, true);
        // What was wrong with it may be so still.
        let tell = new && item.failures == 0;
        if tell {
            item.problem = None;
        }
        self.choose_for(id);
        if tell {
            self.tell_serving(id);
        }
    }

    /// The origin has the file.
    pub(in crate::library) fn handle_woken(&mut self, hash: CascadeHash) {
        let Some((id, _)) = self.published.get(&hash).copied() else { return };
        let Some(item) = self.items.get_mut(&id).filter(|item| item.remote && item.failures > 0) else {
            return;
        };
        (item.failures, item.problem) = (0, None);
        self.tell_serving(id);
    }

    /// The origin does not have the file, or it cannot be given from there: it is left out, and tried again later.
    pub(in crate::library) fn handle_remote_failed(&mut self, now: Time, hash: CascadeHash, message: &str) {
        let Some((id, _)) = self.published.get(&hash).copied() else { return };
        let Some(item) = self.items.get_mut(&id).filter(|item| item.remote) else { return };
        let pause = FIRST_REMOTE_RETRY.saturating_mul(1 << item.failures.min(16)).min(MAX_REMOTE_RETRY);
        item.failures += 1;
        self.set_state(id, State::Resting(Some(now + pause)));
        self.forget_blocks(id);
        let name = self.path(id);
        self.complain(id, format!("{}: {message}", Name(&name)));
    }
}
