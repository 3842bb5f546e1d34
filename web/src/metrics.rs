//! What is shown, for Prometheus, in its text format 0.0.4.

use crate::model::{Snapshot, Store, Totals};
use prometheus::core::{AtomicF64, GenericCounterVec, GenericGaugeVec};
use prometheus::{Opts, Registry, TextEncoder};

/// The media type of [`text`].
pub(crate) const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics. Nothing is kept between two calls.
pub(crate) fn text(snapshot: &Snapshot, started: u64, totals: Totals) -> String {
    let metrics = Metrics { registry: Registry::new() };
    // Names and labels are right, or the tests would fail.
    let _ = metrics.of_program(snapshot, started, totals);
    let _ = metrics.of_files(snapshot);
    let _ = metrics.of_swarms(snapshot);
    TextEncoder::new().encode_to_string(&metrics.registry.gather()).unwrap_or_default()
}

struct Metrics {
    registry: Registry,
}

type Gauge = GenericGaugeVec<AtomicF64>;
type Counter = GenericCounterVec<AtomicF64>;

impl Metrics {
    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Gauge> {
        let gauge = Gauge::new(Opts::new(name, help), labels)?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Counter> {
        let counter = Counter::new(Opts::new(name, help), labels)?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn of_program(&self, snapshot: &Snapshot, started: u64, totals: Totals) -> prometheus::Result<()> {
        let info = self.gauge("cascade_info", "The program; always 1.", &["program", "version"])?;
        info.with_label_values(&[snapshot.program, snapshot.version]).set(1.0);
        let start = self.gauge("cascade_start_time_seconds", "When the program began, as UNIX time.", &[])?;
        start.with_label_values(NONE).set(float(started));
        if let Some(tracker) = snapshot.tracker {
            let peers = self.gauge("cascade_tracker_registrations", "Registrations of peers.", &[])?;
            peers.with_label_values(NONE).set(float(tracker.registrations));
            let swarms = self.gauge("cascade_tracker_swarms", "Files with registrations.", &[])?;
            swarms.with_label_values(NONE).set(float(tracker.swarms));
            return tracker.store.map_or(Ok(()), |store| self.of_store(store));
        }
        let received =
            self.counter("cascade_received_bytes_total", "Bytes of blocks that came from peers.", &[])?;
        received.with_label_values(NONE).inc_by(float(totals.received));
        let given = self.counter("cascade_given_bytes_total", "Bytes of blocks given to peers.", &[])?;
        given.with_label_values(NONE).inc_by(float(totals.given));
        let files = self.gauge("cascade_files", "Files that are downloaded or served.", &[])?;
        files.with_label_values(NONE).set(float(snapshot.files.len() as u64 + snapshot.left_out.files));
        Ok(())
    }

    fn of_store(&self, store: Store) -> prometheus::Result<()> {
        let well =
            self.gauge("cascade_store_well", "Whether the store answers and takes registrations.", &[])?;
        well.with_label_values(NONE).set(float(u64::from(store.well)));
        let waiting =
            self.gauge("cascade_store_waiting", "Changes that wait to be written to the store.", &[])?;
        waiting.with_label_values(NONE).set(float(store.waiting));
        let counters = [
            ("cascade_store_written_total", "Changes that the store has taken.", store.written),
            ("cascade_store_read_total", "Swarms that were read from the store.", store.read),
            ("cascade_store_faults_total", "Times that the store has failed.", store.faults),
            (
                "cascade_store_lost_goodbyes_total",
                "Goodbyes that the store has not learned of.",
                store.lost_goodbyes,
            ),
        ];
        for (name, help, value) in counters {
            self.counter(name, help, &[])?.with_label_values(NONE).inc_by(float(value));
        }
        Ok(())
    }

    fn of_files(&self, snapshot: &Snapshot) -> prometheus::Result<()> {
        if snapshot.files.is_empty() {
            return Ok(());
        }
        let labels = &["cascade_hash", "file"];
        let gauge = |name, help| self.gauge(name, help, labels);
        let length = gauge("cascade_file_length_bytes", "Length of the file.")?;
        let blocks = gauge("cascade_file_blocks", "Blocks of the file.")?;
        let done = gauge("cascade_file_blocks_done", "Verified blocks of the file.")?;
        let in_flight = gauge("cascade_file_blocks_in_flight", "Blocks that are on their way here.")?;
        let rate =
            gauge("cascade_file_received_bytes_per_second", "Bytes of the file that arrive in a second.")?;
        let links = gauge("cascade_file_links", "Connections over which blocks are requested.")?;
        let given =
            self.counter("cascade_file_given_bytes_total", "Bytes of the file given to peers.", labels)?;
        for (hash, file) in &snapshot.files {
            let of = &[hash.as_str(), file.file.as_str()];
            length.with_label_values(of).set(float(file.length));
            blocks.with_label_values(of).set(float(file.blocks));
            done.with_label_values(of).set(float(file.blocks_done));
            in_flight.with_label_values(of).set(float(file.in_flight));
            rate.with_label_values(of).set(float(file.bytes_per_second));
            links.with_label_values(of).set(float(file.links.len() as u64));
            given.with_label_values(of).inc_by(float(file.bytes_given));
        }
        Ok(())
    }

    fn of_swarms(&self, snapshot: &Snapshot) -> prometheus::Result<()> {
        if snapshot.swarms.is_empty() {
            return Ok(());
        }
        let help = "Members of the swarm, by how far they are.";
        let members = self.gauge("cascade_swarm_members", help, &["cascade_hash", "state"])?;
        for (hash, swarm) in &snapshot.swarms {
            let states = [
                ("complete", swarm.complete),
                ("incomplete", swarm.incomplete),
                ("silent", swarm.silent),
                ("seeder", swarm.seeders),
                ("unknown", swarm.unknown),
            ];
            for (state, count) in states {
                members.with_label_values(&[hash.as_str(), state]).set(float(count));
            }
        }
        Ok(())
    }
}

/// No label.
const NONE: &[&str] = &[];

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
const fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Swarm, Tracker};

    fn peer() -> Snapshot {
        let file = File {
            file: "a \"film\"\n\\.mkv".into(),
            length: 5_000_000_000,
            bytes_given: 7,
            ..File::default()
        };
        let swarm = Swarm { complete: 3, incomplete: 2, ..Swarm::default() };
        Snapshot {
            program: "peer",
            version: "1.2.3",
            files: [("ab".repeat(32), file)].into(),
            swarms: [("ab".repeat(32), swarm)].into(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_peer_in_the_text_format() {
        let text = text(&peer(), 1_800_000_000, Totals { received: 5_000_000_000, given: 7 });
        let hash = "ab".repeat(32);
        for line in [
            "# TYPE cascade_received_bytes_total counter".to_owned(),
            "cascade_received_bytes_total 5000000000".to_owned(),
            "cascade_info{program=\"peer\",version=\"1.2.3\"} 1".to_owned(),
            format!(
                "cascade_file_given_bytes_total{{cascade_hash=\"{hash}\",file=\"a \\\"film\\\"\\n\\\\.mkv\"}} 7"
            ),
            format!("cascade_swarm_members{{cascade_hash=\"{hash}\",state=\"complete\"}} 3"),
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn a_tracker_has_its_own() {
        let tracker = Some(Tracker { registrations: 5, swarms: 2, store: None });
        let snapshot = Snapshot { program: "tracker", tracker, ..Snapshot::default() };
        let text = text(&snapshot, 1, Totals::default());
        assert!(text.contains("\ncascade_tracker_registrations 5\n") && !text.contains("given"), "{text}");
    }
}
