//! sendme: one file by a ticket, over QUIC, verified with BLAKE3.

use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer};
use crate::error::{Result, failed};
use crate::measure::{Measured, find_program};
use std::path::PathBuf;
use std::process::Command;

/// sendme, on both sides.
#[derive(Debug)]
pub struct Sendme {
    sendme: PathBuf,
}

impl Sendme {
    /// Finds it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn find() -> Result<Self> {
        Ok(Self { sendme: find_program("sendme")? })
    }
}

/// The ticket in what `sendme send` prints: the word after `sendme receive`.
fn ticket(text: &str) -> Option<&str> {
    text.split_once("sendme receive ")?.1.split_whitespace().next()
}

impl Tool for Sendme {
    fn name(&self) -> String {
        "sendme".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        // It works in the folder that it is started in, where a file is a second name of the data.
        let is_folder = job.data.path.is_dir();
        let folder = if is_folder { job.folder("send")? } else { job.folder_with_data("send")? };
        let data = if is_folder { job.data.path.clone() } else { folder.join(job.data.name()) };
        let mut command = Command::new(&self.sendme);
        command.args(["send", "--relay", "disabled"]).arg(data).current_dir(&folder);
        let mut sender = Measured::start("sendme send", &mut command, &job.log("send"))?;
        sender.wait_until(READY_WITHIN, |sender| ticket(&sender.log_text()).is_some())?;
        let said = sender.log_text();
        let Some(ticket) = ticket(&said) else { return failed("sendme printed no ticket") };
        sender.mark();
        let folder = job.folder("receive")?;
        let mut command = Command::new(&self.sendme);
        command.args(["receive", "--relay", "disabled", ticket]).current_dir(&folder);
        let receiver = Measured::start("sendme receive", &mut command, &job.log("receive"))?;
        let done = receiver.finish(TRANSFER_WITHIN)?;
        let copy = folder.join(job.data.name());
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: sender.usage(), receiver: done.usage, copy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_is_found() {
        assert_eq!(ticket("to get this data, use\nsendme receive blobac12\nbye"), Some("blobac12"));
        assert_eq!(ticket("imported"), None);
    }
}
