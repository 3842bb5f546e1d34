use crate::serve::{ServedFolder, file, listening, wait_served};
use cascade_tests::address::{self, Reserved};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::extension::Item;
use cascade_tests::foreign_client::ForeignClient;
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::http;
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::tracker_client::{LIST, Request};
use std::fs;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn hundreds_of_files_take_few_descriptors() {
    let scene = ServedFolder::new();
    let files: Vec<_> =
        (0..600).map(|number| TestFile::random(&format!("{number:03}"), 20_000, 10_000)).collect();
    files.iter().for_each(|file| drop(scene.put(file)));
    let mut server = scene.launch().after_shell("ulimit -n 256").start();
    let addr = listening(&mut server);
    let mut clients: Vec<_> = (0..20).map(|_| ForeignClient::connect(addr)).collect();
    let mut most = 0;
    for (number, file) in files.iter().enumerate() {
        let client = &mut clients[number % 20];
        server.wait_until("the file", || {
            let status = client.ask(&file.hash, 0).map_or(1, |response| response.status);
            if status == 1 {
                *client = ForeignClient::connect(addr);
            }
            (status == 0).then_some(())
        });
        client.ask(&file.hash, 1).unwrap().assert_block(file, 1);
        most = most.max(server.descriptors());
    }
    assert!(most < 250, "{most} descriptors");
    server.wait_until("all registrations", || {
        files.iter().all(|file| scene.tracker.first_subscriber(&file.hash).is_some()).then_some(())
    });
    // Not all at once.
    let times: Vec<_> = scene.tracker.announces().iter().map(|announce| announce.at).collect();
    let took = times.iter().max().unwrap().duration_since(*times.iter().min().unwrap());
    assert!(took > Duration::from_secs(5), "600 files within {took:?}");
}

#[test]
fn the_page_counts_what_nobody_asks_for() {
    let (scene, one, two) = (ServedFolder::new(), file("one"), file("two"));
    scene.put(&one);
    scene.put(&two);
    let (mut server, addr) = scene.start_with(&["--web=127.0.0.1:0"]);
    let page = crate::web::page_at(&crate::web::page_url(&mut server));
    wait_served(&mut server, addr, &one);
    let state = server.wait_until("both", || {
        let state = http::get(page, "/api/v1/state").json();
        (state["files"].as_object()?.len() == 1 && state["left_out"]["files"] == 1).then_some(state)
    });
    assert_eq!(state["files"][&one.hex()]["file"], "one", "{state}");
}

#[test]
fn who_waits_for_news_hears_a_goodbye() {
    let scene = ServedFolder::new();
    let files = ["removed.bin", "left.bin"].map(file);
    let paths = files.each_ref().map(|file| scene.put(file));
    let (mut server, addr) = scene.start();
    let listener = Reserved::new();
    let mut clients = files.each_ref().map(|file| {
        wait_served(&mut server, addr, file);
        let mut client = ExtendedClient::connect(addr, file, listener.addr.port());
        client.ask(0).1.assert_block(file, 0);
        client
    });
    let goodbye = |client: &mut ExtendedClient, what: &str| {
        clock::eventually(what, || {
            let news = client.news_within(Duration::from_millis(200))?;
            news.iter().any(|item| matches!(item, Item::Goodbye)).then_some(())
        });
    };
    fs::remove_file(&paths[0]).unwrap();
    let [removed, left] = &mut clients;
    goodbye(removed, "the goodbye of a removed file");
    server.signal(Signal::INT);
    goodbye(left, "the goodbye at the end");
}

#[test]
fn a_tracker_that_is_away_is_told_later() {
    let (scene, file, port) = (ServedFolder::new(), file("late.bin"), Reserved::new());
    scene.put(&file);
    let launch = Launch::peer("serve").env("XDG_STATE_HOME", scene.state.path()).arg(scene.dir());
    let mut server = launch.args(["-l", "127.0.0.1:0", "-t"]).arg(port.addr.to_string()).start();
    let addr = listening(&mut server);
    server.wait_line("that it is away", |line| {
        line.contains("0 of 1 file registered; cannot reach it").then_some(())
    });
    let at = port.addr;
    drop(port);
    let tracker = ForeignTracker::start_at(Manner::Proper, at);
    let registered = server.wait_until("a registration", || tracker.first_subscriber(&file.hash));
    assert_eq!(registered, addr);
}

/// Passes connections on to a tracker, each after a pause while `slow`.
#[derive(Default)]
struct Relay {
    slow: AtomicBool,
    taken: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Relay {
    fn start(tracker: SocketAddr) -> (Arc<Self>, SocketAddr) {
        let (relay, listener) = (Arc::<Self>::default(), address::listener());
        let (shared, addr) = (Arc::clone(&relay), listener.local_addr().unwrap());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let relay = Arc::clone(&shared);
                thread::spawn(move || relay.pass(&client, tracker));
            }
        });
        (relay, addr)
    }

    fn pass(&self, client: &TcpStream, tracker: SocketAddr) {
        if self.slow.load(Ordering::SeqCst) {
            self.taken.fetch_add(1, Ordering::SeqCst);
            let open = 1 + self.open.fetch_add(1, Ordering::SeqCst);
            self.most.fetch_max(open, Ordering::SeqCst);
            clock::pause(Duration::from_millis(300));
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        let Ok(server) = TcpStream::connect(tracker) else { return };
        let ends = [(client, &server), (&server, client)];
        thread::scope(|scope| {
            for (mut from, mut to) in ends {
                scope.spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        });
    }
}

#[test]
fn of_many_files_that_go_at_once_a_few_goodbyes_are_said_at_a_time() {
    const FILES: usize = 150;
    let scene = ServedFolder::new();
    let tracker = crate::tracker_setup::RunningTracker::open();
    let (relay, addr) = Relay::start(tracker.addr);
    let files: Vec<_> =
        (0..FILES).map(|number| TestFile::random(&format!("{number:03}"), 2_000, 1_000)).collect();
    let paths: Vec<_> = files.iter().map(|file| scene.put(file)).collect();
    let launch = Launch::peer("serve").env("XDG_STATE_HOME", scene.state.path()).arg(scene.dir());
    let mut server = launch.args(["-l", "127.0.0.1:0", "-t"]).arg(addr.to_string()).start();
    let listed =
        |file: &TestFile| Request::new(LIST, file.hash, [127, 0, 0, 9], 9).ask(tracker.addr).entries().len();
    server.wait_until("all registrations", || files.iter().all(|file| listed(file) == 1).then_some(()));
    relay.slow.store(true, Ordering::SeqCst);
    paths.iter().for_each(|path| fs::remove_file(path.with_added_extension("cascade")).unwrap());
    server.wait_until("all goodbyes", || (relay.taken.load(Ordering::SeqCst) >= FILES).then_some(()));
    let most = relay.most.load(Ordering::SeqCst);
    // As many questions may be under way.
    assert!(most <= 64, "{most} connections at the same time");
}
