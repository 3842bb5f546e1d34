//! Where the blocks come from that are not on the disk.

use super::CliError;
use crate::origin::{AddressError, Origin, Pool};
use cascade_format::units::parse_nonzero_size;
use std::num::NonZeroU64;

/// Where the blocks come from that are not on the disk.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Fetch blocks that are not on the disk from s3://BUCKET/KEY, https://HOST/PATH or http://HOST/PATH when a peer asks
    /// for them. With / at the end, or {name} or {hash} in it, URL is a folder of objects [default: none]
    // Understood later: an error of the command line's parser shows the whole address, and with it what is secret.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Keep at most this much from the origin on the disk; what was used least recently is dropped [default: keep all]
    #[arg(long, value_name = "SIZE", value_parser = parse_nonzero_size, allow_hyphen_values = true, requires = "origin")]
    cache: Option<NonZeroU64>,
    /// The server that has the bucket of an s3:// origin [default: $AWS_ENDPOINT_URL, or else Amazon's]
    #[arg(long, value_name = "URL", requires = "origin")]
    endpoint: Option<String>,
}

impl Source {
    /// Whether one was named.
    pub(super) fn is_named(&self) -> bool {
        self.origin.is_some()
    }

    /// The origin that was named, if any, for this number of files, or as many as there may be.
    ///
    /// # Errors
    /// It is one object, and there are several files; the endpoint is none.
    pub(super) fn origin(&self, files: usize) -> Result<Option<Origin>, CliError> {
        let Some(origin) = &self.origin else { return Ok(None) };
        let wrong = |option, error: AddressError| CliError::usage(format!("--{option}: {error}"));
        let origin = Origin::parse(origin).map_err(|error| wrong("origin", error))?;
        if files > 1 && !origin.is_folder() {
            return Err(CliError::usage(
                "--origin names one object, but there can be several files; name a folder of objects, with / at the end"
                    .into(),
            ));
        }
        let cache = self.cache.map(|cache| Pool::new(cache.get(), files == 1));
        let origin = origin.with_cache(cache);
        let origin = match &self.endpoint {
            Some(_) if !origin.is_bucket() => {
                return Err(CliError::usage(
                    "--endpoint is for an --origin of the form s3://BUCKET/KEY".into(),
                ));
            }
            Some(endpoint) => origin.with_endpoint(endpoint).map_err(|error| wrong("endpoint", error))?,
            None => origin,
        };
        Ok(Some(origin))
    }
}
