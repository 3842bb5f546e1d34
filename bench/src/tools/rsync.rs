//! rsync from its daemon, into a new file: a fast copy with a weak check.

use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer, free_address, probe};
use crate::error::{Context, Result};
use crate::measure::{Measured, find_program};
use std::path::PathBuf;
use std::process::Command;

/// rsync, as daemon and as client.
#[derive(Debug)]
pub struct Rsync {
    rsync: PathBuf,
}

impl Rsync {
    /// Finds it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn find() -> Result<Self> {
        Ok(Self { rsync: find_program("rsync")? })
    }
}

impl Tool for Rsync {
    fn name(&self) -> String {
        "rsync daemon".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let folder = job.folder_with_data("module")?;
        let address = free_address()?;
        let config = job.work.join("rsyncd.conf");
        let text = format!("use chroot = no\n[data]\npath = {}\nread only = yes\n", folder.display());
        std::fs::write(&config, text).context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(&self.rsync);
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]);
        command.arg(format!("--port={}", address.port())).arg(format!("--config={}", config.display()));
        let mut server = Measured::start("rsync --daemon", &mut command, &job.log("rsyncd"))?;
        server.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        server.mark();
        let copy = job.work.join("copy");
        let mut command = Command::new(&self.rsync);
        command.args(["--whole-file", "--inplace"]);
        command.arg(format!("rsync://{address}/data/{}", job.data.name())).arg(&copy);
        let done = Measured::start("rsync", &mut command, &job.log("rsync"))?.finish(TRANSFER_WITHIN)?;
        // The daemon works in a child, whose CPU time becomes the daemon's only when it has ended.
        server.wait_until(READY_WITHIN, |server| crate::procfs::children(server.pid()).is_empty())?;
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: server.usage(), receiver: done.usage, copy })
    }
}
