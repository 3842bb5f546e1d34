use crate::serve::{ServedFolder, file, listening, wait_served};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_client::fetch;
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::process::{Signal, has_open};
use cascade_tests::scene::Scene;
use std::fs;

#[test]
fn what_is_missing_is_downloaded_and_served_and_a_command_is_run() {
    let file = TestFile::random("it's $(a) \"film\".bin", 900_000, 10_240);
    let seeder = Scene::new(file.clone(), &[]);
    let (_seeder, at) = seeder.seeding();
    let scene = ServedFolder { tracker: ForeignTracker::listing(&[at]), ..ServedFolder::new() };
    let log = scene.state.path().join("ran");
    let command = format!(
        "echo \"got $CASCADE_FILE\"; echo oops >&2; printf '%s|%s|%s|%s' \"$CASCADE_FILE\" \"$CASCADE_HASH\" \
         \"$CASCADE_LENGTH\" \"$CASCADE_HOW\" >'{}'",
        log.display()
    );
    let mut server = scene.launch().args(["--download", "--exec", &command]).start();
    let addr = listening(&mut server);
    let _ = file.write_cascade(scene.dir());
    let data = scene.dir().join(&file.name);
    server.wait_line("its output", |line| line.contains("exec: got ").then_some(()));
    server.wait_line("its errors", |line| line.contains("exec: oops").then_some(()));
    file.assert_same(&data);
    let ran =
        server.wait_until("the command", || fs::read_to_string(&log).ok().filter(|ran| !ran.is_empty()));
    assert_eq!(ran, format!("{}|{}|900000|downloaded", data.display(), file.hex()));
    wait_served(&mut server, addr, &file);
    assert!(!has_open(server.pid(), &scene.dir().join("film.part")));
    drop(server.end_by(Signal::INT));

    // It is not new any more.
    fs::remove_file(&log).unwrap();
    let mut server = scene.launch().args(["--download", "--exec", &command]).start();
    let addr = listening(&mut server);
    wait_served(&mut server, addr, &file);
    assert!(!log.exists());
}

#[test]
fn a_file_of_the_users_is_not_replaced_by_a_download() {
    let files = ["notes", "edited", "cut"].map(file);
    let seeders = files.each_ref().map(|file| Scene::new(file.clone(), &[]));
    let seeding = seeders.each_ref().map(Scene::seeding);
    let peers: Vec<_> = seeding.iter().map(|(_, at)| *at).collect();
    let scene = ServedFolder { tracker: ForeignTracker::listing(&peers), ..ServedFolder::new() };
    let [notes, edited, cut] = &files;
    let own = [
        (notes, b"not what the .cascade file describes".to_vec()),
        (edited, edited.data_with(|block| block == 3)),
        (cut, cut.data[..cut.data.len() / 2].to_vec()),
    ];
    for (file, bytes) in &own {
        let _ = file.write_cascade(scene.dir());
        fs::write(scene.dir().join(&file.name), bytes).unwrap();
    }
    let (mut server, addr) = scene.start_with(&["--download"]);
    for file in [notes, edited] {
        let text = format!("{} has bytes that", scene.dir().join(&file.name).display());
        server.wait_line("that it is left alone", |line| line.contains(&text).then_some(()));
    }
    server.wait_until("what was cut", || {
        (fs::read(scene.dir().join(&cut.name)).ok()? == *cut.data).then_some(())
    });
    for (file, bytes) in &own[..2] {
        assert!(fs::read(scene.dir().join(&file.name)).unwrap() == *bytes, "{}", file.name);
    }
    // What of it is right is served.
    server.wait_until("a block", || (fetch(addr, edited, 0).status == 0).then_some(()));
    assert_ne!(fetch(addr, edited, 3).status, 0);
    // Its owner has moved it away.
    fs::rename(scene.dir().join(&notes.name), scene.dir().join("mine")).unwrap();
    server.wait_until("the download", || {
        (fs::read(scene.dir().join(&notes.name)).ok()? == *notes.data).then_some(())
    });
}

#[test]
fn a_command_that_fails_is_told_and_runs_once_for_each_new_file() {
    let scene = ServedFolder::new();
    let mut server = scene.launch().args(["--exec", "exit 3"]).start();
    let addr = listening(&mut server);
    let files = ["a", "b", "c"].map(file);
    files.iter().for_each(|file| drop(scene.put(file)));
    for file in &files {
        let text = format!("{}: the command of --exec has failed: exit status: 3", file.name);
        server.wait_line("the failure", |line| line.contains(&text).then_some(()));
    }
    wait_served(&mut server, addr, &files[0]);
    assert_eq!(server.log().matches("has failed").count(), 3, "{}", server.log());
}

#[test]
fn a_command_that_runs_for_ever_ends_with_the_peer() {
    let scene = ServedFolder::new();
    let pid = scene.state.path().join("pid");
    let command = format!("sleep 1000 & echo $! >'{}'; wait", pid.display());
    let mut server = scene.launch().args(["--exec", &command]).start();
    let _ = listening(&mut server);
    scene.put(&file("a"));
    let pid = server.wait_until("the command", || fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok());
    drop(server.end_by(Signal::TERM));
    clock::eventually("its end", || (!is_alive(pid)).then_some(()));
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
