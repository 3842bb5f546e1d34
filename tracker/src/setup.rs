//! The rules while the tracker runs: the configuration and the folder of `.cascade` files are looked at again and again.

use crate::cli::{Cli, Plan};
use crate::file::Stamp;
use crate::folder::Folder;
use crate::policy::Policy;
use crate::state::StateFile;
use crate::view::View;
use cascade_format::CascadeHash;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

/// Between two looks at the configuration and the folder.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Names of data files, for people.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<RwLock<HashMap<CascadeHash, String>>>);

impl Names {
    /// The name of a file, where it is known.
    #[must_use]
    pub fn of(&self, file: &CascadeHash) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(file).cloned()
    }

    fn set(&self, names: HashMap<CascadeHash, String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
    }
}

/// What the command line, the configuration and the folder say.
#[derive(Debug)]
pub struct Setup {
    cli: Cli,
    plan: Plan,
    /// Of the configuration when it was read.
    stamp: Option<Stamp>,
    folder: Option<Folder>,
    names: Names,
    /// What the tracker obeys.
    policy: Policy,
}

fn readable(folder: &Path) -> Result<(), String> {
    let read = std::fs::read_dir(folder);
    read.map(drop).map_err(|error| format!("{}: cannot read the folder: {error}", folder.display()))
}

impl Setup {
    /// Reads all of it for the first time; `say` is told what is wrong in the folder, which stops nothing.
    ///
    /// # Errors
    /// One line for the user: the file or argument, and what is wrong with it.
    pub fn read(cli: Cli, mut say: impl FnMut(String)) -> Result<Self, String> {
        let stamp = cli.config().and_then(|path| Stamp::of(path).ok());
        let plan = cli.plan()?;
        let mut folder = plan.allow_dir.as_deref().map(Folder::new);
        if let Some(folder) = &mut folder {
            // One that is not there at the start is a mistake.
            readable(folder.path())?;
            folder.look(&mut say);
        }
        let policy = Policy::default();
        let mut setup = Self { cli, plan, stamp, folder, names: Names::default(), policy };
        setup.policy = setup.compose();
        Ok(setup)
    }

    /// Everything that is wrong, a line each, for who only wants to know.
    #[must_use]
    pub fn faults(cli: &Cli) -> Vec<String> {
        let mut faults = Vec::new();
        let plan = cli.look(&mut faults);
        faults.extend(plan.allow_dir.as_deref().and_then(|path| readable(path).err()));
        if let Some((state, _)) = &plan.state {
            let folder = state.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let config = cli.config().unwrap_or(Path::new("")).display();
            if std::fs::metadata(state).is_ok_and(|there| !there.is_file()) {
                faults.push(format!("{config}: state: {} is no file", state.display()));
            } else if !folder.is_dir() {
                faults.push(format!("{config}: state: there is no folder {}", folder.display()));
            } else if StateFile::is_foreign(state) {
                faults.push(format!("{config}: state: {} is no state of a tracker", state.display()));
            }
        }
        faults
    }

    /// What was read at the start, or last.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The rules, with the files of the folder.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The names of the files in the folder, as they change.
    #[must_use]
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// Whether anything can change.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.cli.config().is_some() || self.folder.is_some()
    }

    fn compose(&self) -> Policy {
        let folder = self.folder.as_ref();
        self.names.set(folder.map(Folder::data_names).unwrap_or_default());
        self.plan.policy.clone().with_files(folder.into_iter().flat_map(Folder::hashes))
    }

    /// Looks again, whether the configuration seems to have changed or `asked` for. Returns the rules where they are
    /// others now, and the files that they no longer allow.
    fn look(&mut self, asked: bool, mut say: impl FnMut(String)) -> Option<(Policy, Vec<CascadeHash>)> {
        let stamp = self.cli.config().and_then(|path| Stamp::of(path).ok());
        let mut read = asked || stamp != self.stamp;
        if read {
            self.stamp = stamp;
            read = self.read_again(&mut say);
        }
        if let Some(folder) = &mut self.folder {
            folder.look(&mut say);
        }
        let policy = self.compose();
        if read {
            tracing::info!("the rules were read again: {}", policy.summary());
        }
        if policy == self.policy {
            return None;
        }
        let before = std::mem::replace(&mut self.policy, policy);
        Some((self.policy.clone(), before.allowed_beyond(&self.policy)))
    }

    /// Reads the configuration again; returns whether it is right.
    fn read_again(&mut self, say: &mut impl FnMut(String)) -> bool {
        let changed = |plan: &Plan| plan.allow_dir.as_deref() != self.folder.as_ref().map(Folder::path);
        let plan = self.cli.plan().and_then(|plan| {
            // As at the start, a new folder that cannot be read is a mistake.
            plan.allow_dir.as_deref().filter(|_| changed(&plan)).map_or(Ok(()), readable)?;
            Ok(plan)
        });
        let mut plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                say(format!("{error}; the rules of before stay"));
                return false;
            }
        };
        let at_start = |plan: &Plan| {
            (plan.listen, plan.or_else, plan.state.clone(), plan.store.clone(), plan.web, plan.log.clone())
        };
        if at_start(&plan) != at_start(&self.plan) {
            let kept = "the address, the state, the store, the page and the log are those of the start: restart the \
                        tracker to change them";
            say(kept.to_owned());
        }
        // Large swarms have an index by network from their beginning, or none.
        if plan.policy.near().is_some() != self.plan.policy.near().is_some() {
            say("prefer-near is what it was at the start: restart the tracker to change it".to_owned());
            plan.policy = plan.policy.with_near(self.plan.policy.near().cloned());
        }
        if changed(&plan) {
            self.folder = plan.allow_dir.as_deref().map(Folder::new);
        }
        self.plan = plan;
        true
    }

    /// Looks at everything again and again, and whenever `asked`, until the tracker has ended or nobody can ask any
    /// more.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn watch(mut self, view: View, asked: Receiver<()>) -> io::Result<()> {
        let watch = move || {
            loop {
                let by_hand = match asked.recv_timeout(LOOK_INTERVAL) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                let Some((policy, ended)) = self.look(by_hand, |line| tracing::warn!("{line}")) else {
                    continue;
                };
                if view.set_policy_at_last(&policy, &ended).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("rules".to_owned()).spawn(watch).map(drop)
    }
}
