use super::page::LOSS_INTERVAL;
use super::*;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

fn registered(port: u16) {
    tracing::info!(target: "cascade_tracker::server", "registered 1.2.3.4:{port} for {}", "ab".repeat(32));
}

fn line(port: u16) -> String {
    format!("tracker: registered 1.2.3.4:{port} for {}", "ab".repeat(32))
}

/// Passes what is written to the test, and waits for its permission before each write.
struct Slow {
    gate: Receiver<()>,
    written: Sender<Vec<u8>>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gate.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "the test sends a handful of messages")]
fn slow() -> (Slow, Sender<()>, Receiver<Vec<u8>>) {
    let (open, gate) = std::sync::mpsc::channel();
    let (written, output) = std::sync::mpsc::channel();
    (Slow { gate, written }, open, output)
}

/// A log of what `work` does.
fn logged(log: Log, filter: &str, work: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(super::filter(filter).unwrap()).with(log);
    tracing::subscriber::with_default(subscriber, work);
}

/// Keeps what is written.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until everything so far is written, as long as a busy machine takes.
fn written(queue: &SyncSender<Entry>, last: bool) {
    let (asked, answer) = sync_channel(1);
    queue.send(Entry::Flush(asked, last)).unwrap();
    answer.recv_timeout(Duration::from_secs(100)).expect("the log is written");
}

