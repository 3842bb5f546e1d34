//! How a room is told: in a line, in JSON, in a table.

use super::asked::Asked;
use crate::human::{Bytes, Span, Speed};
use crate::room::view::{State, share, state, time_left};
use crate::room::{Member, Summary};
use cascade_swarm::ask::announce::tell::REPORT_INTERVAL;
use serde_json::{Value, json};
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// How many must have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Number(u32),
    All,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let number = text.parse().ok().filter(|number| *number > 0);
        let wrong = || format!("{text:?} is neither a number from 1 to {} nor `all`", u32::MAX);
        number.map(Self::Number).ok_or_else(wrong)
    }
}

/// The numbers of a room in one line.
pub(super) fn heading(summary: &Summary) -> String {
    let Summary { complete, incomplete, silent, seeders, unknown } = *summary;
    let has = |number: u32| if number == 1 { "has" } else { "have" };
    let does = |number: u32| if number == 1 { "does" } else { "do" };
    let mut text = format!("{complete} {} it, {incomplete} {} not yet", has(complete), does(incomplete));
    if silent > 0 {
        text += &format!(", {silent} {} not been heard of for two minutes", has(silent));
    }
    if unknown > 0 {
        text += &format!(", {unknown} {} nothing of it", if unknown == 1 { "tells" } else { "tell" });
    }
    text + &format!("; {seeders} {}", if seeders == 1 { "seeder" } else { "seeders" })
}

/// The same for a program.
pub(super) fn summary_json(asked: &Asked, summary: &Summary) -> Value {
    let Summary { complete, incomplete, silent, seeders, unknown } = *summary;
    json!({
        "event": "room", "file": asked.name, "cascade_hash": asked.cascade_hash.to_string(), "complete": complete,
        "incomplete": incomplete, "silent": silent, "seeders": seeders, "unknown": unknown,
    })
}

/// A member for a program.
pub(super) fn member_json(asked: &Asked, member: &Member) -> Value {
    let progress = member.progress;
    let left = asked.length.and_then(|length| time_left(member, length));
    json!({
        "event": "member", "file": asked.name, "name": member.name.as_str(), "address": member.addr.to_string(),
        "elsewhere": member.elsewhere, "state": state(member).word(), "program": member.program.as_str(),
        "blocks_done": progress.map(|progress| progress.blocks_done), "blocks_total": progress.map(|progress| progress.blocks),
        "bytes_received": progress.map(|progress| progress.received), "bytes_given": progress.map(|progress| progress.given),
        "bytes_per_second": progress.map(|_| member.rate), "seconds_left": left.map(|left| left.as_secs()),
        "seconds_since_report": member.since,
    })
}

/// How old the numbers of a table are; `None`: none of them changes.
pub(super) fn footing(members: &[Member]) -> Option<String> {
    let incomplete = members.iter().filter(|member| state(member) == State::Incomplete);
    let oldest = Span(Duration::from_secs(incomplete.map(|member| member.since).max()?.into()));
    Some(format!(
        "peers report every {} s, the oldest of these reports is {oldest} old",
        REPORT_INTERVAL.as_secs()
    ))
}

