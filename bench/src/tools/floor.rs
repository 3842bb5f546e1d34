//! The floor program as a contestant.

use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer};
use crate::error::{Result, failed};
use crate::measure::Measured;
use crate::programs::floor::Hashing;
use crate::programs::{own, printed_address};

/// One variant of the floor program.
#[derive(Debug)]
pub struct Floor(pub Hashing);

impl Tool for Floor {
    fn name(&self) -> String {
        match self.0 {
            Hashing::OneThread => "floor, 1 thread".to_owned(),
            Hashing::TwoThreads => "floor, 2 threads".to_owned(),
        }
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let file = job.data.path.to_string_lossy();
        let mut sender =
            Measured::start("the floor's sender", &mut own(&["floor-send", &file])?, &job.log("send"))?;
        sender.wait_until(READY_WITHIN, |sender| printed_address(&sender.log_text()).is_some())?;
        let Some(address) = printed_address(&sender.log_text()) else {
            return failed("the floor's sender has no address");
        };
        let copy = job.work.join("copy");
        let mut command = own(&["floor-receive", &address.to_string(), &job.data.length.to_string()])?;
        command.arg(&copy).arg("--hashing").arg(match self.0 {
            Hashing::OneThread => "one-thread",
            Hashing::TwoThreads => "two-threads",
        });
        let receiver = Measured::start("the floor's receiver", &mut command, &job.log("receive"))?;
        let received = receiver.finish(TRANSFER_WITHIN)?;
        let sent = sender.finish(TRANSFER_WITHIN)?;
        Ok(Transfer { wall: received.wall.as_secs_f64(), sender: sent.usage, receiver: received.usage, copy })
    }
}
