//! A tracker's state file: a disk may have cut it, and somebody may have written it.

use crate::{Seed, assert_one_line};
use cascade_format::CascadeHash;
use cascade_tracker::frames::{self, Fault, FrameWriter, Kept};
use cascade_tracker::registry::{AddressV6, Registration, Source};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// A registration has this many bytes at least.
const SHORTEST: usize = 12;

/// Reads `data` as a state, as it is and with every checksum set right.
///
/// # Panics
/// More is told of than there is room for, an error has no line, or what was read is written and read as something
/// else.
pub fn run(data: &[u8]) {
    check(data);
    let mut frame = vec![0; 8];
    frame.extend_from_slice(data);
    frames::seal(&mut frame);
    check(&[frames::header(), frame].concat());
}

fn check(bytes: &[u8]) {
    let mut told = Vec::new();
    let read = frames::read(bytes, |kept, unix| told.push((kept, unix)));
    assert!(told.len() <= bytes.len() / SHORTEST, "{} registrations of {} bytes", told.len(), bytes.len());
    match read {
        Ok(number) => assert_eq!(number, told.len() as u64),
        Err(Fault::Damaged(after)) => assert!(after <= bytes.len() as u64),
        Err(fault) => assert_one_line(&fault.to_string()),
    }
    let mut again = Vec::new();
    let number = frames::read(write(&told).as_slice(), |kept, unix| again.push((kept, unix)));
    assert_eq!((number.ok(), again), (Some(told.len() as u64), told));
}

/// A state with these registrations, each in a frame of its own.
fn write(told: &[(Kept, u32)]) -> Vec<u8> {
    let (mut bytes, mut frame) = (frames::header(), Vec::new());
    for (kept, unix) in told {
        match kept {
            Kept::V4(one) => {
                let mut writer = FrameWriter::new::<SocketAddrV4>(&mut frame, *unix);
                writer.add(one);
                writer.finish();
            }
            Kept::V6(one) => {
                let mut writer = FrameWriter::new::<AddressV6>(&mut frame, *unix);
                writer.add(one);
                writer.finish();
            }
        }
        frames::seal(&mut frame);
        bytes.extend_from_slice(&frame);
    }
    frames::end(&mut frame, 7, told.len() as u64);
    [bytes, frame].concat()
}

/// Whole states, and damaged ones.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let source = Source::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    let v4 = |n: u8| {
        let addr = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, n), 7);
        Kept::V4(Registration { file: CascadeHash([n / 2; 32]), source, addr, age: 60 })
    };
    let mut all: Vec<(Kept, u32)> = (0..4).map(|n| (v4(n), 1_800_000_000)).collect();
    let v6: Option<SocketAddr> = "[2001:db8::1]:80".parse().ok();
    if let Some(addr) = v6.and_then(|addr| AddressV6::of(addr.into())) {
        all.push((
            Kept::V6(Registration { file: CascadeHash([9; 32]), source, addr, age: 1800 }),
            1_800_000_001,
        ));
    }
    let (whole, empty) = (write(&all), write(&[]));
    let mut changed = whole.clone();
    if let Some(byte) = changed.get_mut(40) {
        *byte ^= 1;
    }
    let payload = whole.get(24..73).unwrap_or_default().to_vec();
    let long = [&frames::header()[..], &[0xff; 8], &[4; 100]].concat();
    let cut = whole.get(..whole.len() - 1).unwrap_or_default().to_vec();
    let trailing = [&whole[..], b"x"].concat();
    vec![
        ("whole", whole),
        ("nobody", empty),
        ("a-bit-changed", changed),
        ("payload-alone", payload),
        ("length-too-large", long),
        ("cut", cut),
        ("trailing", trailing),
        ("header-alone", frames::header()),
        ("no-bytes", Vec::new()),
    ]
}
