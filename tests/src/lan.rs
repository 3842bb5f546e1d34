//! A local network of two machines: network namespaces on one bridge.

use crate::launch::Launch;
use crate::process::Process;
use std::path::Path;

/// Makes the bridge and the machines, and prints the process whose namespace each has.
const SETUP: &str = r#"
ip link set lo up
ip link add bridge0 type bridge
ip link set bridge0 up
here=$(readlink /proc/$$/ns/net)
for number in 1 2; do
    unshare -n sleep 1000 & pid=$!
    while [ "$(readlink /proc/$pid/ns/net)" = "$here" ]; do sleep 0.02; done
    ip link add port$number type veth peer name eth$number
    ip link set port$number master bridge0 up
    ip link set eth$number netns $pid
    nsenter -n -t $pid sh -ec "
        ip link set lo up
        ip link set eth$number up
        if [ -n \"$V4\" ]; then
            ip addr add 10.9.0.$number/24 dev eth$number
            ip route add default dev eth$number
        fi
        if [ -n \"$V6\" ]; then
            ip addr add fd00:9::$number/64 dev eth$number nodad
            ip -6 route add default dev eth$number
        fi"
    echo "machine $number is $pid"
done
wait
"#;

/// Which addresses the machines have, in addition to those that the system gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// 10.9.0.1 and 10.9.0.2.
    V4,
    /// `fd00:9::1` and `fd00:9::2`.
    V6,
    /// Both.
    Both,
}

/// The network; it is gone when this is dropped.
#[derive(Debug)]
pub struct Lan {
    machines: Vec<String>,
    _holder: Process,
}

/// Whether a [`Lan`] can be made here: many containers forbid namespaces.
#[must_use]
pub fn can_make() -> bool {
    let programs = ["unshare", "nsenter", "ip"];
    let there = |name: &&str| {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).exists())
    };
    let probe = || {
        let probe = "unshare -n true && ip link add bridge0 type bridge";
        let probe = Launch::program(Path::new("true")).under(["unshare", "-rn", "sh", "-ec", probe]);
        probe.run().code == Some(0)
    };
    programs.iter().all(there) && probe()
}

impl Lan {
    /// Makes it.
    ///
    /// # Panics
    /// It cannot be made; ask [`can_make`] first.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "processes are started: no default value")]
    pub fn new() -> Self {
        Self::of(Families::V4)
    }

    /// Makes one with such addresses.
    ///
    /// # Panics
    /// As [`Lan::new`].
    #[must_use]
    pub fn of(families: Families) -> Self {
        let holder = Launch::program(Path::new("true")).under(["unshare", "-rn", "sh", "-ec", SETUP]);
        let yes = |has: bool| if has { "yes" } else { "" };
        let holder = holder.env("V4", yes(families != Families::V6)).env("V6", yes(families != Families::V4));
        let mut holder = holder.start();
        let machine = |number: u32, holder: &mut Process| {
            let start = format!("machine {number} is ");
            holder.wait_line("a machine", |line| Some(line.strip_prefix(&start)?.trim().to_owned()))
        };
        let machines = vec![machine(1, &mut holder), machine(2, &mut holder)];
        Self { machines, _holder: holder }
    }

    /// `launch` on the machine with this number, 1 or 2, which is the last one of its addresses.
    pub fn on(&self, number: usize, launch: Launch) -> Launch {
        let pid = &self.machines[number - 1];
        launch.under(["nsenter", "-U", "--preserve-credentials", "-n", "-t", pid])
    }
}
