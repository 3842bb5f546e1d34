//! Where an origin is, as the user gives it, and as it is shown.

use crate::limits::MAX_ORIGIN_LEN;
use std::fmt;

/// Why a text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// None of the forms.
    #[error("not an origin: give s3://BUCKET/KEY, https://HOST/PATH or http://HOST/PATH")]
    Form,
    /// Something of it is missing.
    #[error("there is no {0} in it")]
    Missing(&'static str),
    /// A name or password.
    #[error("a name or password in the address is not supported; use a signed address")]
    Password,
    /// Longer than any.
    #[error("it is longer than {MAX_ORIGIN_LEN} bytes")]
    TooLong,
    /// A blank or something that is not seen.
    #[error("there is a blank or a control character in it; write it as %20")]
    Blank,
    /// The endpoint is none.
    #[error("an endpoint is the address of a server: https://HOST or http://HOST")]
    Endpoint,
}

/// An object, or a folder of objects that have the names of the files.
///
/// Neither its text nor its debug text shows what follows the path: signed addresses have their secret there.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    place: Place,
    /// The most that is kept on the disk, in bytes; `None`: everything.
    pub cache: Option<u64>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a bucket; the endpoint is the user's, if it is not the environment's.
    S3 { bucket: String, key: String, endpoint: Option<String> },
    /// At an address; where its path ends, and whether what is sent is encrypted.
    Http { url: String, path_end: usize, tls: bool },
}

impl Origin {
    /// Understands what a user has given.
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
                let path_end = text.find(['?', '#']).unwrap_or(text.len());
                Place::Http { url: text.to_owned(), path_end, tls: scheme == "https" }
            }
            _ => return Err(AddressError::Form),
        };
        Ok(Self { place, cache: None })
    }

    /// Keeps at most this many bytes on the disk.
    #[must_use]
    pub fn with_cache(self, cache: Option<u64>) -> Self {
        Self { cache, ..self }
    }

    /// The server that has the bucket, instead of the one that the environment names.
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

    /// Whether it names a folder of objects: its path ends with `/`.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        match &self.place {
            Place::S3 { key, .. } => key.is_empty() || key.ends_with('/'),
            Place::Http { url, path_end, .. } => url.get(..*path_end).is_some_and(|path| path.ends_with('/')),
        }
    }

    /// The origin of the data file called `name`: of a folder of objects the one with this name.
    #[must_use]
    pub fn of_file(&self, name: &str) -> Self {
        let mut origin = self.clone();
        if self.is_folder() {
            match &mut origin.place {
                Place::S3 { key, .. } => key.push_str(name),
                Place::Http { url, path_end, .. } => {
                    let name = encoded(name);
                    url.insert_str(*path_end, &name);
                    *path_end += name.len();
                }
            }
        }
        origin
    }

    #[cfg_attr(not(feature = "origin"), expect(dead_code, reason = "for the client alone"))]
    pub(super) fn place(&self) -> &Place {
        &self.place
    }
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
        write!(f, "Origin({self}, {:?})", self.cache)
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
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.to_string(), shown);
            assert!(!format!("{origin:?}").contains("secret"));
        }
        use AddressError::{Blank, Form, Missing, Password, TooLong};
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
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Origin::parse(&format!("s3://b/{}", "x".repeat(MAX_ORIGIN_LEN))), Err(TooLong));
    }

    #[test]
    fn a_folder_of_objects_has_one_for_each_file() {
        for (folder, expected) in [
            ("s3://bucket/", "s3://bucket/a b"),
            ("s3://bucket/films/", "s3://bucket/films/a b"),
            ("https://example.org/films/", "https://example.org/films/a%20b"),
            ("https://example.org/films/?token=x", "https://example.org/films/a%20b?…"),
        ] {
            let origin = Origin::parse(folder).unwrap();
            assert!(origin.is_folder());
            let file = origin.of_file("a b");
            assert_eq!(file.to_string(), expected);
            assert!(!file.is_folder() && file.of_file("c") == file);
        }
        let Place::Http { url, .. } = &Origin::parse("http://h/?t=1").unwrap().of_file("ä").place else {
            panic!()
        };
        assert_eq!(url, "http://h/%C3%A4?t=1");
    }

    #[test]
    fn an_endpoint_belongs_to_a_bucket() {
        let bucket = Origin::parse("s3://bucket/key").unwrap();
        assert!(bucket.clone().with_endpoint("http://127.0.0.1:9000/").is_ok());
        for wrong in ["127.0.0.1:9000", "s3://x/y", "http://"] {
            assert_eq!(bucket.clone().with_endpoint(wrong), Err(AddressError::Endpoint));
        }
        let web = Origin::parse("https://example.org/f").unwrap();
        assert_eq!(web.with_endpoint("http://127.0.0.1:9000"), Err(AddressError::Endpoint));
    }
}
