use cascade_tests::cascade_file::{TestFile, sha256};
use cascade_tests::clock;
use cascade_tests::lan::{self, Lan};
use cascade_tests::launch::Launch;
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

/// What a flooding process is told: the name of the swarm.
const SWARM: &str = "CASCADE_TESTS_FLOOD_SWARM";

/// Announcements of a flood: more than the four thousand that are remembered, several times over.
const ANNOUNCEMENTS: u32 = 20_000;

/// Announcements of a flood that come between two looks of a peer.
const AT_ONCE: u32 = 50;

/// The name of a service, or of a host, in a DNS packet.
fn name(labels: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for label in labels {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// One record, as RFC 1035 has it, for two minutes.
fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    [name, &kind.to_be_bytes(), &[0, 1], &[0, 0, 0, 120], &len.to_be_bytes(), data].concat()
}

/// An answer that nobody has asked for: a peer of the swarm at a made-up address.
fn announcement(swarm: &str, number: u32) -> Vec<u8> {
    let service = name(&["_cascade", "_tcp", "local"]);
    let own = format!("{swarm}-{number:08x}");
    let instance = name(&[&own, "_cascade", "_tcp", "local"]);
    let host = name(&[&format!("made-up-{number}"), "local"]);
    let [.., high, low] = number.to_be_bytes();
    let port = (10_000 + number % 50_000).to_be_bytes();
    let records = [
        record(&service, 12, &instance),
        record(&instance, 33, &[&[0; 4], &port[2..], host.as_slice()].concat()),
        record(&instance, 16, &[0]),
        record(&host, 1, &[10, 9, 0, 3 + (high ^ low) % 250]),
    ];
    [&[0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0][..], &records.concat()].concat()
}

/// Run in a process of its own, on another machine.
#[test]
#[ignore = "the other side of the test below, which starts it"]
fn flood_from_here() {
    let Ok(swarm) = std::env::var(SWARM) else { return };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).unwrap();
    socket.set_multicast_ttl_v4(255).unwrap();
    for number in 0..ANNOUNCEMENTS {
        socket.send_to(&announcement(&swarm, number), (Ipv4Addr::new(224, 0, 0, 251), 5353)).unwrap();
        if number % AT_ONCE == 0 {
            clock::breathe();
        }
    }
}

fn flood(network: &Lan, file: &TestFile) -> Process {
    // docs/protocol.md, Peers of one network.
    let digest = sha256(&[&b"cascade lan"[..], &file.hash].concat());
    let swarm: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let test = std::env::current_exe().unwrap();
    let launch = Launch::program(&test).env(SWARM, swarm);
    network.on(1, launch.args(["--ignored", "--exact", "lan_flood::flood_from_here"])).start()
}

#[test]
fn a_flood_of_announcements_takes_little_memory_and_the_real_peer_is_found_after_it() {
    if !lan::can_make() {
        return;
    }
    let network = Lan::new();
    let file = || TestFile::random("nearby.bin", 1_000_000, 100_000);
    let (there, here) = (Scene::new(file(), &[]), Scene::new(file(), &[]));
    let peer = |subcommand: &str, scene: &Scene| {
        Launch::peer(subcommand).env("XDG_STATE_HOME", scene.state()).arg(&scene.cascade).arg("--lan")
    };
    let mut download = network.on(2, peer("download", &here).arg("--json")).start();
    download.wait_line("the tracker's silence", |line| line.contains("tracker").then_some(()));
    let before = download.peak_memory();
    let mut flood = flood(&network, &there.file);
    let mut most = before;
    let mut found = false;
    while flood.is_running() {
        most = most.max(download.peak_memory());
        found |= download.has_printed("\"event\":\"lan\"");
        download.assert_running();
        clock::breathe();
    }
    flood.wait_exit().assert_success();
    assert!(found, "no announcement of the flood was heard");
    assert!(most < before + (32 << 20), "{most} bytes of memory after {before}");

    let _ = there.file.write_data(there.folder());
    let mut seeder = network.on(1, peer("seed", &there)).start();
    seeder.wait_line("its address", |line| line.contains("listening on").then_some(()));
    // After a flood a peer pauses for ten seconds, and twice as long each time that it has come back in between: on a busy
    // machine that sends the flood slowly it does so up to three times.
    download.wait_exit_within(Duration::from_secs(180)).assert_success();
    here.assert_complete();
}
