//! The spread of a file as a picture: how much each receiver has over time, and below it what this machine has sent.

use super::history::{History, Moment, Receiver};
use cascade_format::text;
use cascade_picture::{Chart, Line, Picture, Span};
use std::net::SocketAddr;
use std::time::Duration;

/// Characters of a name that have room in the title.
const NAME_LEN: usize = 60;

/// The picture, as SVG. `name` is the file's, `summary` says how good it was; both may hold anything.
#[must_use]
pub(crate) fn draw(history: &History, name: &str, summary: &[String]) -> String {
    let (given, rest) = summary.split_first().map_or(("", summary), |(given, rest)| (given.as_str(), rest));
    let begin = history.begin().unwrap_or_default();
    let count = history.receivers.len();
    let followed = if history.more > 0 { format!("the first {count} receivers") } else { "receivers".into() };
    let copies: Vec<(f64, f64)> =
        history.moments.iter().map(|moment| (seconds(moment.at, begin), copies(history, moment))).collect();
    let most = copies.iter().map(|(_, copies)| *copies).fold(1.0, f64::max);
    Picture {
        title: text::line(&format!("“{}”: {given}", end_of(name))),
        subtitle: rest.iter().map(|line| text::line(line)).collect::<Vec<_>>().join("\n"),
        rows_name: followed,
        spans: history.receivers.iter().map(|receiver| span(receiver, count)).collect(),
        moments: history.moments.iter().map(|moment| row(moment, begin, count)).collect(),
        scale_name: "blocks done".to_owned(),
        chart: Chart {
            title: "copies sent by this machine".to_owned(),
            most,
            percent: false,
            lines: vec![Line { name: String::new(), points: copies }],
        },
        time_name: "time since the first receiver came (s)".to_owned(),
    }
    .draw()
}

/// The end of a name, which tells more than its beginning.
fn end_of(name: &str) -> String {
    match name.chars().count().checked_sub(NAME_LEN) {
        None | Some(0) => name.to_owned(),
        Some(surplus) => std::iter::once('…').chain(name.chars().skip(surplus + 1)).collect(),
    }
}

/// Pictures as one page that needs nothing else.
#[must_use]
pub(crate) fn page(pictures: &[String]) -> String {
    // An SVG inside a page needs no name space, and may have one.
    let pictures = pictures.concat();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>How it spread</title>\n\
         <style>body {{ margin: 1em; background: #fff }} svg {{ display: block; max-width: 100%; height: auto; margin-bottom: 2em }}</style>\n\
         </head>\n<body>\n{pictures}</body>\n</html>\n"
    )
}

fn span(receiver: &Receiver, count: usize) -> Span {
    let name = match receiver.port {
        Some(port) => SocketAddr::new(receiver.ip, port).to_string(),
        None if receiver.tells => receiver.ip.to_string(),
        None => format!("{} (v1)", receiver.ip),
    };
    #[allow(clippy::cast_precision_loss, reason = "a part of a picture")]
    let part = 1.0 / count.max(1) as f64;
    Span { name, part }
}

fn row(moment: &Moment, begin: Duration, count: usize) -> cascade_picture::Moment {
    let share =
        |number: usize| f64::from(moment.shares.get(number).copied().unwrap_or(0)) / f64::from(u8::MAX);
    cascade_picture::Moment { at: seconds(moment.at, begin), shares: (0..count).map(share).collect() }
}

fn copies(history: &History, moment: &Moment) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a part of a picture")]
    let copies = moment.sent as f64 / history.length.max(1) as f64;
    copies
}

fn seconds(at: Duration, begin: Duration) -> f64 {
    at.saturating_sub(begin).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;

    #[test]
    fn each_receiver_has_its_band_and_names_are_text() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.comes_silently();
        scene.pass(10.0, 150.0, &[0.1, 0.0]);
        scene.completes(0);
        scene.pass(1.0, 0.0, &[]);
        let name = "<script>alert(1)</script>\"&'\u{1b}[2J";
        let picture = draw(&scene.history, name, &["1".into(), "2 & 3".into(), "4".into()]);
        assert!(picture.contains("127.0.0.1:1") && picture.contains("127.0.0.1:2"), "{picture}");
        assert!(picture.contains("&lt;script&gt;") && !picture.contains("<script"), "{picture}");
        assert!(
            !picture.contains('\u{1b}') && picture.contains(">2 &amp; 3<") && picture.contains(">4<"),
            "{picture}"
        );
        let page = page(&[picture.clone(), picture]);
        assert!(
            page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n") && !page.contains("<script")
        );
        assert_eq!(page.matches("<svg ").count(), 2);
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(draw(&History::new(0), &"long".repeat(50), &[]).ends_with("</svg>\n"));
    }
}
