//! A spread that is played, for tests.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "seconds and parts are small, and written as a reader thinks of them"
)]

use super::{History, Verdict};
use crate::view::{BlockSet, FileState, FileView, ReceiverView};
use cascade_format::CascadeHash;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// A time in seconds.
pub(super) fn at(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

const BLOCKS: u64 = 1000;

/// A spread that is played, a look each 250 ms.
pub(super) struct Scene {
    pub(super) history: History,
    pub(super) file: FileView,
    had: Vec<f64>,
    sent: f64,
    now: Duration,
}

impl Scene {
    pub(super) fn new(length: u64) -> Self {
        let file = FileView {
            hash: CascadeHash([1; 32]),
            name: "film".into(),
            length,
            block_size: length.div_ceil(BLOCKS),
            blocks: BLOCKS,
            have: BlockSet::all(BLOCKS),
            state: FileState::Seeding,
            age: Duration::ZERO,
            download: None,
            receivers: Vec::new(),
            receivers_known: 0,
            receivers_given: 0,
            bytes_given: 0,
            copies_given: 0.0,
            bytes_received: 0,
        };
        Self { history: History::new(length), file, had: Vec::new(), sent: 0.0, now: Duration::ZERO }
    }

    /// A receiver comes, which tells what it has; its port is its number, from 1 on.
    pub(super) fn comes(&mut self) {
        self.add();
        self.look();
    }

    fn add(&mut self) -> &mut ReceiverView {
        let port = u16::try_from(self.file.receivers.len() + 1).unwrap();
        self.file.receivers.push(ReceiverView {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: Some(port),
            extension: true,
            blocks_done: Some(0),
            complete: Some(false),
            bytes_given: 0,
            rate: 0.0,
            active: true,
            first_seen: Duration::ZERO,
            last_seen: Duration::ZERO,
            completed: None,
        });
        self.had.push(0.0);
        self.file.receivers.last_mut().unwrap()
    }

    /// One that does not.
    pub(super) fn comes_silently(&mut self) {
        let silent = self.add();
        (silent.blocks_done, silent.complete) = (None, None);
        self.look();
    }

    pub(super) fn completes(&mut self, number: usize) {
        let receiver = &mut self.file.receivers[number];
        (receiver.blocks_done, receiver.complete) = (Some(BLOCKS), Some(true));
        (receiver.completed, receiver.active) = (Some(Duration::ZERO), false);
        self.look();
    }

    /// Time passes: bytes a second that this machine sends, and of each receiver the parts of the file a second that
    /// it gets.
    pub(super) fn pass(&mut self, seconds: f64, rate: f64, gets: &[f64]) {
        let step = Duration::from_millis(250);
        for _ in 0..(seconds * 4.0).round() as u32 {
            self.now += step;
            self.sent += rate / 4.0;
            self.file.bytes_given = self.sent.round() as u64;
            for receiver in &mut self.file.receivers {
                receiver.first_seen += step;
                receiver.completed.iter_mut().for_each(|ago| *ago += step);
            }
            for ((had, receiver), gets) in self.had.iter_mut().zip(&mut self.file.receivers).zip(gets) {
                *had = (*had + gets / 4.0).min(0.999);
                let blocks = (*had * BLOCKS as f64) as u64;
                if receiver.complete == Some(false) {
                    receiver.blocks_done = Some(blocks);
                }
            }
            self.look();
        }
    }

    fn look(&mut self) {
        self.file.receivers_known = self.file.receivers.len();
        self.history.look(self.now, self.file.bytes_given, &self.file);
    }

    pub(super) fn verdict(&self) -> Verdict {
        Verdict::of(&self.history)
    }
}