/// A column: what stands above it, and whether it goes to the left.
type Column = (&'static str, bool);

/// The columns; those that a narrow terminal does not show first have the highest number.
const COLUMNS: [(Column, u8); 6] = [
    (("name", true), 0),
    (("address", true), 3),
    (("done", false), 0),
    (("rate", false), 2),
    (("time left", false), 1),
    (("given", false), 4),
];

/// The narrowest name column.
const MIN_NAME: usize = 8;

/// The widest one.
const MAX_NAME: usize = 32;

/// Lines of a table that is at most `width` wide, where that can be.
pub(super) fn table(members: &[Member], length: Option<u64>, width: usize) -> Vec<String> {
    let rows: Vec<[String; 6]> = members.iter().map(|member| row(member, length)).collect();
    let widest = |column: usize, title: &str| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).fold(title.width(), usize::max)
    };
    let mut columns: Vec<(usize, Column, u8, usize)> = Vec::new();
    for (at, (column, rank)) in COLUMNS.into_iter().enumerate() {
        let wide = widest(at, column.0);
        columns.push((at, column, rank, if at == 0 { wide.min(MAX_NAME) } else { wide }));
    }
    let total =
        |columns: &[(usize, Column, u8, usize)]| columns.iter().map(|(.., wide)| wide + 2).sum::<usize>() - 2;
    for rank in [4, 3, 2] {
        let surplus = total(&columns).saturating_sub(width);
        let Some((.., name)) = columns.first_mut() else { break };
        if surplus == 0 {
            break;
        }
        // First the names give up what they can.
        if name.saturating_sub(surplus) >= MIN_NAME {
            *name -= surplus;
            break;
        }
        columns.retain(|(_, _, of, _)| *of != rank);
    }
    let surplus = total(&columns).saturating_sub(width);
    if let Some((.., name)) = columns.first_mut() {
        *name = name.saturating_sub(surplus).max(MIN_NAME.min(*name));
    }
    let head = COLUMNS.map(|((title, _), _)| title.to_owned());
    let print = |row: &[String; 6]| {
        let cells = columns.iter().map(|(at, (_, left), _, wide)| {
            let cell = fit(row.get(*at).map_or("", String::as_str), *wide);
            let space = " ".repeat(wide.saturating_sub(cell.width()));
            if *left { cell + &space } else { space + &cell }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&head).chain(&rows).map(print).collect()
}

fn row(member: &Member, length: Option<u64>) -> [String; 6] {
    let name = if member.name.is_empty() { "-".to_owned() } else { member.name.to_string() };
    // Others may say of anybody that he is there.
    let address = format!("{}{}", member.addr, if member.elsewhere { "?" } else { "" });
    let done = share(member).map_or_else(|| "?".to_owned(), percent);
    let since = Span(Duration::from_secs(u64::from(member.since)));
    let (rate, left) = match state(member) {
        State::Silent => (String::new(), format!("silent for {since}")),
        State::Unknown => (String::new(), "version 1".to_owned()),
        State::Seeder => (String::new(), "seeds".to_owned()),
        State::Complete => (String::new(), "done".to_owned()),
        State::Left => (String::new(), "done, left".to_owned()),
        State::Incomplete => {
            let left = length.and_then(|length| time_left(member, length));
            let rate = Speed { bytes: member.rate, time: Duration::from_secs(1) };
            let rate = if member.rate > 0 { rate.to_string() } else { "-".to_owned() };
            (rate, left.map_or_else(|| "?".to_owned(), |left| Span(left).to_string()))
        }
    };
    let given = member.progress.map_or_else(|| "?".to_owned(), |progress| Bytes(progress.given).to_string());
    [name, address, done, rate, left, given]
}

/// Never 100 % for what lacks something.
fn percent(share: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    let percent = (share * 100.0).floor() as u32;
    format!("{percent} %")
}

/// The text, cut at its end where it is wider.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        let mut more = cut.clone();
        more.push(c);
        if more.width() + 1 > width {
            break;
        }
        cut = more;
    }
    cut + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{PeerName, Presence, Progress};
    use std::net::SocketAddr;

    fn member(name: &str, addr: &str, had: u64) -> Member {
        let addr: SocketAddr = addr.parse().unwrap();
        let progress = Some(Progress { blocks_done: had, blocks: 200, received: 0, given: 3 << 20 });
        Member { progress, rate: 1 << 20, name: PeerName::of(name), ..Member::unknown(addr.into(), 30) }
    }

    fn room() -> Vec<Member> {
        vec![
            Member { presence: Presence::Silent, since: 200, ..member("lab-07", "10.0.0.7:8889", 10) },
            Member {
                since: 5,
                ..member("a-machine-with-quite-a-long-name.example.org", "10.0.0.8:8889", 199)
            },
            Member { progress: None, name: PeerName::EMPTY, ..member("", "10.0.0.9:8889", 0) },
            Member { elsewhere: true, ..member("日本語", "[2001:db8::1]:8889", 200) },
        ]
    }

    #[test]
    fn a_table_fits_the_terminal() {
        for width in 20..150 {
            let lines = table(&room(), Some(1 << 30), width);
            assert_eq!(lines.len(), 5);
            let widest = lines.iter().map(|line| line.width()).max().unwrap();
            assert!(widest <= width.max(40), "{widest} of {width}:\n{}", lines.join("\n"));
            assert!(lines[0].starts_with("name") && lines[0].contains("done"));
        }
        let wide = table(&room(), Some(1 << 30), 200).join("\n");
        assert_eq!(
            wide,
            "\
name                              address               done       rate              time left    given
lab-07                            10.0.0.7:8889          5 %             silent for 3 min 20 s  3.0 MiB
a-machine-with-quite-a-long-nam…  10.0.0.8:8889         99 %  1.0 MiB/s                 1.00 s  3.0 MiB
-                                 10.0.0.9:8889            ?                         version 1        ?
日本語                            [2001:db8::1]:8889?  100 %                              done  3.0 MiB"
        );
        let narrow = table(&room(), Some(1 << 30), 44).join("\n");
        assert_eq!(
            narrow,
            "\
name             done              time left
lab-07            5 %  silent for 3 min 20 s
a-machine-wit…   99 %                 1.00 s
-                   ?              version 1
日本語          100 %                   done"
        );
    }

    #[test]
    fn the_age_of_the_oldest_report_stands_below_a_table() {
        let foot = footing(&room()).unwrap();
        assert_eq!(foot, "peers report every 30 s, the oldest of these reports is 5.00 s old");
        assert_eq!(footing(&room()[2..]), None);
    }

    #[test]
    fn the_numbers_in_a_line() {
        let summary = Summary { complete: 1, incomplete: 2, silent: 1, seeders: 1, unknown: 3 };
        assert_eq!(
            heading(&summary),
            "1 has it, 2 do not yet, 1 has not been heard of for two minutes, 3 tell nothing of it; 1 seeder"
        );
        assert_eq!(heading(&Summary::default()), "0 have it, 0 do not yet; 0 seeders");
    }

    #[test]
    fn numbers_and_all_are_wanted() {
        assert_eq!(("30".parse(), "all".parse()), (Ok(Wanted::Number(30)), Ok(Wanted::All)));
        for wrong in ["0", "most", "4294967296", "-1"] {
            assert!(wrong.parse::<Wanted>().unwrap_err().contains("from 1 to 4294967295"), "{wrong}");
        }
    }
}
