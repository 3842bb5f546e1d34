//! Who may see the page. No I/O: the request's head is the argument.

use crate::token::Token;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Uri};
use std::net::{Ipv6Addr, SocketAddr};

/// What a request is let to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// It may see everything.
    Enter,
    /// It has shown the token in the page's address: it gets a cookie, and the address without the token.
    EnterWithCookie,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is neither GET nor HEAD.
    Method,
    /// It has a body.
    Body,
    /// It has no `Host`, or several.
    NoHost,
    /// Its `Host` is a name that is not this machine's: a page elsewhere may have made its own name lead here.
    Host,
    /// It has no token, or a wrong one.
    Token,
}

/// What is asked of requests.
#[derive(Debug)]
pub(crate) struct Gate {
    /// `None`: only this machine reaches the page.
    token: Option<Token>,
    /// Names of this machine besides its addresses and `localhost`, in lower case.
    names: Vec<String>,
    cookie: String,
}

impl Gate {
    pub(crate) fn new(token: Option<Token>, names: &[String], port: u16) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        // Cookies are of a host, whatever the port.
        Self { token, names, cookie: format!("cascade-{port}") }
    }

    /// Judges a request.
    pub(crate) fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Pass, Refusal> {
        if method != Method::GET && method != Method::HEAD {
            return Err(Refusal::Method);
        }
        let no_length =
            headers.get_all(CONTENT_LENGTH).iter().all(|length| length.as_bytes().iter().all(|b| *b == b'0'));
        if !no_length || headers.contains_key(TRANSFER_ENCODING) {
            return Err(Refusal::Body);
        }
        self.judge_host(headers)?;
        // To know that the program lives is no secret.
        let Some(token) = &self.token else { return Ok(Pass::Enter) };
        if uri.path() == "/healthz" || bearer(headers).is_some_and(|offered| token.is(offered)) {
            return Ok(Pass::Enter);
        }
        if query_token(uri).is_some_and(|offered| token.is(offered)) {
            return Ok(if uri.path() == "/" { Pass::EnterWithCookie } else { Pass::Enter });
        }
        if cookies(headers, &self.cookie).any(|offered| token.is(offered)) {
            return Ok(Pass::Enter);
        }
        Err(Refusal::Token)
    }

    /// The value of `Set-Cookie` that lets a browser in. `Lax`, because a browser that comes from a link elsewhere
    /// would not show a `Strict` one after the redirection; nothing can be changed here.
    pub(crate) fn set_cookie(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        Some(format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", self.cookie))
    }

    /// An attacker's page cannot read ours, unless its own name leads to this machine: a browser then believes that both
    /// are one. Such a name is not an address, nor one of ours.
    fn judge_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::NoHost) };
        let host = host.to_str().map_err(|_| Refusal::Host)?.to_ascii_lowercase();
        if is_address(&host) {
            return Ok(());
        }
        let name = host.split_once(':').map_or(host.as_str(), |(name, _)| name);
        let known =
            name == "localhost" || name.ends_with(".localhost") || self.names.iter().any(|own| own == name);
        if known { Ok(()) } else { Err(Refusal::Host) }
    }
}

/// Whether `host` is an address, with or without a port.
fn is_address(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    host.parse::<SocketAddr>().is_ok()
        || host.parse::<std::net::Ipv4Addr>().is_ok()
        || bracketed.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, offered) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(offered.trim())
}

fn query_token(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';'));
    pairs.filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn judge(gate: &Gate, path: &str, pairs: &[(&'static str, &str)]) -> Result<Pass, Refusal> {
        gate.judge(&Method::GET, &path.parse().unwrap(), &headers(pairs))
    }

    #[test]
    fn names_that_are_not_this_machines_are_refused() {
        let gate = Gate::new(None, &["Desk.example".into()], 8890);
        let host = |host: &str| judge(&gate, "/", &[("host", host)]);
        for ours in [
            "127.0.0.1:8890",
            "127.0.0.1",
            "localhost",
            "LOCALHOST:9",
            "[::1]:8890",
            "[::1]",
            "192.0.2.7:1",
            "desk.example:8890",
            "a.localhost:8890",
        ] {
            assert_eq!(host(ours), Ok(Pass::Enter), "{ours}");
        }
        for theirs in [
            "evil.example",
            "evil.example:8890",
            "localhost.evil.example",
            "",
            ":8890",
            "127.0.0.1.evil.example",
            "[::1",
            "desk.example.",
            "127.1",
        ] {
            assert_eq!(host(theirs), Err(Refusal::Host), "{theirs}");
        }
        assert_eq!(judge(&gate, "/", &[]), Err(Refusal::NoHost));
        let two = [("host", "127.0.0.1"), ("host", "evil.example")];
        assert_eq!(judge(&gate, "/", &two), Err(Refusal::NoHost));
    }

    #[test]
    fn only_reading_is_permitted() {
        let gate = Gate::new(None, &[], 8890);
        for method in
            [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::CONNECT, Method::PATCH]
        {
            let judged = gate.judge(&method, &"/".parse().unwrap(), &headers(&[("host", "localhost")]));
            assert_eq!(judged, Err(Refusal::Method), "{method}");
        }
        let with = |name, value| judge(&gate, "/", &[("host", "localhost"), (name, value)]);
        assert_eq!(with("content-length", "5"), Err(Refusal::Body));
        assert_eq!(with("transfer-encoding", "chunked"), Err(Refusal::Body));
        assert_eq!(with("content-length", "0"), Ok(Pass::Enter));
    }

    #[test]
    fn a_token_is_shown_by_address_cookie_or_header() {
        let token = Token::random().unwrap();
        let secret = token.to_string();
        let gate = Gate::new(Some(token), &[], 8890);
        let ask = |path: &str, header: &[(&'static str, &str)]| {
            judge(&gate, path, &[&[("host", "192.0.2.1:8890")], header].concat())
        };
        assert_eq!(ask("/", &[]), Err(Refusal::Token));
        assert_eq!(ask("/api/v1/state", &[]), Err(Refusal::Token));
        assert_eq!(ask("/metrics", &[]), Err(Refusal::Token));
        assert_eq!(ask("/healthz", &[]), Ok(Pass::Enter));
        assert_eq!(ask(&format!("/?token={secret}"), &[]), Ok(Pass::EnterWithCookie));
        assert_eq!(ask(&format!("/api/v1/state?x=1&token={secret}"), &[]), Ok(Pass::Enter));
        assert_eq!(ask("/?token=", &[]), Err(Refusal::Token));
        assert_eq!(ask(&format!("/?token={}", "0".repeat(32)), &[]), Err(Refusal::Token));
        let cookie = gate.set_cookie().unwrap();
        let cookie = cookie.split(';').next().unwrap();
        assert_eq!(ask("/", &[("cookie", &format!("a=b; {cookie}"))]), Ok(Pass::Enter));
        assert_eq!(ask("/", &[("cookie", &cookie.replace("8890", "8891"))]), Err(Refusal::Token));
        assert_eq!(ask("/", &[("authorization", &format!("Bearer {secret}"))]), Ok(Pass::Enter));
        assert_eq!(ask("/", &[("authorization", &format!("Basic {secret}"))]), Err(Refusal::Token));
        // A name that leads here is refused with the right token, too.
        let evil = judge(&gate, &format!("/?token={secret}"), &[("host", "evil.example")]);
        assert_eq!(evil, Err(Refusal::Host));
    }
}
