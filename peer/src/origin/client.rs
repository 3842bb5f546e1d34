//! A source over HTTP: a bucket or a web server, by the library `object_store`, which signs what must be signed.
//!
//! The library is used for single requests: what is tried again, and when, is decided by [`super::plan`]. An answer
//! with another status than 2xx is turned into an error before the library sees it, because it would read the whole body
//! of it, however long that is.

use super::OriginError;
use super::address::{Origin, Place};
use super::source::{Body, Boxed, Fault, Opened, Source};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use object_store::client::{HttpService, ReqwestConnector};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, HeaderValue, ObjectStore, RetryConfig,
};
use std::collections::HashMap;
use std::error::Error;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What servers see of this program.
const USER_AGENT: &str = concat!("cascade/", env!("CARGO_PKG_VERSION"));

/// The status of a part of an object.
const PARTIAL_CONTENT: u16 = 206;

/// Makes sources, which share their connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// By what they may do: the library's debug text says all of it.
    made: Mutex<HashMap<String, HttpClient>>,
}

impl Clients {
    /// Makes a source of the object at `origin`. Nothing is asked yet.
    ///
    /// # Errors
    /// The address, or what the environment says, cannot be used.
    pub(crate) fn connect(self: &Arc<Self>, origin: &Origin) -> Result<Arc<dyn Source>, OriginError> {
        // What else uses TLS in this process may have chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connector = Connector(Arc::clone(self));
        let made = match origin.place() {
            Place::S3 { bucket, key, endpoint } => {
                bucket_object(bucket, key, endpoint.as_deref(), &connector)
            }
            Place::Http { url, tls, .. } => web_object(url, *tls, &connector),
        };
        let object =
            made.map_err(|error| OriginError::Setup { origin: origin.to_string(), why: innermost(&error) })?;
        Ok(Arc::new(object))
    }
}

/// An object in a store.
#[derive(Debug)]
struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// What the user may have forgotten.
    hint: &'static str,
}

fn bucket_object(
    bucket: &str,
    key: &str,
    endpoint: Option<&str>,
    connector: &Connector,
) -> object_store::Result<Object> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if let Some(endpoint) = endpoint {
        for name in [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint] {
            builder = builder.with_config(name, endpoint);
        }
    }
    let said = |builder: &AmazonS3Builder, name| builder.get_config_value(&name);
    let plain = [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint]
        .into_iter()
        .filter_map(|name| said(&builder, name))
        .any(|endpoint| endpoint.starts_with("http://"));
    let signs = said(&builder, AmazonS3ConfigKey::SkipSignature).is_none_or(|skip| skip != "true");
    let known = said(&builder, AmazonS3ConfigKey::AccessKeyId).is_some();
    let hint = if signs && !known {
        " (AWS_ACCESS_KEY_ID is not set; for a public bucket set AWS_SKIP_SIGNATURE=true)"
    } else {
        ""
    };
    let path = Path::parse(key)?;
    let store = with_client(plain, |options| {
        let builder = builder.clone().with_client_options(options).with_retry(once());
        builder.with_http_connector(connector.clone()).build()
    })?;
    Ok(Object { store: Arc::new(store), path, hint })
}

fn web_object(url: &str, tls: bool, connector: &Connector) -> object_store::Result<Object> {
    let store = with_client(!tls, |options| {
        let builder = HttpBuilder::new().with_url(url).with_client_options(options).with_retry(once());
        builder.with_http_connector(connector.clone()).build()
    })?;
    Ok(Object { store: Arc::new(store), path: Path::default(), hint: "" })
}

/// Makes a store, with the certificates of the system. Where there are none, one without TLS can do without.
fn with_client<T>(
    plain: bool,
    make: impl Fn(ClientOptions) -> object_store::Result<T>,
) -> object_store::Result<T> {
    let options = ClientOptions::new()
        .with_user_agent(HeaderValue::from_static(USER_AGENT))
        .with_allow_http(plain)
        // Who asks has limits of its own.
        .with_timeout_disabled();
    match make(options.clone()) {
        Err(_) if plain => make(options.with_no_system_certificates(true)),
        made => made,
    }
}

/// Nothing is tried twice by the library.
fn once() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

impl Source for Object {
    fn open(&self, range: Range<u64>) -> Boxed<'_, Result<Opened, Fault>> {
        Box::pin(async move {
            let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
            let answer = self.store.get_opts(&self.path, options).await;
            let answer = answer.map_err(|error| with_hint(fault(&error), self.hint))?;
            let (length, tag) = (answer.meta.size, answer.meta.e_tag.clone());
            Ok(Opened { length, tag, body: Box::new(Stream(answer.into_stream())) })
        })
    }
}

