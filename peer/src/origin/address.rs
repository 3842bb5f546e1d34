//! Where an origin is, as the user gives it, and as it is shown.

use super::Pool;
use crate::folder::Head;
use crate::limits::MAX_ORIGIN_LEN;
use cascade_format::CascadeHash;
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Why a text is not the address of an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text has none of the known forms.
    #[error("not an origin: give s3://BUCKET/KEY, https://HOST/PATH or http://HOST/PATH")]
    Form,
    /// A part of the address is missing.
    #[error("there is no {0} in it")]
    Missing(&'static str),
    /// The address has a user name or a password in it.
    #[error("a name or password in the address is not supported; use a signed address")]
    Password,
    /// The address is longer than an address may be.
    #[error("it is longer than {MAX_ORIGIN_LEN} bytes")]
    TooLong,
    /// The address has a blank or an invisible character in it.
    #[error("there is a blank or a control character in it; write it as %20")]
    Blank,
    /// The host of a server is no host.
    #[error("its host is neither a name nor an IPv4 address nor an IPv6 address in brackets")]
    Host,
    /// The port of a server is none.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// Something in braces in the path, which is filled in with nothing.
    #[error("{0} stands for nothing, {NAME} and {HASH} do; write %7B for a brace that is a part of the path")]
    Place(String),
    /// The endpoint is not the address of a server.
    #[error("an endpoint is the address of a server: https://HOST or http://HOST")]
    Endpoint,
}

/// Where the name of the data file belongs in the address of a folder of objects.
const NAME: &str = "{name}";

/// Where the hash of the `.cascade` file does.
const HASH: &str = "{hash}";

/// What the archive of a folder has behind its name.
const TAR: &str = ".tar";

/// The address of an object, or of a folder of objects that are named like the files.
///
/// Neither its text nor its debug text shows what follows the path: signed addresses have their secret there.
#[derive(Clone)]
pub struct Origin {
    place: Place,
    /// The bound on the bytes that are kept on the disk; `None`: everything is kept.
    pub cache: Option<Arc<Pool>>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a bucket; the endpoint is the user's, if it is not the environment's.
    S3 { bucket: String, key: String, endpoint: Option<String> },
    /// At an address; where its path ends, and whether what is sent is encrypted.
    Http { url: String, path_end: usize, tls: bool },
}

