//! Wrong usage that the argument parser lets pass.

use super::Cli;
use crate::Config;
use crate::store::Address;
use cascade_format::CascadeHash;
use std::fs;
use std::io::ErrorKind;

impl Cli {
    /// What is wrong with an argument that the parser has let pass: its errors show the whole argument, and the address of
    /// a store may have a password in it; and it does not know what CONFIG says.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.store_fault().or_else(|| self.needless()).or_else(|| self.allow_fault())
    }

    fn store_fault(&self) -> Option<String> {
        let error = self.store.as_ref()?.parse::<Address>().err()?;
        Some(format!("--store: {error}"))
    }

    /// An option that does nothing without another one, which may be in CONFIG.
    fn needless(&self) -> Option<String> {
        let options = [
            ("--state-every", self.state_every.is_some() && self.state.is_none(), "--state FILE"),
            ("--store-ca", self.store_ca.is_some() && self.store.is_none(), "--store ADDRESS"),
            (
                "--store-password-file",
                self.store_password_file.is_some() && self.store.is_none(),
                "--store ADDRESS",
            ),
        ];
        let (option, _, needed) = options.into_iter().find(|(_, lacks, _)| *lacks)?;
        let in_config = match &self.config {
            // What is wrong with it is told later.
            Some(path) => Config::read(path).map_or(true, |config| match option {
                "--state-every" => config.state.is_some(),
                _ => config.store.is_some(),
            }),
            None => false,
        };
        (!in_config).then(|| format!("{option} needs {needed}"))
    }

    /// A text that is meant as a hash and is none: no file has this name, and it is not the name of one.
    fn allow_fault(&self) -> Option<String> {
        let missing = |text: &str| fs::symlink_metadata(text).is_err_and(|e| e.kind() == ErrorKind::NotFound);
        let is_path = |text: &str| text.contains('/') || text.ends_with(".cascade");
        let is_wrong =
            |text: &&String| text.parse::<CascadeHash>().is_err() && !is_path(text) && missing(text);
        let text = self.allow.iter().find(is_wrong)?;
        let shown = if text.is_empty() { "''" } else { text };
        Some(format!("--allow {shown}: it is not 64 hex digits, and there is no file of this name"))
    }
}
