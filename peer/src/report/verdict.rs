//! The last line of who gives a file to others: how good it was.

use super::summary::per_second;
use crate::human::{Bytes, Count, Name, Span};
use crate::spread::{Held, Optimum, Unknown, Verdict};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The whole line. `name` is the file's.
pub(crate) fn verdict_text(name: &str, verdict: &Verdict) -> String {
    format!("{}: {}", Name(Path::new(name)), verdict_parts(verdict).join("; "))
}

/// What was given, how far it went, and what held it back, as far as there is something to say.
pub(crate) fn verdict_parts(verdict: &Verdict) -> Vec<String> {
    let Verdict { receivers, known, complete, unknown, sent, copies, last, optimum, held } = verdict;
    let receivers = Count(*receivers as u64, "receiver");
    let given = format!("gave {} to {receivers}, {copies:.2} copies", Bytes(*sent));
    if *known == 0 {
        return vec![given];
    }
    let do_not_tell = if *unknown == 1 { "does not tell" } else { "do not tell" };
    let unknown =
        if *unknown > 0 { format!(" ({unknown} of version 1 {do_not_tell})") } else { String::new() };
    let last = last.map_or_else(String::new, |last| format!(", the last after {}", Span(last)));
    let complete = format!("{complete} of {known} complete{unknown}{last}");
    let not_known = |why| Some(format!("the distance to the optimum is not known: {why}"));
    let (distance, held) = match optimum {
        Ok(Optimum { rate, bound, ratio }) => {
            let (bound, rate) = (Span(*bound), per_second(*rate));
            let distance =
                format!(", {ratio:.2} times the {bound} of one copy at {rate}, the best rate seen");
            let held = held.map_or_else(|| Some("what held it back is not known".to_owned()), held_text);
            (distance, held)
        }
        Err(Unknown::NoneComplete) => (String::new(), None),
        Err(Unknown::OthersGave) => (String::new(), not_known("others gave the file, too")),
        Err(Unknown::TooShort) => (String::new(), not_known("it took too short a time to measure the rate")),
    };
    [given, complete + &distance].into_iter().chain(held).collect()
}

/// What held it back, unless nothing did.
fn held_text(held: Held) -> Option<String> {
    Some(match held {
        Held::Nothing => return None,
        Held::Uplink(busy) => format!("the uplink held it back, busy {:.0} % of the time", busy * 100.0),
        Held::Alone(time) => format!("for {} of it nobody was there that lacked anything", Span(time)),
        Held::Late(time) => format!("the last receiver came {} after the first", Span(time)),
        Held::Slow { ip, port, took, middle } => {
            let (who, took, middle) = (address(ip, port), Span(took), Span(middle));
            format!("{who} was slow: it took {took}, and the one in the middle {middle}")
        }
    })
}

fn address(ip: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(|| ip.to_string(), |port| SocketAddr::new(ip, port).to_string())
}

/// The same for a program; what is not known is null.
pub(crate) fn verdict_json(name: &str, verdict: &Verdict) -> Value {
    let Verdict { receivers, known, complete, unknown, sent, copies, last, optimum, held } = verdict;
    let optimum = optimum.ok();
    let (held, slow) = match held {
        None => (None, None),
        Some(Held::Nothing) => (Some("nothing"), None),
        Some(Held::Uplink(_)) => (Some("uplink"), None),
        Some(Held::Alone(_)) => (Some("waiting"), None),
        Some(Held::Late(_)) => (Some("late_receiver"), None),
        Some(Held::Slow { ip, port, .. }) => (Some("slow_receiver"), Some(address(*ip, *port))),
    };
    json!({
        "event": "given", "file": name, "bytes": sent, "copies": copies, "receivers": receivers,
        "receivers_known": known, "receivers_complete": complete, "receivers_unknown": unknown,
        "last_seconds": last.map(|last| last.as_secs_f64()),
        "best_bytes_per_second": optimum.map(|optimum| optimum.rate),
        "bound_seconds": optimum.map(|optimum| optimum.bound.as_secs_f64()),
        "times_the_bound": optimum.map(|optimum| optimum.ratio),
        "held_back_by": held, "slow_receiver": slow,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn verdict() -> Verdict {
        let seconds = Duration::from_secs;
        Verdict {
            receivers: 2,
            known: 3,
            complete: 3,
            unknown: 0,
            sent: 110 << 20,
            copies: 1.1,
            last: Some(seconds(25)),
            optimum: Ok(Optimum { rate: 5.0 * 1_048_576.0, bound: seconds(20), ratio: 1.25 }),
            held: Some(Held::Uplink(0.93)),
        }
    }

    #[test]
    fn the_line_says_how_good_it_was_and_why_it_was_not_better() {
        let begin = "film.mkv: gave 110.0 MiB to 2 receivers, 1.10 copies; 3 of 3 complete, the last after 25.0 s, \
                     1.25 times the 20.0 s of one copy at 5.0 MiB/s, the best rate seen";
        let (ip, seconds) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)), Duration::from_secs);
        for (held, end) in [
            (Some(Held::Nothing), ""),
            (Some(Held::Uplink(0.934)), "; the uplink held it back, busy 93 % of the time"),
            (Some(Held::Alone(seconds(9))), "; for 9.00 s of it nobody was there that lacked anything"),
            (Some(Held::Late(seconds(14))), "; the last receiver came 14.0 s after the first"),
            (
                Some(Held::Slow { ip, port: Some(8889), took: seconds(25), middle: seconds(8) }),
                "; 10.0.0.7:8889 was slow: it took 25.0 s, and the one in the middle 8.00 s",
            ),
            (None, "; what held it back is not known"),
        ] {
            assert_eq!(verdict_text("film.mkv", &Verdict { held, ..verdict() }), format!("{begin}{end}"));
        }
    }

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        let unknown = |optimum| Verdict { optimum: Err(optimum), held: None, ..verdict() };
        let text = verdict_text("film.mkv", &unknown(Unknown::OthersGave));
        assert!(
            text.ends_with("25.0 s; the distance to the optimum is not known: others gave the file, too"),
            "{text}"
        );
        let text = verdict_text("film.mkv", &Verdict { unknown: 1, ..unknown(Unknown::TooShort) });
        assert!(
            text.contains("complete (1 of version 1 does not tell), the last") && text.contains("too short"),
            "{text}"
        );
        let none = Verdict { complete: 0, last: None, ..unknown(Unknown::NoneComplete) };
        assert!(verdict_text("film.mkv", &none).ends_with("1.10 copies; 0 of 3 complete"));
        let nobody = Verdict { known: 0, receivers: 0, sent: 0, copies: 0.0, ..none };
        assert_eq!(verdict_text("film.mkv", &nobody), "film.mkv: gave 0 B to 0 receivers, 0.00 copies");
        let json = verdict_json("film.mkv", &nobody);
        assert!(json["last_seconds"].is_null() && json["held_back_by"].is_null(), "{json}");
    }

    #[test]
    fn a_program_is_told_the_same() {
        let json = verdict_json("film.mkv", &verdict());
        assert_eq!(
            (json["times_the_bound"].as_f64(), json["held_back_by"].as_str()),
            (Some(1.25), Some("uplink"))
        );
    }
}
