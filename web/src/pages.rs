//! The page, which is part of the program, and the headers that keep it harmless.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) media_type: &'static str,
    pub(crate) text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Each file with its path.
const PAGES: [(&str, Page); 10] = [
    ("/", Page { media_type: HTML, text: include_str!("page/index.html") }),
    ("/style.css", Page { media_type: STYLE, text: include_str!("page/style.css") }),
    ("/icon.svg", Page { media_type: PICTURE, text: include_str!("page/icon.svg") }),
    ("/app.js", Page { media_type: SCRIPT, text: include_str!("page/app.js") }),
    ("/stream.js", Page { media_type: SCRIPT, text: include_str!("page/stream.js") }),
    ("/show.js", Page { media_type: SCRIPT, text: include_str!("page/show.js") }),
    ("/chart.js", Page { media_type: SCRIPT, text: include_str!("page/chart.js") }),
    ("/map.js", Page { media_type: SCRIPT, text: include_str!("page/map.js") }),
    ("/files.js", Page { media_type: SCRIPT, text: include_str!("page/files.js") }),
    ("/room.js", Page { media_type: SCRIPT, text: include_str!("page/room.js") }),
];

/// The file at `path`.
pub(crate) fn find(path: &str) -> Option<Page> {
    PAGES.iter().find(|(at, _)| *at == path).map(|(_, page)| *page)
}

/// The page runs its own scripts and talks to its own server, and nothing else; no text becomes markup in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// On every answer.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    // What a program did is of the moment, and the page is of the program's version.
    ("cache-control", "no-store"),
];

/// Adds what every answer has.
pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_that_is_named_is_there_and_nothing_comes_from_elsewhere() {
        for (path, page) in PAGES {
            for word in page.text.split(['"', '\'', '(', ')']) {
                let is_file = ["js", "css", "svg"].iter().any(|ending| word.ends_with(&format!(".{ending}")));
                if is_file && !word.contains(' ') {
                    let named = word.trim_start_matches('.').trim_start_matches('/');
                    assert!(find(&format!("/{named}")).is_some(), "{path} names {word}");
                }
                let outside = ["http:", "https:", "//cdn"].iter().any(|start| word.starts_with(start));
                assert!(!outside || word == "http://www.w3.org/2000/svg", "{path} names {word}");
            }
        }
    }

    #[test]
    fn the_page_obeys_its_own_policy() {
        for (path, page) in PAGES {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=",
                " onclick=",
                "javascript:",
            ] {
                assert!(!page.text.contains(forbidden), "{path} has {forbidden}");
            }
        }
    }
}
