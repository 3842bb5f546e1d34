use crate::links::{assert_complete, download, peer};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::foreign_client::ForeignClient;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use cascade_tests::terminal::Terminal;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;

fn film() -> TestFile {
    TestFile::random("Ein Film über 東京.mkv", 1_000_000, 10_000)
}

/// On a terminal, whatever the test itself runs on.
fn shown(terminal: &Terminal, launch: Launch) -> Launch {
    terminal.show(launch.env("TERM", "xterm").env("NO_COLOR", ""))
}

/// Where a peer listens, as the terminal says.
fn address(terminal: &Terminal) -> SocketAddr {
    terminal.wait("an address", |screen| {
        screen.split_once("listening on ")?.1.split_whitespace().next()?.parse().ok()
    })
}

/// The rows that stay in place, without what no two runs have in common: speeds and sizes are `N`, and a speed at the end
/// is left out, as it is where there is no room. Of the name in the first row the end is there.
fn rows(screen: &str) -> Vec<String> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_unit = |word: &str| {
            let unit = word.trim_end_matches(',');
            let unit = unit.strip_suffix("/s").unwrap_or(unit);
            ["B", "KiB", "MiB"].contains(&unit)
        };
        let shown = words.iter().enumerate().map(|(at, word)| {
            let is_number =
                word.parse::<f64>().is_ok() && words.get(at + 1).is_some_and(|next| is_unit(next));
            if is_number {
                "N"
            } else if is_unit(word) {
                word.trim_start_matches(['K', 'M', 'i'])
            } else {
                word
            }
        });
        let shown = shown.collect::<Vec<_>>().join(" ");
        let shown = shown.strip_suffix(", N B/s").unwrap_or(&shown);
        shown.split_once("東京.mkv").map_or_else(|| shown.to_owned(), |(_, rest)| format!("…東京.mkv{rest}"))
    };
    screen
        .lines()
        .skip_while(|line| !line.contains(" B/s up") && !line.contains("iB/s up"))
        .map(row)
        .collect()
}

/// What a seeder shows on a terminal of this width, when one receiver has nothing, one a half, one everything, and one
/// does not tell.
fn seeder_at(columns: u16) -> Vec<String> {
    let scene = Scene::new(film(), &[]);
    let _ = scene.file.write_data(scene.folder());
    let terminal = Terminal::new(columns, 20);
    let mut seeder = shown(&terminal, scene.seed().env("CASCADE_EXTENSION", "on")).start();
    let addr = address(&terminal);
    let block = |mut client: ExtendedClient| {
        assert_eq!(client.ask(0).1.status % 2, 0, "the block, or that another gets it");
        client
    };
    let mut clients = Vec::new();
    for (port, has) in [(7001, 1), (7002, 128), (7003, 255)] {
        clients.push(block(ExtendedClient::connect(addr, &scene.file, port).having(has)));
    }
    let mut version1 = ForeignClient::connect(addr);
    version1.ask(&scene.file.hash, 5).unwrap().assert_block(&scene.file, 5);
    let seen = terminal.wait("a row for each of three receivers", |screen| {
        let rows = rows(screen);
        (rows.len() == 4).then_some(rows)
    });
    seeder.signal(Signal::INT);
    let end =
        terminal.wait("the last line", |screen| screen.contains(" copies; ").then(|| screen.to_owned()));
    assert!(!end.contains('█') && !end.contains('·'), "a row is left behind:\n{end}");
    let _ = seeder.wait_exit();
    seen
}

#[test]
fn a_seeder_at_80_columns() {
    assert_eq!(
        seeder_at(80),
        [
            "…東京.mkv N B/s up, 0.02 copies given, 4 receivers: 1 complete, 3 active",
            "127.0.0.1:7001 ···················   0 %",
            "127.0.0.1:7002 █████████▌·········  50 %",
            "127.0.0.1      version 1, given N B",
        ]
    );
}

#[test]
fn a_seeder_at_40_columns() {
    assert_eq!(
        seeder_at(40),
        [
            "…東京.mkv N B/s up",
            "127.0.0.1:7001 ·········   0 %",
            "127.0.0.1:7002 ████▌····  50 %",
            "127.0.0.1      version 1, given N B",
        ]
    );
}

