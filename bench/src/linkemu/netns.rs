//! Network namespaces by iproute2: one for each node, removed when dropped.

use super::congestion::Congestion;
use crate::error::{BenchError, Context, Result, failed};
use std::process::Command;

/// A network namespace with its loopback interface up, and a congestion control of its own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it.
    ///
    /// # Errors
    /// [`BenchError::Unavailable`] where namespaces are not permitted, iproute2 is missing, or namespaces may not use this
    /// congestion control; [`BenchError::Failed`] where the kernel does not have it.
    pub fn create(name: &str, congestion: Congestion) -> Result<Self> {
        ip(&["netns", "add", name])
            .map_err(|why| BenchError::Unavailable(format!("network namespaces: {why}")))?;
        let namespace = Self { name: name.to_owned() };
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        namespace.use_congestion(congestion)?;
        Ok(namespace)
    }

    fn use_congestion(&self, congestion: Congestion) -> Result<()> {
        let parameter = "net/ipv4/tcp_congestion_control";
        if self.set(parameter, congestion.name()).is_ok() {
            return Ok(());
        }
        congestion.allow()?;
        self.set(parameter, congestion.name())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside; `command` keeps its arguments, its folder, what is set of its
    /// environment and the process id it gets.
    #[must_use]
    pub fn enter(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// `ip` with these words, inside.
    ///
    /// # Errors
    /// It fails; what it said is in the error.
    pub fn ip(&self, words: &str) -> Result<()> {
        ip(&["-n", &self.name].into_iter().chain(words.split(' ')).collect::<Vec<_>>())
    }

    /// Sets a parameter of the namespace's own network, such as `net/ipv4/tcp_rmem`.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set(&self, parameter: &str, value: &str) -> Result<()> {
        let script = format!("echo '{value}' > /proc/sys/{parameter}");
        run(Command::new("ip").args(["netns", "exec", &self.name, "sh", "-c", &script]))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What remains of it goes away with the machine's next start at the latest.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

/// Runs `ip ARGUMENTS`.
///
/// # Errors
/// It fails; what it said is in the error.
pub fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

/// Runs `tc` with these words in the namespace `name`.
///
/// # Errors
/// It fails; what it said is in the error.
pub fn tc(name: &str, words: &str) -> Result<()> {
    run(Command::new("tc").args(["-n", name]).args(words.split(' ')))
}

fn run(command: &mut Command) -> Result<()> {
    let text = format!("{command:?}").replace('"', "");
    let output = command.output().context(|| format!("cannot start {text}"))?;
    if output.status.success() {
        Ok(())
    } else {
        failed(format!("{text}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::congestion::CONGESTION_CONTROL;
    use super::*;

    #[test]
    fn each_namespace_has_the_congestion_control_that_was_named_whatever_the_machine_uses() {
        for (number, congestion) in [CONGESTION_CONTROL, Congestion::Reno].into_iter().enumerate() {
            let name = format!("cb{}c{number}", std::process::id());
            let namespace = match Namespace::create(&name, congestion) {
                Ok(namespace) => namespace,
                Err(BenchError::Unavailable(why)) => return eprintln!("skipped: {why}"),
                Err(error) => panic!("{error}"),
            };
            let mut look = Command::new("cat");
            let output =
                namespace.enter(look.arg("/proc/sys/net/ipv4/tcp_congestion_control")).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), congestion.name());
        }
    }
}
