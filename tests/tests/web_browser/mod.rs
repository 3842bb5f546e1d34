mod browser;

use crate::links::peer;
use crate::web::{page_at, page_url, sharing};
use browser::{Browser, DESK, Look, PHONE};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::launch::Launch;
use cascade_tests::process::Process;
use fantoccini::key::Key;
use std::net::SocketAddr;
use std::path::Path;
use std::{env, fs};
use tempfile::TempDir;

const PAGE: &str = "--web=127.0.0.1:0";

/// Downloads `link` into a folder of its own.
fn receiver(link: &str, more: &[&str]) -> (Process, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let download = peer("download", &folder).args([link, "-l", "127.0.0.1:0", "--seed"]).args(more);
    (download.start(), folder)
}

/// How many cells of the map of the first file have a colour, by counting dots of the picture.
const CELLS_HERE: &str = "
    const canvas = document.querySelector('canvas.map');
    const probe = document.createElement('canvas').getContext('2d');
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--here').trim();
    probe.fillRect(0, 0, 1, 1);
    const wanted = probe.getImageData(0, 0, 1, 1).data;
    const dots = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let here = 0;
    for (let at = 0; at < dots.length; at += 4) {
      if (dots[at] === wanted[0] && dots[at + 1] === wanted[1] && dots[at + 2] === wanted[2] && dots[at + 3] === 255) here += 1;
    }
    return here / (dots.length / 4);";

#[test]
fn the_first_paint_has_data_and_a_download_fills_the_map() {
    let Some(browser) = Browser::start(DESK) else { return };
    let (file, folder) = (TestFile::random("film.mkv", 9_000_000, 65_536), tempfile::tempdir().unwrap());
    let (_sharer, link) = sharing(&file, &folder, &["--max-up", "1MiB/s"]);
    let (mut leecher, _there) = receiver(&link, &[PAGE]);
    browser.go(&page_url(&mut leecher));
    browser.wait_shown();
    assert_eq!(browser.value("return document.title"), "Cascade");
    browser.wait(
        "the file's name",
        "return document.querySelector('article.file h2')?.textContent === 'film.mkv'",
    );
    let share = || browser.value(CELLS_HERE).as_f64().unwrap();
    browser.wait("the first blocks", "return +document.querySelector('article.file').dataset.have > 0");
    let early = share();
    browser.wait("links", "return document.querySelectorAll('article.file tbody tr').length > 0");
    let blocks = file.blocks();
    browser.wait(
        "the end",
        &format!("return +document.querySelector('article.file').dataset.have === {blocks}"),
    );
    let late = share();
    assert!(early < 0.7 && late > early && late > 0.6, "{early} {late}");
    let label = browser.value("return document.querySelector('canvas.map').getAttribute('aria-label')");
    assert_eq!(label, format!("Blocks of film.mkv: {blocks} of {blocks} are here, 0 are in flight"));
    browser.wait(
        "rates",
        "return document.querySelector('#chart').getAttribute('aria-label').includes('MiB/s')",
    );
    drop(leecher);
    browser.wait(
        "that the connection is lost",
        "return document.querySelector('#connection').dataset.state === 'lost'",
    );
}

#[test]
fn the_room_fills_and_keys_go_through_it() {
    let Some(browser) = Browser::start(DESK) else { return };
    let (file, folder) = (TestFile::random("film.mkv", 4_000_000, 65_536), tempfile::tempdir().unwrap());
    let (mut sharer, link) = sharing(&file, &folder, &[PAGE, "--max-up", "2MiB/s"]);
    browser.go(&page_url(&mut sharer));
    browser.wait_shown();
    let receivers: Vec<_> = (0..4).map(|_| receiver(&link, &[])).collect();
    browser.wait(
        "a receiver on its way",
        "return [...document.querySelectorAll('.grid li .done')].some((done) => /^[1-9][0-9.]* %$/.test(done.textContent) && done.textContent !== '100 %')",
    );
    browser.wait(
        "four that are complete",
        "return document.querySelectorAll('.grid li[data-state=complete]').length >= 4",
    );
    browser.value("document.querySelector('.grid').focus()");
    browser.press(Key::End);
    browser.press(Key::Home);
    browser.press(Key::Right);
    let chosen = "return [...document.querySelectorAll('.grid li')].findIndex((node) => node.getAttribute('aria-selected') === 'true') === 1";
    browser.wait("that the second is chosen", chosen);
    browser
        .wait("its address", "return /127\\.0\\.0\\.1:/.test(document.querySelector('.facts').textContent)");
    drop(receivers);
}

#[test]
fn a_token_is_refused_and_accepted() {
    let Some(browser) = Browser::start(DESK) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut sharer, _) =
        sharing(&TestFile::random("film.mkv", 10_000, 65_536), &folder, &["--web=0.0.0.0:0"]);
    let url = page_url(&mut sharer);
    let at = SocketAddr::from(([127, 0, 0, 1], page_at(&url).port()));
    browser.go(&format!("http://{at}/"));
    assert_eq!(browser.value("return document.body.textContent.includes('needs the token')"), true);
    let (_, token) = url.split_once('?').unwrap();
    browser.go(&format!("http://{at}/?{token}"));
    browser.wait_shown();
    assert_eq!(browser.value("return location.search"), "", "the token leaves the address");
    assert_eq!(browser.value("return document.cookie"), "", "no script reads it");
    browser.go(&format!("http://{at}/"));
    browser.wait_shown();
}

