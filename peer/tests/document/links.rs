//! The tables of links.

use super::DOCUMENT;
use cascade_format::Link;

const HASH: &str = "7f86d42dc67f91df9f2e86df49f95e3da8cd074fabf99abaf696bb07f0a15105";

/// The cells of each row of the table whose first heading is `heading`.
fn table(heading: &str) -> Vec<[String; 2]> {
    let (_, rest) = DOCUMENT.split_once(&format!("\n| {heading} | ")).expect(heading);
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().trim_matches('`').replace("HASH", HASH);
    rows.map(|row| {
        let (left, right) = row.trim_matches('|').split_once(" | ").expect(row);
        [cell(left), cell(right)]
    })
    .collect()
}

#[test]
fn every_link_of_the_document_is_read_and_written_as_it_says() {
    let rows = table("given");
    assert!(rows.len() >= 9, "{rows:?}");
    for [given, canonical] in rows {
        let link: Link = given.parse().unwrap_or_else(|e| panic!("{given}: {e}"));
        assert_eq!(link.to_string(), canonical, "{given}");
        assert_eq!(canonical.parse(), Ok(link), "{canonical}");
    }
}

#[test]
fn every_refused_link_of_the_document_is_refused_as_it_says() {
    let rows = table("refused");
    assert!(rows.len() >= 10, "{rows:?}");
    for [refused, why] in rows {
        let error = refused.parse::<Link>().expect_err(&refused);
        assert_eq!(error.to_string(), why, "{refused}");
    }
}
