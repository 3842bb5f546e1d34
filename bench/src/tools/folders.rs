//! Tools that bring a whole folder from here to there. The folder is the job's data.

use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer, free_address, probe};
use crate::error::{Context, Result, failed};
use crate::measure::{Measured, find_program};
use crate::programs::{own, printed_address};
use std::path::PathBuf;
use std::process::Command;

/// `tar c` to `tar x` through a socket.
#[derive(Debug)]
pub struct Tar;

impl Tool for Tar {
    fn name(&self) -> String {
        "tar c, socket, tar x".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let mut command = own(&["tar-send"])?;
        let mut sender = Measured::start("tar c", command.arg(&job.data.path), &job.log("tar-c"))?;
        sender.wait_until(READY_WITHIN, |sender| printed_address(&sender.log_text()).is_some())?;
        let Some(address) = printed_address(&sender.log_text()) else {
            return failed("tar c printed no address");
        };
        sender.mark();
        let copy = job.folder("copy")?;
        let mut command = own(&["tar-receive", &address.to_string()])?;
        let done =
            Measured::start("tar x", command.arg(&copy), &job.log("tar-x"))?.finish(TRANSFER_WITHIN)?;
        let sent = sender.finish(TRANSFER_WITHIN)?;
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: sent.usage, receiver: done.usage, copy })
    }
}

/// The rsync daemon, into a new folder.
#[derive(Debug)]
pub struct Rsync(PathBuf);

impl Rsync {
    /// Finds it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn find() -> Result<Self> {
        Ok(Self(find_program("rsync")?))
    }
}

impl Tool for Rsync {
    fn name(&self) -> String {
        "rsync daemon".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let (address, config) = (free_address()?, job.work.join("rsyncd.conf"));
        let path = job.data.path.display();
        let text = format!("use chroot = no\n[data]\npath = {path}\nread only = yes\n");
        std::fs::write(&config, text).context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(&self.0);
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]);
        command.arg(format!("--port={}", address.port())).arg(format!("--config={}", config.display()));
        let mut server = Measured::start("rsync --daemon", &mut command, &job.log("rsyncd"))?;
        server.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        server.mark();
        let copy = job.folder("copy")?;
        let mut command = Command::new(&self.0);
        command.args(["--recursive", "--links", "--times", "--perms", "--whole-file", "--inplace"]);
        command.arg(format!("rsync://{address}/data/")).arg(&copy);
        let done = Measured::start("rsync", &mut command, &job.log("rsync"))?.finish(TRANSFER_WITHIN)?;
        server.wait_until(READY_WITHIN, |server| crate::procfs::children(server.pid()).is_empty())?;
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: server.usage(), receiver: done.usage, copy })
    }
}

/// croc, through a relay of its own on this machine.
#[derive(Debug)]
pub struct Croc(PathBuf);

impl Croc {
    /// Finds it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn find() -> Result<Self> {
        Ok(Self(find_program("croc")?))
    }
}

/// What sender and receiver agree on.
const SECRET: &str = "1234-cascade-bench-words";

impl Tool for Croc {
    fn name(&self) -> String {
        "croc".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        // It takes this port and the four behind it.
        let port = free_address()?.port().clamp(1024, 60_000);
        let ports: Vec<String> = (port..port + 5).map(|port| port.to_string()).collect();
        let relay = format!("127.0.0.1:{port}");
        let mut command = Command::new(&self.0);
        command.args(["relay", "--ports", &ports.join(",")]);
        let mut server = Measured::start("croc relay", &mut command, &job.log("relay"))?;
        let address = relay.parse().or_else(|_| failed(format!("{relay} is no address")))?;
        server.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        let home = job.folder("home")?;
        let croc = || {
            let mut command = Command::new(&self.0);
            command.args(["--yes", "--ignore-stdin", "--relay", &relay]).env("CROC_SECRET", SECRET);
            command.env("HOME", &home);
            command
        };
        let mut command = croc();
        command.args(["send", "--no-local", "--code", SECRET]).arg(&job.data.path);
        let mut sender = Measured::start("croc send", &mut command, &job.log("send"))?;
        sender.wait_until(READY_WITHIN, |sender| sender.log_text().contains("Code is"))?;
        sender.mark();
        let folder = job.folder("receive")?;
        let mut command = croc();
        command.current_dir(&folder);
        let done = Measured::start("croc", &mut command, &job.log("receive"))?.finish(TRANSFER_WITHIN)?;
        let copy = folder.join(job.data.name());
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: sender.usage(), receiver: done.usage, copy })
    }
}
