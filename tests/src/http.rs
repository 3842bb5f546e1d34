//! A client of HTTP/1.1 and of its streams of events, as little of it as the tests need.

use crate::clock::LIMIT;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body, which is JSON.
    ///
    /// # Panics
    /// It is not.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks for `path`, with `Host` as a browser would say it.
#[must_use]
#[track_caller]
pub fn get(server: SocketAddr, path: &str) -> Answer {
    request(server, "GET", path, &[("Host", &server.to_string())])
}

/// A request with these headers and no others.
#[must_use]
#[track_caller]
pub fn request(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = connect(server);
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("the server reads");
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader);
    let mut body = String::new();
    reader.read_to_string(&mut body).expect("the answer ends, and is text");
    Answer { status, headers, body }
}

/// A connection, every wait on which has a limit.
///
/// # Panics
/// Nobody listens.
#[must_use]
pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the server listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream
}

fn read_head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the server answers");
        line.trim_end().to_owned()
    };
    let first = line();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut headers = Vec::new();
    loop {
        let line = line();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    (status.unwrap_or_else(|| panic!("no status in {first:?}")), headers)
}

/// A stream of events.
#[derive(Debug)]
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// Begins to read the events at `path`.
    ///
    /// # Panics
    /// The server refuses.
    #[must_use]
    pub fn open(server: SocketAddr, path: &str) -> Self {
        let mut stream = connect(server);
        let head = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the server reads");
        let mut reader = BufReader::new(stream);
        let (status, headers) = read_head(&mut reader);
        assert_eq!(status, 200, "{headers:?}");
        Self(reader)
    }

    /// The next event: its name and its data.
    ///
    /// # Panics
    /// The stream ends.
    pub fn next_event(&mut self) -> (String, serde_json::Value) {
        let (mut name, mut line) = (None, String::new());
        loop {
            line.clear();
            let read = self.0.read_line(&mut line).expect("events come");
            assert!(read > 0, "the stream has ended");
            // Between them stand the lengths of chunks.
            if let Some(found) = line.strip_prefix("event: ") {
                name = Some(found.trim_end().to_owned());
            } else if let (Some(name), Some(data)) = (&name, line.strip_prefix("data: ")) {
                return (name.clone(), serde_json::from_str(data).expect("JSON"));
            }
        }
    }
}
