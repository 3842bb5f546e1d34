//! Golden screens: what a person sees at 40, 80 and 200 columns.

use super::super::terminal::tests::Paper;
use super::*;
use crate::view::{BlockSet, FileState};
use cascade_format::CascadeHash;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const BLOCKS: u64 = 1000;

/// A receiver that has this number of blocks of 1000, or does not tell.
fn receiver(host: u8, had: Option<u64>) -> ReceiverView {
    ReceiverView {
        ip: IpAddr::V4(Ipv4Addr::new(192, 168, 1, host)),
        port: had.map(|_| 8889),
        extension: had.is_some(),
        blocks_done: had,
        complete: had.map(|had| had == BLOCKS),
        bytes_given: 5 << 20,
        rate: f64::from(host) * 100_000.0,
        active: had != Some(BLOCKS),
        first_seen: Duration::from_secs(10),
        last_seen: Duration::ZERO,
        completed: None,
    }
}

fn file(name: &str, receivers: Vec<ReceiverView>) -> FileView {
    FileView {
        hash: CascadeHash([1; 32]),
        name: name.into(),
        length: 1 << 30,
        block_size: 1 << 20,
        blocks: BLOCKS,
        have: BlockSet::all(BLOCKS),
        state: FileState::Seeding,
        age: Duration::from_secs(20),
        download: None,
        receivers_known: receivers.len(),
        receivers_given: receivers.len(),
        receivers,
        bytes_given: 0,
        copies_given: 1.234,
        bytes_received: 0,
    }
}

fn view(files: Vec<FileView>) -> View {
    View {
        files,
        files_asleep: 0,
        bytes_given: 0,
        bytes_received: 0,
        up_rate: 11_500_000.0,
        down_rate: 0.0,
        clients: 3,
        uptime: Duration::from_secs(20),
    }
}

/// What stands on a terminal of this size.
fn screen(columns: u16, rows: u16, view: &View) -> String {
    let paper = Paper::new(columns, rows);
    let screen = paper.screen();
    let mut status = Status::new(&screen);
    status.show(view);
    screen.draw();
    let contents = paper.contents();
    drop(status);
    assert_eq!(paper.contents(), "", "something is left behind");
    contents
}

fn some() -> View {
    let had = [Some(1000), Some(433), Some(20), None, Some(999), Some(700)];
    let receivers = (7..).zip(had).map(|(host, had)| receiver(host, had)).collect();
    view(vec![file("Ein Film über 東京 und Umgebung.mkv", receivers)])
}

#[test]
fn at_80_columns() {
    assert_eq!(
        screen(80, 24, &some()),
        "\
…gebung.mkv 10.9 MiB/s up, 1.23 copies given, 6 receivers: 1 complete, 5 active
192.168.1.9:8889  ▍··················   2 %, 878.9 KiB/s
192.168.1.8:8889  ████████▏··········  43 %, 781.2 KiB/s
192.168.1.12:8889 █████████████▎·····  70 %, 1.1 MiB/s
192.168.1.11:8889 ██████████████████▉  99 %, 1.0 MiB/s
192.168.1.10      version 1, given 5.0 MiB, 976.5 KiB/s"
    );
}

#[test]
fn at_40_columns() {
    assert_eq!(
        screen(40, 24, &some()),
        "\
…er 東京 und Umgebung.mkv 10.9 MiB/s up
192.168.1.9:8889  ▏········   2 %
192.168.1.8:8889  ███▉·····  43 %
192.168.1.12:8889 ██████▎··  70 %
192.168.1.11:8889 ████████▉  99 %
192.168.1.10"
    );
}

#[test]
fn at_200_columns() {
    assert_eq!(
        screen(200, 24, &some()),
        "\
Ein Film über 東京 und Umgebung.mkv 10.9 MiB/s up, 1.23 copies given, 6 receivers: 1 complete, 5 active
192.168.1.9:8889  ▍·······················   2 %, 878.9 KiB/s
192.168.1.8:8889  ██████████▍·············  43 %, 781.2 KiB/s
192.168.1.12:8889 ████████████████▊·······  70 %, 1.1 MiB/s
192.168.1.11:8889 ███████████████████████▉  99 %, 1.0 MiB/s
192.168.1.10      version 1, given 5.0 MiB, 976.5 KiB/s"
    );
}

/// Of many receivers those with the longest way to go are shown, as many as fit.
#[test]
fn many_receivers_of_several_files_on_a_low_terminal() {
    let receivers =
        |from: u8| (from..from + 50).map(|host| receiver(host, Some(u64::from(host) * 9))).collect();
    let view =
        view(vec![file("a", receivers(100)), file("b\u{1b}[2J", receivers(50)), file("c", Vec::new())]);
    assert_eq!(
        screen(60, 7, &view),
        "\
2 files 10.9 MiB/s up, 2.47 copies given
…u{1b}[2J 192.168.1.50:8889 ██████▎·······  45 %, 4.7 MiB/s
…u{1b}[2J 192.168.1.51:8889 ██████▍·······  45 %, 4.8 MiB/s
…u{1b}[2J 192.168.1.52:8889 ██████▌·······  46 %, 4.9 MiB/s"
    );
    assert_eq!(rows(&view, MAX_SHOWN).len(), 1 + MAX_SHOWN);
}

#[test]
fn rows_come_and_go_in_place() {
    let paper = Paper::new(80, 24);
    let screen = paper.screen();
    let mut status = Status::new(&screen);
    for count in [0u8, 3, 8, 1, 0] {
        let receivers = (0..count).map(|host| receiver(host, Some(5))).collect();
        status.show(&view(vec![file("film.mkv", receivers)]));
        screen.draw();
        let lines = paper.contents().lines().count();
        assert_eq!(lines, if count == 0 { 0 } else { usize::from(count) + 1 }, "{}", paper.contents());
    }
}

#[test]
fn a_log_is_told_the_same_in_a_line() {
    let view = some();
    let line = plain(&view.files[0]).unwrap();
    assert_eq!(
        line,
        "Ein Film über 東京 und Umgebung.mkv: 1.23 copies given, 6 receivers: 1 complete, 5 active"
    );
    assert_eq!(plain(&file("film", Vec::new())), None);
}
