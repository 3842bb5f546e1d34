//! Opening a TUN device: packets of a network interface as reads and writes of a file.

use crate::error::{BenchError, Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{self, Setter, opcode};
use std::ffi::c_int;
use std::os::fd::OwnedFd;

/// Length of a network interface's name, with its final zero.
const NAME_LEN: usize = 16;

/// Packets without Ethernet headers.
const IFF_TUN: u16 = 0x0001;

/// Packets without the four bytes of TUN's own header.
const IFF_NO_PI: u16 = 0x1000;

/// The request's number: `_IOW('T', 202, int)`, though its argument is a `struct ifreq`.
const TUNSETIFF: ioctl::Opcode = opcode::write::<c_int>(b'T', 202);

/// `struct ifreq` of the kernel, of which TUNSETIFF reads the name and the flags and writes the name.
#[repr(C)]
#[derive(Debug)]
struct InterfaceRequest {
    name: [u8; NAME_LEN],
    flags: u16,
    rest: [u8; 22],
}

/// Creates the interface `name`, which lives as long as the descriptor. Reads and writes do not block.
///
/// # Errors
/// [`BenchError::Unavailable`] without the privilege or the device; the name is too long or taken.
pub fn create(name: &str) -> Result<OwnedFd> {
    let device =
        rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| BenchError::Unavailable(format!("/dev/net/tun: {e}")))?;
    let mut request = InterfaceRequest { name: [0; NAME_LEN], flags: IFF_TUN | IFF_NO_PI, rest: [0; 22] };
    if name.len() >= NAME_LEN {
        return Err(BenchError::Failed(format!("the interface name {name} has more than 15 bytes")));
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    attach(&device, request).context(|| format!("cannot create the network interface {name}"))?;
    Ok(device)
}

#[allow(unsafe_code, reason = "rustix has no safe TUNSETIFF, and a TUN device cannot be used without it")]
fn attach(device: &OwnedFd, request: InterfaceRequest) -> rustix::io::Result<()> {
    // SAFETY: the opcode is TUNSETIFF's, whose argument is a pointer to a `struct ifreq`. `InterfaceRequest` has
    // that structure's layout and its full size of 40 bytes (checked below), so whatever the kernel copies from
    // or to it stays inside. `Setter` hands it a pointer to the owned request, which lives during the call.
    unsafe { ioctl::ioctl(device, Setter::<TUNSETIFF, InterfaceRequest>::new(request)) }
}

// The kernel copies sizeof(struct ifreq) bytes in both directions: 40 on 64-bit systems.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<InterfaceRequest>() == 40);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;

    /// After this long no other test's child is between its fork and its exec.
    const COPIES_ARE_GONE: Duration = Duration::from_secs(10);

    #[test]
    fn the_opcode_is_the_kernel_s() {
        assert_eq!(TUNSETIFF, 0x4004_54ca);
    }

    #[test]
    fn a_device_appears_under_its_name_and_disappears() {
        let name = format!("cbt{}", std::process::id());
        let path = std::path::PathBuf::from(format!("/sys/class/net/{name}"));
        match create(&name) {
            Ok(device) => {
                assert!(path.exists(), "no interface {name}");
                assert!(create(&name).is_err(), "the same name twice");
                drop(device);
                // A process that another test starts holds a copy of every descriptor between its fork and its exec.
                let deadline = clock::now() + COPIES_ARE_GONE;
                while path.exists() {
                    assert!(clock::now() < deadline, "{name} outlived its descriptor by {COPIES_ARE_GONE:?}");
                    std::thread::yield_now();
                }
            }
            Err(why) => eprintln!("skipped: {why}"),
        }
    }

    #[test]
    fn a_long_name_is_refused() {
        assert!(create("a-name-of-16-bytes").is_err());
    }
}