struct Stream(BoxStream<'static, object_store::Result<Bytes>>);

impl Body for Stream {
    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Fault>> {
        Box::pin(async {
            let next = self.0.next().await.transpose();
            next.map_err(|error| Fault::Passing(format!("the answer broke off: {}", innermost(&error))))
        })
    }
}

/// What a failed request means.
fn fault(error: &object_store::Error) -> Fault {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    let mut passing = false;
    while let Some(error) = next {
        if let Some(status) = error.downcast_ref::<Status>() {
            return status.fault();
        }
        // A certificate that is not trusted ends a connection, too, but it is not the network's fault.
        if let Some(why) = error.downcast_ref::<std::io::Error>().and_then(certificate_fault) {
            return Fault::Refused(why);
        }
        if let Some(error) = error.downcast_ref::<HttpError>() {
            passing |= matches!(
                error.kind(),
                HttpErrorKind::Connect
                    | HttpErrorKind::Timeout
                    | HttpErrorKind::Request
                    | HttpErrorKind::Interrupted
            );
        }
        passing |= error.downcast_ref::<std::io::Error>().is_some();
        next = error.source();
    }
    let why = innermost(error);
    if passing { Fault::Passing(why) } else { Fault::Refused(why) }
}

/// What is wrong with a server's certificate, if that is what has ended a connection.
fn certificate_fault(error: &std::io::Error) -> Option<String> {
    let mut inner = error.get_ref()?;
    while let Some(deeper) = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        inner = deeper;
    }
    let Some(rustls::Error::InvalidCertificate(why)) = inner.downcast_ref::<rustls::Error>() else {
        return None;
    };
    Some(format!(
        "the server's certificate is not trusted ({why}); if its authority is a private one, name the file of that \
         authority's certificate in SSL_CERT_FILE"
    ))
}

fn with_hint(fault: Fault, hint: &str) -> Fault {
    match fault {
        Fault::Passing(why) => Fault::Passing(why + hint),
        Fault::Refused(why) => Fault::Refused(why + hint),
        Fault::NoRanges => Fault::NoRanges,
    }
}

/// What is at the bottom of an error. Those above name the whole address, with what is secret in it.
fn innermost(error: &dyn Error) -> String {
    let mut bottom: &dyn Error = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    bottom.to_string()
}

/// An answer that is no success.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the server answers with status {0}")]
struct Status(u16);

impl Status {
    fn fault(self) -> Fault {
        match self.0 {
            200..300 => Fault::NoRanges,
            408 | 425 | 429 | 500.. => Fault::Passing(self.to_string()),
            401 | 403 => Fault::Refused(format!("{self}: access is denied")),
            404 | 410 => Fault::Refused(format!("{self}: there is no such object")),
            _ => Fault::Refused(self.to_string()),
        }
    }
}

/// Makes clients that give no answer but a success on: one for each set of options.
#[derive(Debug, Clone)]
struct Connector(Arc<Clients>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{options:?}");
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let client = HttpClient::new(Strict(ReqwestConnector::default().connect(options)?));
        made.insert(key, client.clone());
        Ok(client)
    }
}

#[derive(Debug)]
struct Strict(HttpClient);

impl HttpService for Strict {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Boxed<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let ranged = request.headers().contains_key("range");
            let answer = self.0.execute(request).await?;
            let status = answer.status();
            if status.is_success() && (!ranged || status.as_u16() == PARTIAL_CONTENT) {
                return Ok(answer);
            }
            Err(HttpError::new(HttpErrorKind::Unknown, Status(status.as_u16())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_means() {
        for (status, expected) in [
            (200, Fault::NoRanges),
            (503, Fault::Passing("the server answers with status 503".into())),
            (404, Fault::Refused("the server answers with status 404: there is no such object".into())),
            (416, Fault::Refused("the server answers with status 416".into())),
        ] {
            let error = HttpError::new(HttpErrorKind::Unknown, Status(status));
            let error = object_store::Error::Generic { store: "x", source: Box::new(error) };
            assert_eq!(fault(&error), expected);
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_told_without_its_secret() {
        let origin = Origin::parse("http://a<b/f?secret").unwrap();
        let error = Arc::<Clients>::default().connect(&origin).unwrap_err().to_string();
        assert!(error.starts_with("cannot ask http://a<b/f?…: ") && !error.contains("secret"), "{error}");
    }
}