impl Origin {
    /// Parses the address that a user has given.
    ///
    /// # Errors
    /// Everything in [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_ORIGIN_LEN {
            return Err(AddressError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Form)?;
        let place = match scheme.to_ascii_lowercase().as_str() {
            "s3" => {
                let (bucket, key) = rest.split_once('/').ok_or(AddressError::Missing("key"))?;
                if bucket.is_empty() {
                    return Err(AddressError::Missing("bucket"));
                }
                if key.chars().any(char::is_control) || bucket.contains(|c: char| c.is_control() || c == ' ')
                {
                    return Err(AddressError::Blank);
                }
                Place::S3 { bucket: bucket.to_owned(), key: key.to_owned(), endpoint: None }
            }
            scheme @ ("http" | "https") => {
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                if host.is_empty() {
                    return Err(AddressError::Missing("host"));
                }
                if host.contains('@') {
                    return Err(AddressError::Password);
                }
                if text.contains(|c: char| c.is_control() || c == ' ') {
                    return Err(AddressError::Blank);
                }
                check_server(host)?;
                let path_end = text.find(['?', '#']).unwrap_or(text.len());
                if let Some(place) = unknown_place(text.get(..path_end).unwrap_or_default()) {
                    return Err(AddressError::Place(format!("{{{place}}}")));
                }
                Place::Http { url: text.to_owned(), path_end, tls: scheme == "https" }
            }
            _ => return Err(AddressError::Form),
        };
        Ok(Self { place, cache: None })
    }

    /// Bounds what is kept on the disk by this pool, which several files may share.
    #[must_use]
    pub fn with_cache(self, cache: Option<Arc<Pool>>) -> Self {
        Self { cache, ..self }
    }

    /// Sets the server that has the bucket, in the place of the one that the environment names.
    ///
    /// # Errors
    /// It is no address of a server, or the origin is no bucket.
    pub fn with_endpoint(mut self, server: &str) -> Result<Self, AddressError> {
        let Self { place: Place::Http { tls: _, url, .. }, .. } =
            Self::parse(server).map_err(|_| AddressError::Endpoint)?
        else {
            return Err(AddressError::Endpoint);
        };
        match &mut self.place {
            Place::S3 { endpoint, .. } => *endpoint = Some(url.trim_end_matches('/').to_owned()),
            Place::Http { .. } => return Err(AddressError::Endpoint),
        }
        Ok(self)
    }

    /// Whether it is in a bucket.
    #[must_use]
    pub fn is_bucket(&self) -> bool {
        matches!(self.place, Place::S3 { .. })
    }

    /// Whether the address names a folder of objects: its path ends with `/`, or has a place for a name.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        let path = self.path();
        // The key of a whole bucket is empty.
        path.is_empty() || path.ends_with('/') || [NAME, HASH].iter().any(|place| path.contains(place))
    }

    /// The objects that may hold the data file `name` of `length` bytes, the likeliest first. In a folder of objects,
    /// the object has the name of the file. If the length can be that of a folder's archive, `name.tar` is tried before
    /// it.
    #[must_use]
    pub fn of_file(&self, name: &str, hash: CascadeHash, length: u64) -> Vec<Self> {
        if !self.is_folder() {
            return vec![self.clone()];
        }
        let tar = format!("{name}{TAR}");
        let is_archive = Head::of(length).is_some() && !name.ends_with(TAR);
        let mut objects: Vec<Self> = Vec::new();
        for name in is_archive.then_some(tar.as_str()).into_iter().chain([name]) {
            let object = self.named(name, hash);
            if objects.iter().all(|there| there.place != object.place) {
                objects.push(object);
            }
        }
        objects
    }

    fn named(&self, name: &str, hash: CascadeHash) -> Self {
        let mut origin = self.clone();
        let name = if self.is_bucket() { name.to_owned() } else { encoded(name) };
        let path = self.path();
        let path =
            if path.is_empty() || path.ends_with('/') { format!("{path}{NAME}") } else { path.to_owned() };
        // The hash first: a name may look like its place.
        let path = path.replace(HASH, &hash.to_string()).replace(NAME, &name);
        match &mut origin.place {
            Place::S3 { key, .. } => *key = path,
            Place::Http { url, path_end, .. } => {
                url.replace_range(..*path_end, &path);
                *path_end = path.len();
            }
        }
        origin
    }

    fn path(&self) -> &str {
        match &self.place {
            Place::S3 { key, .. } => key,
            Place::Http { url, path_end, .. } => url.get(..*path_end).unwrap_or_default(),
        }
    }

    #[cfg_attr(not(feature = "origin"), expect(dead_code, reason = "for the client alone"))]
    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

/// Whether a server can be at `HOST` or `HOST:PORT`. Whether the host exists is found out when it is asked.
fn check_server(server: &str) -> Result<(), AddressError> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']').ok_or(AddressError::Host)?;
            inside.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
            (inside, port)
        }
        None => server.split_at(server.find(':').unwrap_or(server.len())),
    };
    let digits = match port.strip_prefix(':') {
        None if port.is_empty() => return if host.is_empty() { Err(AddressError::Host) } else { Ok(()) },
        None => return Err(AddressError::Host),
        // More than one colon is an IPv6 address without brackets.
        Some(digits) if host.is_empty() || digits.contains(':') => return Err(AddressError::Host),
        Some(digits) => digits,
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(1..) if is_number => Ok(()),
        // The usual port.
        Err(_) if digits.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(AddressError::Port),
    }
}

