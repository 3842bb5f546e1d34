//! Files without data that an origin has.

use super::{Shelf, State, Time};
use crate::library::limits::{FIRST_REMOTE_RETRY, MAX_REMOTE_RETRY};
use cascade_format::CascadeHash;

impl Shelf {
    /// It is served from the origin. Whether that has it is seen when somebody asks for it.
    pub(super) fn serve_remote(&mut self, id: u32) {
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
        self.complain(id, format!("{}: {message}", name.display()));
    }
}
