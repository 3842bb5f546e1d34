//! curl from nginx with sendfile: a fast download that verifies nothing.

use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer, free_address, probe};
use crate::error::{Context, Result};
use crate::measure::{Measured, find_program};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

/// curl and nginx.
#[derive(Debug)]
pub struct CurlNginx {
    /// `curl`.
    pub curl: PathBuf,
    /// `nginx`.
    pub nginx: PathBuf,
}

impl CurlNginx {
    /// Finds both.
    ///
    /// # Errors
    /// One is not installed.
    pub fn find() -> Result<Self> {
        Ok(Self { curl: find_program("curl")?, nginx: find_program("nginx")? })
    }
}

/// The server's configuration: one process, no access log, everything it writes inside `folder`. `user root` matters to root alone: its
/// workers could not read the folder otherwise.
#[must_use]
pub fn config(folder: &Path, address: SocketAddrV4) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/tmp;\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{\naccess_log off;\nsendfile on;\nsendfile_max_chunk 0;\ntcp_nopush on;\n{temporary}\
         server {{ listen {address}; root {folder}; }}\n}}\n"
    )
}

impl Tool for CurlNginx {
    fn name(&self) -> String {
        "curl from nginx".to_owned()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let folder = job.folder_with_data("www")?;
        let address = free_address()?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config(&folder, address))
            .context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(&self.nginx);
        command.arg("-p").arg(&folder).arg("-c").arg(&file);
        let mut server = Measured::start("nginx", &mut command, &job.log("nginx"))?;
        server.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
        server.mark();
        let copy = job.work.join("copy");
        let mut command = Command::new(&self.curl);
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"]).arg(&copy);
        command.arg(format!("http://{address}/{}", job.data.name()));
        let done = Measured::start("curl", &mut command, &job.log("curl"))?.finish(TRANSFER_WITHIN)?;
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: server.usage(), receiver: done.usage, copy })
    }
}
