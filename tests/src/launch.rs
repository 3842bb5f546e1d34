//! How a real process is started.

use crate::outcome::Outcome;
use crate::process::Process;
use crate::{binaries, clock};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A port that only a service nobody runs would listen on.
const NO_TRACKER: &str = "127.0.0.1:1";

/// A folder that cannot be made, by root neither.
const NO_FOLDER: &str = "/proc/nowhere";

/// Where an output of a process goes.
#[derive(Debug)]
pub enum Sink {
    /// Into the process's log.
    Log,
    /// Into a pipe whose reader is gone.
    BrokenPipe,
    /// Onto a device that is full.
    Full,
    /// Into this file, device or terminal.
    File(File),
}

impl Sink {
    fn open(&self) -> Stdio {
        match self {
            Self::Log => Stdio::piped(),
            Self::BrokenPipe => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                writer.into()
            }
            Self::Full => File::options().write(true).open("/dev/full").expect("a full device").into(),
            Self::File(file) => file.try_clone().expect("a descriptor").into(),
        }
    }
}

/// A process to be: a program, arguments, surroundings.
#[derive(Debug)]
#[must_use = "nothing runs before `start` or `run`"]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    cwd: Option<PathBuf>,
    wrapper: Option<Vec<OsString>>,
    stdout: Sink,
    stderr: Sink,
}

impl Launch {
    /// Any program.
    pub fn program(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let (args, env) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (Sink::Log, Sink::Log);
        Self { name, program: path.into(), args, env, cwd: None, wrapper: None, stdout, stderr }
    }

    /// The real tracker.
    pub fn tracker() -> Self {
        Self::program(binaries::tracker())
    }

    /// A subcommand of the real peer. Where it is told no tracker, it asks one that cannot be there,
    /// rather than whatever may run on this machine's default port; nor does it find, or leave, anything in
    /// the user's own folder of state.
    pub fn peer(subcommand: &str) -> Self {
        let mut launch = Self::program(binaries::peer()).env("CASCADE_TRACKER", NO_TRACKER);
        launch = launch.env("XDG_STATE_HOME", NO_FOLDER).env("HOME", NO_FOLDER).arg(subcommand);

        launch.name = format!("peer {subcommand}");
        launch
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes away an environment variable.
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Takes away what Cargo tells a test about the test's own package: a build script that looks at it
    /// would be run again by a Cargo inside.
    pub fn without_package_env(mut self) -> Self {
        let of_package = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        let names = env::vars_os().map(|(name, _)| name).filter(|name| of_package(&name.to_string_lossy()));
        self.env.extend(names.map(|name| (name, None)));
        self
    }

    /// Sets the working folder.
    pub fn cwd(mut self, folder: impl AsRef<Path>) -> Self {
        self.cwd = Some(folder.as_ref().to_owned());
        self
    }

    /// Runs `setup` in a shell, which then becomes the program: a way to set limits without `unsafe`.
    pub fn after_shell(mut self, setup: &str) -> Self {
        let script = format!("{setup}\nexec \"$@\"");
        self.wrapper = Some(["sh", "-c", &script, "sh"].map(OsString::from).to_vec());
        self
    }

    /// Runs `setup` in a shell that is root in a user and mount namespace of its own, which then becomes
    /// the program. Ask [`can_mount`] first.
    pub fn after_shell_with_mounts(mut self, setup: &str) -> Self {
        let script = format!("{setup}\nexec \"$@\"");
        self.wrapper = Some(["unshare", "-rm", "sh", "-ec", &script, "sh"].map(OsString::from).to_vec());
        self
    }

    /// Where standard output goes.
    pub fn stdout(mut self, sink: Sink) -> Self {
        self.stdout = sink;
        self
    }

    /// Where standard error goes.
    pub fn stderr(mut self, sink: Sink) -> Self {
        self.stderr = sink;
        self
    }

    /// Runs the program under another one, which gets these words in front of it.
    pub fn under(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.wrapper = Some(words.into_iter().map(|word| word.as_ref().to_owned()).collect());
        self
    }

    /// Makes system calls of the process fail, by `strace`; `inject` is what follows `-e inject=` (which counts
    /// the calls of each thread apart), and the calls are written to `log`. Ask [`can_inject`] first, and [`injected`] afterwards.
    pub fn with_faults(self, inject: &str, log: &Path) -> Self {
        let calls = inject.split(':').next().unwrap_or(inject);
        let words = ["strace".into(), "-f".into(), "-qq".into(), "-o".into(), log.as_os_str().to_owned()];
        let faults =
            ["-e".into(), format!("trace={calls}").into(), "-e".into(), format!("inject={inject}").into()];
        self.under(words.into_iter().chain::<[OsString; 4]>(faults))
    }

    /// Starts the process.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(self) -> Process {
        let shown = self.shown();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(self.stdout.open()).stderr(self.stderr.open());
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = &self.cwd {
            command.current_dir(folder);
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Process::new(self.name, shown, child)
    }

    /// Starts the process and waits for its end.
    #[must_use]
    pub fn run(self) -> Outcome {
        self.start().wait_exit_within(clock::LIMIT)
    }

    fn command(&self) -> Command {
        match &self.wrapper {
            None => {
                let mut command = Command::new(&self.program);
                command.args(&self.args);
                command
            }
            Some(wrapper) => {
                let mut words = wrapper.iter();
                let mut command = Command::new(words.next().expect("a wrapper has a program"));
                command.args(words).arg(&self.program).args(&self.args);
                command
            }
        }
    }

    fn shown(&self) -> String {
        let args: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
        format!("{} {}", self.program.display(), args.join(" "))
    }
}

/// Whether [`Launch::after_shell_with_mounts`] works here: many containers forbid user namespaces.
#[must_use]
pub fn can_mount() -> bool {
    let probe =
        Launch::program(Path::new("true")).after_shell_with_mounts("mount -t tmpfs -o size=64k t /mnt");
    Path::new("/usr/bin/unshare").exists() && probe.run().code == Some(0)
}

/// Whether [`Launch::with_faults`] works here.
#[must_use]
pub fn can_inject() -> bool {
    let probe = Launch::program(Path::new("true")).with_faults("fsync:error=EIO", Path::new("/dev/null"));
    Path::new("/usr/bin/strace").exists() && probe.run().code == Some(0)
}

/// How many faults were injected by [`Launch::with_faults`], so far.
#[must_use]
pub fn injected(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap_or_default().matches("(INJECTED)").count()
}