#[test]
fn a_seeder_at_200_columns() {
    assert_eq!(
        seeder_at(200),
        [
            "…東京.mkv N B/s up, 0.02 copies given, 4 receivers: 1 complete, 3 active",
            "127.0.0.1:7001 ························   0 %",
            "127.0.0.1:7002 ████████████············  50 %",
            "127.0.0.1      version 1, given N B",
        ]
    );
}

/// At the end the screen has lines, and no part of a bar.
#[test]
fn a_short_download_leaves_its_last_line_and_no_bar() {
    for columns in [40, 80, 200] {
        let peer = ForeignPeer::start(&film(), Script::default());
        let scene = Scene::new(film(), &[peer.addr]);
        let terminal = Terminal::new(columns, 20);
        shown(&terminal, scene.download()).start().wait_exit().assert_success();
        let end = terminal
            .wait("the last line", |screen| screen.contains("verified in").then(|| screen.to_owned()));
        assert!(!end.contains("0 B/1 B") && !end.contains('█') && !end.contains('·'), "{columns}:\n{end}");
        assert_eq!(end.matches(&scene.file.name).count(), 1, "{columns}:\n{end}");
        scene.assert_complete();

        // Nothing is missing, and nothing need be checked: the last line, and no bar ever.
        let again = Terminal::new(columns, 20);
        shown(&again, scene.download()).start().wait_exit().assert_success();
        again.wait("the last line", |screen| screen.contains("complete and verified already").then_some(()));
        let written = again.written();
        assert!(
            !written.contains("checking") && !written.contains('█') && !written.contains('·'),
            "{written:?}"
        );
    }
}

/// The line to paste stays on the screen; the code of it stands above, where there is room for both.
#[test]
fn the_line_to_paste_is_seen_and_its_code_where_it_fits() {
    for (columns, height, has_code) in [(80, 24, false), (40, 60, false), (80, 60, true)] {
        let folder = tempfile::tempdir().unwrap();
        let file = TestFile::random("film.mkv", 1_000_000, 10_000);
        let _ = file.write_data(folder.path());
        let terminal = Terminal::new(columns, height);
        let launch = peer("share", &folder).args([&file.name, "-l", "127.0.0.1:0"]);
        let sharer = shown(&terminal, launch.env("CASCADE_STATE_DIR", folder.path().join("state"))).start();
        let screen = terminal
            .wait("that it seeds", |screen| screen.contains("seeding, all").then(|| screen.to_owned()));
        let (above, _) = screen.split_once("peer download 'cascade:").unwrap_or_else(|| panic!("{screen}"));
        assert_eq!(above.contains("▄▄▄▄▄▄▄"), has_code, "{columns} by {height}:\n{screen}");
        assert!(above.contains("film.mkv: "), "all of it is seen:\n{screen}");
        sharer.end_by(Signal::INT).assert_code(0);
    }
}

/// No line of the help is broken by the terminal.
#[test]
fn help_fits_the_terminal() {
    for columns in [60, 80] {
        for help in [Launch::peer("share").arg("--help"), Launch::tracker().arg("--help")] {
            let terminal = Terminal::new(columns, 200);
            shown(&terminal, help).start().wait_exit().assert_success();
            terminal.wait("the end", |screen| screen.contains("--web").then_some(()));
            let written = terminal.written();
            let long = written.lines().find(|line| line.chars().count() > usize::from(columns));
            // What has no space in it cannot be broken.
            assert!(long.is_none_or(|long| !long.trim().contains(' ')), "{columns}: {long:?}");
        }
    }
}

/// A narrow terminal has each row in one line, also when it was wider before.
#[test]
fn a_terminal_may_be_resized_while_something_is_shown() {
    let peer = ForeignPeer::start(&film(), Script::default().slow(200_000));
    let scene = Scene::new(film(), &[peer.addr]);
    let terminal = Terminal::new(200, 20);
    let download = shown(&terminal, scene.download()).start();
    let row = |screen: &str, columns: usize| {
        let rows: Vec<&str> = screen.lines().filter(|line| line.contains('·')).collect();
        (rows.len() == 1 && rows[0].contains("iB/") && rows[0].chars().count() < columns).then_some(())
    };
    terminal.wait("a wide row", |screen| {
        row(screen, 200).filter(|()| screen.lines().any(|line| line.chars().count() > 150))
    });
    for columns in [60u16, 40, 90] {
        terminal.set_size(columns, 20);
        terminal.wait("one row that fits", |screen| row(screen, usize::from(columns)));
    }
    download.wait_exit().assert_success();
    let end =
        terminal.wait("the last line", |screen| screen.contains("verified in").then(|| screen.to_owned()));
    assert!(!end.contains('·') && !end.contains('█'), "{end}");
}