/// The lines of what `work` does; it is given a way to wait until they are written.
fn lines(format: Format, filter: &str, work: impl FnOnce(&SyncSender<Entry>)) -> Vec<String> {
    let kept = Kept::default();
    let (log, writer) = Log::to(format, kept.clone()).unwrap();
    logged(log, filter, || work(&writer.queue));
    written(&writer.queue, true);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_slow_reader_costs_lines_not_time_and_the_loss_is_told() {
    let (out, open, output) = slow();
    let (log, writer) = Log::to(Format::Text, out).unwrap();
    // Nobody reads: this must return all the same.
    logged(log, "info", || (0..3 * LOG_QUEUE).for_each(|_| registered(80)));
    (0..3).for_each(|_| open.send(()).unwrap());
    written(&writer.queue, true);
    let text: String = output.try_iter().map(|part| String::from_utf8(part).unwrap()).collect();
    let (lines, rest): (Vec<_>, Vec<_>) = text.lines().partition(|one| *one == line(80));
    assert_eq!(rest.len(), 1, "one line about the loss: {rest:?}");
    let lost: usize = rest[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(lines.len() + lost, 3 * LOG_QUEUE);
}

#[test]
fn a_reader_that_has_gone_harms_nobody() {
    let (out, open, _output) = slow();
    drop(open);
    let (log, writer) = Log::to(Format::Text, out).unwrap();
    logged(log, "info", || {
        registered(1);
        // The writer ends at a broken pipe.
        while !writer.thread.is_finished() {
            thread::sleep(GATHER);
        }
        registered(2);
    });
}

#[test]
fn a_flood_of_news_keeps_no_warning_out() {
    let shown = lines(Format::Text, "info", |queue| {
        (0..3 * LOG_BURST).for_each(|_| registered(1));
        written(queue, false);
        tracing::warn!(target: "cascade_tracker::state", "the disk is full");
    });
    assert_eq!(shown.iter().filter(|line| *line == "tracker: the disk is full").count(), 1);
    assert!(shown.iter().filter(|shown| **shown == line(1)).count() <= LOG_BURST as usize + 1000);
}

#[test]
fn levels_and_targets_decide_what_is_shown() {
    let all = |_: &SyncSender<Entry>| {
        tracing::error!(target: "tracker", "one");
        tracing::info!(target: "cascade_tracker::server", "two");
        tracing::debug!(target: "cascade_tracker::state", "three");
        tracing::info!(target: "another_crate", "four");
        tracing::warn!(target: "another_crate", "five");
    };
    for (filter, expected) in [
        ("off", &[][..]),
        ("error", &["one"]),
        ("INFO", &["one", "two", "five"]),
        ("debug", &["one", "two", "debug: three", "five"]),
        ("warn,cascade_tracker::state=trace", &["one", "debug: three", "five"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|text| format!("tracker: {text}")).collect();
        assert_eq!(lines(Format::Text, filter, all), expected, "{filter}");
    }
    for wrong in ["loud", "info,cascade_tracker=loud", ""] {
        assert!(filter(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn json_has_an_object_a_line_with_the_fields() {
    let shown = lines(Format::Json, "info", |_| {
        tracing::info!(target: "cascade_tracker::server", peer = %"1.2.3.4:5", count = 7u64, "registered {}", 5);
    });
    let object: serde_json::Value = serde_json::from_str(&shown[0]).unwrap();
    assert_eq!(shown.len(), 1);
    for (name, value) in [
        ("level", "info".into()),
        ("target", "cascade_tracker::server".into()),
        ("message", "registered 5".into()),
        ("peer", "1.2.3.4:5".into()),
        ("count", serde_json::Value::from(7)),
    ] {
        assert_eq!(object[name], value, "{object}");
    }
}

/// Lines of `text` by kind: registrations, and what the lines about lost ones add up to.
fn tally(text: &[u8]) -> (usize, usize) {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let lost = text.lines().filter_map(|line| line.split_once(" lines are not in this log"));
    let lost = lost.map(|(front, _)| front.strip_prefix("tracker: ").unwrap().parse::<usize>().unwrap());
    (text.lines().filter(|line| line.starts_with("tracker: registered ")).count(), lost.sum())
}

#[test]
fn a_flood_is_logged_at_a_bounded_rate_and_every_line_is_accounted_for() {
    let start = clock::now();
    let (rate, mut page, mut out) = (Rate::new(), Page::new(Format::Text), Vec::new());
    // Five thousand a second, for 1000 seconds.
    for tick in 0..10_000 {
        let since = Duration::from_millis(100 * tick);
        let now = start + since;
        for _ in 0..500 {
            if rate.allows(since) { page.add(format!("{}\n", line(1)).as_bytes()) } else { page.lose(1, now) }
        }
        page.report(now, tick == 9_999);
        page.write(&mut out, now).unwrap();
    }
    let (lines, lost) = tally(&out);
    assert_eq!(lines + lost, 5_000_000);
    let expected = LOG_BURST as usize + 1000 * LOG_RATE as usize;
    assert!(lines <= expected && lines > expected - 20, "{lines} lines of {expected}");
    assert!(out.len() < 3_000_000, "the log has {} bytes", out.len());
    let reports = out.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"written")).count();
    assert!(reports <= 101, "{reports} lines tell of lost ones");
}

/// Takes what a device takes that has `room` bytes left.
struct Device {
    text: Vec<u8>,
    room: usize,
}

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.get(..self.room.min(bytes.len())).unwrap();
        self.room -= taken.len();
        self.text.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_device_costs_lines_which_are_told_when_it_has_room_again() {
    let start = clock::now();
    let whole = format!("{}\n", line(1));
    for room in 0..400 {
        let (mut page, mut out) = (Page::new(Format::Text), Device { text: Vec::new(), room });
        let mut now = start;
        for turn in 0..4 {
            (0..3).for_each(|_| page.add(whole.as_bytes()));
            page.report(now, false);
            page.write(&mut out, now).unwrap();
            now += LOSS_INTERVAL;
            out.room += turn * 100;
        }
        out.room = usize::MAX;
        page.add(whole.as_bytes());
        page.report(now, true);
        page.write(&mut out, now).unwrap();
        let text = String::from_utf8_lossy(&out.text).into_owned();
        // What was cut off is counted as lost; a line that lacks its newline alone looks whole here.
        let end = format!(" for {}", "ab".repeat(32));
        let lines = text.lines().filter(|line| line.ends_with(&end)).count();
        assert!([13, 14].contains(&(lines + tally(&out.text).1)), "{room} bytes of room: {text}");
    }
}
