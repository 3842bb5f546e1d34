//! Garage: an S3-compatible object store that `cargo install garage` builds.

use super::{READY_WITHIN, TRANSFER_WITHIN, free_address, probe};
use crate::data::DataFile;
use crate::error::{Context, Result};
use crate::measure::{Measured, find_program};
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

/// The bucket.
pub const BUCKET: &str = "bench";

/// The key's number, as Garage wants it to look.
pub const ACCESS_KEY: &str = "GK0123456789abcdef01234567";

/// The key's secret.
pub const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A running store with one bucket.
#[derive(Debug)]
pub struct Garage {
    server: Measured,
    address: SocketAddrV4,
}

impl Garage {
    /// Starts a store that keeps everything in `folder`, which exists.
    ///
    /// # Errors
    /// Garage is not installed, or does not start; its configuration cannot be written.
    pub fn start(folder: &Path) -> Result<Self> {
        let address = free_address()?;
        let file = folder.join("garage.toml");
        std::fs::write(&file, config(folder, address, free_address()?))
            .context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(find_program("garage")?);
        command.arg("-c").arg(&file).args(["server", "--single-node", "--default-bucket"]);
        command.envs([
            ("GARAGE_DEFAULT_BUCKET", BUCKET),
            ("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY),
            ("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY),
        ]);
        let mut server = Measured::start("garage", &mut command, &folder.join("garage.log"))?;
        server.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        Ok(Self { server, address })
    }

    /// Where it answers S3 requests.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// The process, with which the store ends.
    #[must_use]
    pub fn into_process(self) -> Measured {
        self.server
    }

    /// Uploads `data` under its own name, with curl.
    ///
    /// # Errors
    /// curl is not installed, or the store refuses the upload.
    pub fn put(&self, data: &DataFile, log: &Path) -> Result<()> {
        let mut command = Command::new(find_program("curl")?);
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        command.args([
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            &format!("{ACCESS_KEY}:{SECRET_KEY}"),
        ]);
        command.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--upload-file"]).arg(&data.path);
        command.arg(format!("http://{}/{BUCKET}/{}", self.address, data.name()));
        Measured::start("curl", &mut command, log)?.finish(TRANSFER_WITHIN)?;
        Ok(())
    }
}

/// The configuration of a store of one node, without compression and without waiting for the disk.
fn config(folder: &Path, s3: SocketAddrV4, rpc: SocketAddrV4) -> String {
    let folder = folder.display();
    format!(
        "metadata_dir = \"{folder}/meta\"\ndata_dir = \"{folder}/data\"\ndb_engine = \"lmdb\"\n\
         replication_factor = 1\ncompression_level = \"none\"\nmetadata_fsync = false\ndata_fsync = false\n\
         rpc_bind_addr = \"{rpc}\"\nrpc_public_addr = \"{rpc}\"\nrpc_secret = \"{SECRET_KEY}\"\n\
         [s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"{s3}\"\n"
    )
}
