//! What is told of files: each thing once.

use super::{Act, Shelf, data_of};
use crate::human::Name;
use crate::library::inspect::Described;
use crate::library::told::{How, Serving, Told};

impl Shelf {
    /// Tells what is wrong with a file, once.
    pub(super) fn complain(&mut self, id: u32, message: String) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.problem.as_ref() != Some(&message) {
            item.problem = Some(message.clone());
            let path = item.path.to_path_buf();
            self.acts.push_back(Act::Tell(Told::Problem { path, message }));
        }
    }

    /// Tells what was wrong with the folder, as far as that was not told of the last scan.
    pub(super) fn tell_problems(&mut self, problems: Vec<String>, full: bool) {
        for problem in &problems {
            if !self.problems.contains(problem) {
                self.acts.push_back(Act::Tell(Told::Warning(problem.clone())));
            }
        }
        self.problems = problems.into_iter().collect();
        if full && !self.full {
            let message = "there are more .cascade files or folders than are served; the others are left out";
            self.acts.push_back(Act::Tell(Told::Warning(message.into())));
        }
        self.full = full;
    }

    pub(super) fn tell_serving(&mut self, id: u32) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let (Some(Described { hash, layout, .. }), metafile) = (item.described, item.path.to_path_buf())
        else {
            return;
        };
        let (blocks_done, how) = match &item.checked {
            Some(checked) if item.how == How::Downloaded => (checked.count(), How::Downloaded),
            Some(checked) => (checked.count(), checked.how),
            None if item.remote => (0, How::Origin),
            None => return,
        };
        item.how = How::Checked;
        let path = data_of(&item.path);
        let served = self.published.get(&hash).map(|(there, _)| *there);
        if let Some(other) = served.filter(|there| *there != id) {
            let (name, other) = (Name(&metafile), self.path(other));
            let message = format!("{name} describes the same file as {}, which is served", Name(&other));
            return self.complain(id, message);
        }
        let (length, blocks) = (layout.length(), layout.blocks());
        let serving = Serving { path, metafile, hash, length, blocks_done, blocks, how };
        self.acts.push_back(Act::Tell(Told::Serving(serving)));
    }
    pub(super) fn tell_removed(&mut self, id: u32) {
        let item = self.items.get(&id);
        if let Some((path, described)) = item.and_then(|item| Some((data_of(&item.path), item.described?))) {
            self.acts.push_back(Act::Tell(Told::Removed { path, hash: described.hash }));
        }
    }
}