#[test]
fn a_script_in_a_file_name_is_text() {
    let Some(browser) = Browser::start(DESK) else { return };
    let name = "<img src=x onerror='window.hit=1'><script>window.hit=1<\u{2215}script>\u{202e}vkm.";
    let (file, folder) = (TestFile::random(name, 10_000, 65_536), tempfile::tempdir().unwrap());
    let (mut sharer, _) = sharing(&file, &folder, &[PAGE]);
    browser.go(&page_url(&mut sharer));
    browser.wait_shown();
    browser.wait(
        "the name",
        "return document.querySelector('article.file h2')?.textContent.includes('onerror')",
    );
    let shown = browser.value("return document.querySelector('article.file h2').textContent");
    assert_eq!(shown, name.replace('\u{202e}', "\\u{202e}"));
    assert_eq!(browser.value("return window.hit ?? null"), serde_json::Value::Null);
    assert_eq!(browser.value("return document.querySelectorAll('main img, main script').length"), 0);
    // What the page could be made to do by a mistake, the browser refuses.
    let refused = browser.value(
        "try { document.body.insertAdjacentHTML('beforeend', '<p>') } catch (error) { return error.name }",
    );
    assert_eq!(refused, "TypeError");
}

#[test]
fn it_fits_on_a_phone() {
    let Some(browser) = Browser::start(PHONE) else { return };
    let (file, folder) =
        (TestFile::random(&"long name ".repeat(12), 4_000_000, 65_536), tempfile::tempdir().unwrap());
    let (_sharer, link) = sharing(&file, &folder, &["--max-up", "256KiB/s"]);
    let (mut leecher, _there) = receiver(&link, &[PAGE]);
    browser.go(&page_url(&mut leecher));
    browser.wait_shown();
    browser.wait("links", "return document.querySelectorAll('article.file tbody tr').length > 0");
    assert_eq!(browser.value("return innerWidth"), 375);
    assert_eq!(browser.value("return document.documentElement.scrollWidth"), 375, "nothing sticks out");
    let small = browser.value("return [...document.querySelectorAll('main *')].filter((node) => node.getBoundingClientRect().right > 376 && !node.closest('.scroll')).map((node) => node.className || node.tagName).join()");
    assert_eq!(small, "");
}

#[test]
fn a_trackers_page_lists_swarms() {
    let Some(browser) = Browser::start(DESK) else { return };
    let mut tracker = Launch::tracker().args(["-l", "127.0.0.1:0", PAGE]).start();
    let url = page_url(&mut tracker);
    let listens: SocketAddr = tracker
        .wait_line("its address", |line| line.split_once("listening on ")?.1.split(' ').next()?.parse().ok());
    let (file, folder) = (TestFile::random("film.mkv", 10_000, 65_536), tempfile::tempdir().unwrap());
    let (_sharer, _) = sharing(&file, &folder, &["-t", &listens.to_string()]);
    browser.go(&url);
    browser.wait_shown();
    browser.wait(
        "the swarm",
        &format!("return document.querySelector('article.swarm[data-hash=\"{}\"] .grid li')", file.hex()),
    );
    assert_eq!(browser.value("return document.querySelector('#rates').hidden"), true);
}

/// Makes the pictures of the documents, where `CASCADE_PICTURES` says: `.ci/pictures` runs it.
#[test]
#[ignore = "it writes pictures into the documents"]
fn pictures_for_the_documents() {
    let Some(folder) = env::var_os("CASCADE_PICTURES") else { return };
    let file = TestFile::random("debian-live-13.iso", 48_000_000, 65_536);
    let there = tempfile::tempdir().unwrap();
    let (_sharer, link) = sharing(&file, &there, &["--max-up", "3MiB/s", "--name", "desk"]);
    let rates = ["900KiB/s", "1300KiB/s", "1100KiB/s", "700KiB/s", "1600KiB/s", "800KiB/s", "1200KiB/s"];
    let _others: Vec<_> = rates
        .iter()
        .zip(1..)
        .map(|(rate, at)| receiver(&link, &["--max-down", rate, "--name", &format!("lab-0{at}")]))
        .collect();
    let (mut leecher, _folder) = receiver(&link, &[PAGE, "--max-down", "1400KiB/s", "--name", "lab-08"]);
    let url = page_url(&mut leecher);
    let looks = [
        ("web-light.png", Look { height: 1240, ..DESK }),
        ("web-dark.png", Look { height: 1240, dark: true, ..DESK }),
        ("web-phone.png", PHONE),
    ];
    let browsers = looks.map(|(name, look)| (name, Browser::start(look).unwrap()));
    for (_, browser) in &browsers {
        browser.go(&url);
        browser.wait_shown();
    }
    let half = file.blocks() * 55 / 100;
    for (name, browser) in &browsers {
        browser.wait(
            "half of the file",
            &format!("return +document.querySelector('article.file').dataset.have > {half}"),
        );
        fs::write(Path::new(&folder).join(name), browser.picture()).unwrap();
    }
}