/// What stands in braces, and is neither of the places.
fn unknown_place(path: &str) -> Option<&str> {
    let mut inside = path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    inside.find(|inside| [NAME, HASH].iter().all(|place| place.trim_matches(['{', '}']) != *inside))
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::S3 { bucket, key, .. } => write!(f, "s3://{bucket}/{key}"),
            Place::Http { url, path_end, .. } => {
                f.write_str(url.get(..*path_end).unwrap_or_default())?;
                f.write_str(if url.len() > *path_end { "?…" } else { "" })
            }
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self}, {:?})", self.cache.as_ref().map(|pool| pool.bound()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_what_is_shown_of_them() {
        for (text, shown) in [
            ("s3://bucket/a/film.mkv", "s3://bucket/a/film.mkv"),
            ("S3://bucket/a b.mkv", "s3://bucket/a b.mkv"),
            ("https://example.org/f?X-Amz-Signature=secret", "https://example.org/f?…"),
            ("HTTP://127.0.0.1:8080/f", "HTTP://127.0.0.1:8080/f"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://h:/f", "http://h:/f"),
            ("http://h/{name}/{hash}/}{", "http://h/{name}/{hash}/}{"),
            ("http://h/f?{foo}", "http://h/f?…"),
            ("s3://bucket/{foo}", "s3://bucket/{foo}"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.to_string(), shown);
            assert!(!format!("{origin:?}").contains("secret"));
        }
        use AddressError::{Blank, Form, Host, Missing, Password, Place, Port, TooLong};
        for (text, error) in [
            ("film.mkv", Form),
            ("ftp://example.org/f", Form),
            ("s3://bucket", Missing("key")),
            ("s3:///key", Missing("bucket")),
            ("https:///f", Missing("host")),
            ("https://me:secret@example.org/f", Password),
            ("https://example.org/a b", Blank),
            ("https://example.org/a\nb", Blank),
            ("s3://bucket/a\u{1b}b", Blank),
            ("https://x:99999/y", Port),
            ("https://x:0/y", Port),
            ("https://x:+80/y", Port),
            ("http://[::1/x", Host),
            ("http://[::1]8/x", Host),
            ("http://[x]/x", Host),
            ("http://::1/x", Host),
            ("http://:80/x", Host),
            ("http://h/{foo}", Place("{foo}".into())),
            ("http://h/{name}/{Hash}/", Place("{Hash}".into())),
        ] {
            assert_eq!(Origin::parse(text).unwrap_err(), error, "{text:?}");
        }
        let long = format!("s3://b/{}", "x".repeat(MAX_ORIGIN_LEN));
        assert_eq!(Origin::parse(&long).unwrap_err(), TooLong);
    }

    #[test]
    fn a_folder_of_objects_has_one_for_each_file() {
        let shown = |origin: &Origin, name: &str, length| {
            let objects = origin.of_file(name, CascadeHash([0xab; 32]), length);
            objects.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let hash = "ab".repeat(32);
        for (folder, expected) in [
            ("s3://bucket/", "s3://bucket/a b"),
            ("s3://bucket/films/", "s3://bucket/films/a b"),
            ("s3://bucket/{name}/data", "s3://bucket/a b/data"),
            ("https://example.org/films/", "https://example.org/films/a%20b"),
            ("https://example.org/films/?token=x", "https://example.org/films/a%20b?…"),
            ("https://example.org/{name}.bin?t={name}", "https://example.org/a%20b.bin?…"),
            ("https://example.org/{hash}", &format!("https://example.org/{hash}")),
            ("https://example.org/{hash}/", &format!("https://example.org/{hash}/a%20b")),
        ] {
            let origin = Origin::parse(folder).unwrap();
            assert!(origin.is_folder());
            assert_eq!(shown(&origin, "a b", 1000), [expected]);
        }
        let one = Origin::parse("https://example.org/f").unwrap();
        assert!(!one.is_folder());
        assert_eq!(shown(&one, "a", 10_240), ["https://example.org/f"]);
        // What may be the archive of a folder.
        let folder = Origin::parse("https://h/").unwrap();
        assert_eq!(shown(&folder, "a", 10_240), ["https://h/a.tar", "https://h/a"]);
        assert_eq!(shown(&folder, "a.tar", 10_240), ["https://h/a.tar"]);
        assert_eq!(shown(&Origin::parse("s3://b/{hash}").unwrap(), "a", 10_240), [format!("s3://b/{hash}")]);
        let object = &Origin::parse("http://h/?t=1").unwrap().of_file("ä{hash}", CascadeHash([0; 32]), 1)[0];
        let Place::Http { url, .. } = &object.place else { panic!() };
        assert_eq!(url, "http://h/%C3%A4%7Bhash%7D?t=1");
    }

    #[test]
    fn an_endpoint_belongs_to_a_bucket() {
        let bucket = Origin::parse("s3://bucket/key").unwrap();
        assert!(bucket.clone().with_endpoint("http://127.0.0.1:9000/").is_ok());
        for wrong in ["127.0.0.1:9000", "s3://x/y", "http://"] {
            assert_eq!(bucket.clone().with_endpoint(wrong).unwrap_err(), AddressError::Endpoint);
        }
        let web = Origin::parse("https://example.org/f").unwrap();
        assert_eq!(web.with_endpoint("http://127.0.0.1:9000").unwrap_err(), AddressError::Endpoint);
    }
}