#[test]
fn colours_are_for_those_who_want_them_and_a_dumb_terminal_gets_lines() {
    let peer = ForeignPeer::start(&film(), Script::default().slow(800_000));
    let seen = |name: &str, value: &str| {
        let scene = Scene::new(film(), &[peer.addr]);
        let terminal = Terminal::new(80, 20);
        let launch = shown(&terminal, scene.download()).env(name, value);
        launch.start().wait_exit().assert_success();
        terminal.wait("the last line", |screen| screen.contains("verified in").then_some(()));
        terminal.written()
    };
    let (bold, plain, dumb) = (seen("NO_COLOR", ""), seen("NO_COLOR", "1"), seen("TERM", "dumb"));
    assert!(bold.contains("\u{1b}[1m") && bold.contains('·'), "{bold:?}");
    assert!(!plain.contains("\u{1b}[1m") && plain.contains('·'), "{plain:?}");
    assert!(!dumb.contains('\u{1b}') && dumb.contains("blocks to get"), "{dumb:?}");
}

/// The picture holds each receiver, and a name that somebody else may have chosen is text in it.
#[test]
fn a_report_is_written_at_the_end_and_a_script_in_a_name_is_text() {
    let file = TestFile::random("<script>alert(1)<!--&quot;.mkv", 2_000_000, 65_536);
    let home = tempfile::tempdir().unwrap();
    let _ = file.write_data(home.path());
    for (report, options) in
        [("report.html", ["--json", "--max-up=100MiB/s"]), ("report.svg", ["--no-qr", "--paranoid"])]
    {
        let share = || {
            peer("share", &home)
                .env("CASCADE_STATE_DIR", home.path())
                .arg(&file.name)
                .args(["-l", "127.0.0.1:0"])
        };
        let mut sharer = share().args(options).args(["--report", report]).start();
        let link = sharer.wait_line("a link", |line| {
            let from = line.find("cascade:")?;
            Some(line[from..].split(['\'', '"']).next()?.to_owned())
        });
        let receiver = tempfile::tempdir().unwrap();
        download(&receiver, &link).run().assert_success();
        assert_complete(receiver.path(), &file);
        let done = sharer.end_by(Signal::INT);
        done.assert_code(0);
        let written = fs::read_to_string(home.path().join(report)).unwrap();
        assert!(!written.contains("<script") && written.contains("&lt;script&gt;alert(1)"), "{written}");
        assert!(written.contains("<svg ") && written.contains("127.0.0.1"), "{written}");
        if report.ends_with("html") {
            let given = done.stdout.lines().find(|line| line.contains(r#""given""#)).unwrap();
            let given: Value = serde_json::from_str(given).unwrap();
            assert_eq!(
                (&given["receivers"], &given["receivers_complete"]),
                (&1.into(), &1.into()),
                "{given}"
            );
            assert!(given["last_seconds"].as_f64().is_some_and(|last| last > 0.0), "{given}");
        }
        // An existing file is not replaced: that is told before anything is shared.
        let refused = share().args(["--report", report]).run();
        refused.assert_code(1);
        assert_eq!(fs::read_to_string(home.path().join(report)).unwrap(), written);
    }
    peer("share", &home).arg(&file.name).args(["--report", "report.png"]).run().assert_code(2);
}

/// In a log: what is seeded, and at the end one line for what was given.
#[test]
fn a_log_gets_few_lines_and_the_last_one_says_how_good_it_was() {
    let scene = Scene::new(film(), &[]);
    let _ = scene.file.write_data(scene.folder());
    let (seeder, addr) = scene.seeding();
    let mut client = ForeignClient::connect(addr);
    client.ask(&scene.file.hash, 5).unwrap().assert_block(&scene.file, 5);
    let done = seeder.end_by(Signal::INT);
    done.assert_code(0);
    let last = done.stdout.lines().last().unwrap_or_default();
    let wanted = ": gave 9.7 KiB to 1 receiver, 0.01 copies; 0 of 1 complete (1 of version 1 does not tell)";
    assert_eq!(last, format!("{}{wanted}", scene.file.name), "{done}");
}
