//! What a person sees of a peer that gives files to others, in place: how fast it gives, to how many, and those that
//! have the longest way to go.

use super::row::Row;
use super::screen::{Screen, ToldLine};
use super::summary::per_second;
use crate::human::{Bytes, Count};
use crate::store::distinct;
use crate::view::{FileView, ReceiverView, View};
use cascade_format::text;
use std::net::SocketAddr;
use unicode_width::UnicodeWidthStr;

/// Receivers that are shown with a bar each.
const MAX_SHOWN: usize = 8;

/// Lines of the terminal that are left to other output.
const LEFT_FREE: usize = 4;

/// The rows of a peer's status.
pub(crate) struct Status {
    screen: Screen,
    lines: Vec<ToldLine>,
}

impl Status {
    pub(super) fn new(screen: &Screen) -> Self {
        Self { screen: screen.clone(), lines: Vec::new() }
    }

    /// Shows how it is now.
    pub(crate) fn show(&mut self, view: &View) {
        let rows = rows(view, self.screen.height().saturating_sub(LEFT_FREE).min(MAX_SHOWN));
        self.lines.truncate(rows.len());
        for (number, row) in rows.into_iter().enumerate() {
            match self.lines.get(number) {
                Some(line) => line.tell(row),
                None => self.lines.push(self.screen.told_line(row)),
            }
        }
    }
}

/// The files of which something is given to others, or may be.
fn given_files(view: &View) -> impl Iterator<Item = &FileView> {
    view.files.iter().filter(|file| file.receivers_known > 0)
}

/// How many receivers there are, how many of them have everything, and how many have not and hold a connection.
fn counted(files: &[&FileView]) -> String {
    let known = files.iter().map(|file| file.receivers_known as u64).sum();
    let receivers = || files.iter().flat_map(|file| &file.receivers);
    let key = |receiver: &ReceiverView| (receiver.ip, receiver.port.unwrap_or(0));
    let complete = distinct(receivers().filter(|receiver| receiver.complete == Some(true)).map(key));
    let active = distinct(receivers().filter(|receiver| is_on_its_way(receiver)).map(key));
    format!("{}: {complete} complete, {active} active", Count(known, "receiver"))
}

fn is_on_its_way(receiver: &ReceiverView) -> bool {
    receiver.active && receiver.complete != Some(true)
}

/// The first row, and one for each of `most` receivers.
fn rows(view: &View, most: usize) -> Vec<Row> {
    let files: Vec<&FileView> = given_files(view).collect();
    if files.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![head(view, &files)];
    let mut behind: Vec<(&FileView, &ReceiverView)> =
        files.iter().flat_map(|file| file.receivers.iter().map(move |receiver| (*file, receiver))).collect();
    behind.retain(|(_, receiver)| is_on_its_way(receiver));
    // Those that do not tell come last: nobody knows how far they are.
    behind.sort_by(|(one_file, one), (other_file, other)| {
        let key =
            |file: &FileView, receiver: &ReceiverView| receiver.blocks_done.map(|had| part(had, file.blocks));
        let (one_part, other_part) = (key(one_file, one), key(other_file, other));
        let known = other_part.is_some().cmp(&one_part.is_some());
        known.then(one_part.unwrap_or(0.0).total_cmp(&other_part.unwrap_or(0.0))).then(one.ip.cmp(&other.ip))
    });
    let shown = behind.iter().take(most);
    let names: Vec<String> =
        shown.clone().map(|(file, receiver)| name(file, receiver, files.len() > 1)).collect();
    let longest = names.iter().map(|name| name.width()).max().unwrap_or(0);
    rows.extend(shown.zip(names).map(|((file, receiver), name)| {
        let padding = " ".repeat(longest - name.width());
        Row { name: name + &padding, ..receiver_row(file, receiver) }
    }));
    rows
}

fn head(view: &View, files: &[&FileView]) -> Row {
    let name = match files {
        [file] => file.name.clone(),
        _ => Count(files.len() as u64, "file").to_string(),
    };
    let copies: f64 = files.iter().map(|file| file.copies_given).sum();
    let facts =
        vec![format!("{} up", per_second(view.up_rate)), format!("{copies:.2} copies given"), counted(files)];
    Row { name, column: false, bar: None, facts }
}

fn name(file: &FileView, receiver: &ReceiverView, several: bool) -> String {
    let host = receiver
        .port
        .map_or_else(|| receiver.ip.to_string(), |port| SocketAddr::new(receiver.ip, port).to_string());
    if several { text::line(&format!("{} {host}", file.name)) } else { host }
}

fn receiver_row(file: &FileView, receiver: &ReceiverView) -> Row {
    let speed = per_second(receiver.rate);
    match receiver.blocks_done {
        Some(had) => {
            let part = part(had, file.blocks);
            let facts = vec![format!("{:>3.0} %", (part * 100.0).floor()), speed];
            Row { name: String::new(), column: true, bar: Some(part), facts }
        }
        None => {
            let facts = vec![format!("version 1, given {}", Bytes(receiver.bytes_given)), speed];
            Row { name: String::new(), column: true, bar: None, facts }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a shown number")]
fn part(had: u64, blocks: u64) -> f64 {
    had as f64 / blocks.max(1) as f64
}

/// The same as one line for a log; `None`: there is nothing to tell.
pub(crate) fn plain(file: &FileView) -> Option<String> {
    (file.receivers_known > 0)
        .then(|| format!("{}: {:.2} copies given, {}", file.name, file.copies_given, counted(&[file])))
}

#[cfg(test)]
mod tests;
