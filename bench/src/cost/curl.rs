//! curl from nginx over a link, alone or with `sha256sum` after it: what a careful user does by hand.

use super::{Carrier, Cost, Way};
use crate::data::DataFile;
use crate::error::{Context, Result, failed};
use crate::linkemu::congestion::CONGESTION_CONTROL;
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::measure::{Measured, find_program};
use crate::programs::own;
use crate::tools::nginx::{CurlNginx, config};
use crate::tools::{READY_WITHIN, TRANSFER_WITHIN};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The node of nginx.
const SENDER: usize = 0;

/// The node of curl.
const RECEIVER: usize = 1;

/// nginx's port.
const PORT: u16 = 8080;

/// curl, and perhaps `sha256sum`.
#[derive(Debug)]
pub struct Curl {
    programs: CurlNginx,
    sha256sum: Option<PathBuf>,
}

impl Curl {
    /// Finds the programs.
    ///
    /// # Errors
    /// One is not installed.
    pub fn find(and_hash: bool) -> Result<Self> {
        let sha256sum = if and_hash { Some(find_program("sha256sum")?) } else { None };
        Ok(Self { programs: CurlNginx::find()?, sha256sum })
    }

    fn start_nginx(&self, network: &Network, data: &DataFile, work: &Path) -> Result<(Measured, String)> {
        let address = SocketAddrV4::new(network.address(SENDER)?, PORT);
        let folder = work.join("www");
        std::fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        let link = folder.join(data.name());
        std::fs::hard_link(&data.path, &link).context(|| format!("cannot link {}", link.display()))?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config(&folder, address))
            .context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(&self.programs.nginx);
        command.arg("-p").arg(&folder).arg("-c").arg(&file);
        let mut server =
            Measured::start("nginx", &mut network.on(SENDER, &command)?, &work.join("nginx.log"))?;
        let wait = own(&["wait-for-port", &address.to_string()])?;
        match network.on(SENDER, &wait)?.status() {
            Ok(status) if status.success() => {}
            _ => return failed("nginx does not listen"),
        }
        server.wait_until(READY_WITHIN, |_| true)?;
        server.mark();
        Ok((server, format!("http://{address}/{}", data.name())))
    }

    /// Both as one process with a child each, so that both are counted.
    fn command(&self, url: &str, copy: &Path) -> Command {
        let mut command = Command::new(&self.programs.curl);
        let curl = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"];
        match &self.sha256sum {
            None => {
                command.args(curl).arg(copy).arg(url);
            }
            Some(sha256sum) => {
                command = Command::new("sh");
                command.args(["-c", "sum=$1; shift; \"$@\" && \"$sum\" \"$COPY\"", "sh"]).arg(sha256sum);
                command.arg(&self.programs.curl).args(curl).arg(copy).arg(url);
            }
        }
        command
    }
}

impl Carrier for Curl {
    fn name(&self) -> String {
        if self.sha256sum.is_some() { "curl + sha256sum" } else { "curl" }.to_owned()
    }

    fn carry(&self, way: Way, data: &DataFile, work: &Path) -> Result<Cost> {
        let network = Network::star(&[way.link(); 2], ETHERNET_MTU, CONGESTION_CONTROL)?;
        super::set_buffers(&network)?;
        let (server, url) = self.start_nginx(&network, data, work)?;
        let copy = work.join("copy");
        let mut command = network.on(RECEIVER, &self.command(&url, &copy))?;
        command.env("COPY", &copy);
        let ended = Measured::start("curl", &mut command, &work.join("log"))?.finish(TRANSFER_WITHIN)?;
        let sender = server.usage();
        data.check_copy(&copy)?;
        Ok(Cost { length: data.length, wall: ended.wall.as_secs_f64(), sender, receiver: ended.usage })
    }
}
