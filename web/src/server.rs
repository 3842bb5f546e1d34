//! The server's thread: it accepts connections and bounds them.

use crate::address::{DEFAULT, USUAL_PORTS, reachable};
use crate::board::{Board, Source};
use crate::gate::Gate;
use crate::limits::{
    ACCEPT_PAUSE, FAREWELL, HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_CONNECTIONS_A_HOST, MAX_HEAD_LEN, MAX_HEADERS,
    SEND_BUFFER_LEN,
};
use crate::patient::Patient;
use crate::service::Service;
use crate::token::Token;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::watch;

/// Where a page is, and by which names it is reached.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it listens; `None`: on this machine alone, on the first of [`USUAL_PORTS`] that is free, or any.
    pub address: Option<SocketAddr>,
    /// Names of this machine, by which browsers may call it besides its addresses and `localhost`.
    pub names: Vec<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot show the page on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the page's thread: {0}")]
    Thread(io::Error),
    /// The system gives no random numbers.
    #[error("cannot make the page's token: {0}")]
    Random(getrandom::Error),
}

/// A page with an address, which is not shown yet: browsers wait.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    names: Vec<String>,
}

/// A page that is shown, until this is dropped.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Takes the address. A page that others than this machine can reach gets a token.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub fn bind(options: Options) -> Result<Bound, StartError> {
        let (listener, address) = match options.address {
            Some(address) => listen(address)?,
            None => listen_usual()?,
        };
        let open = !address.ip().to_canonical().is_loopback();
        let token = open.then(Token::random).transpose().map_err(StartError::Random)?;
        Ok(Bound { listener, address, token, names: options.names })
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn listen_usual() -> Result<(TcpListener, SocketAddr), StartError> {
    for port in USUAL_PORTS {
        match listen(SocketAddr::new(DEFAULT.ip(), port)) {
            Err(StartError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    listen(SocketAddr::new(DEFAULT.ip(), 0))
}

impl Bound {
    /// What to open in a browser: it has the token, if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        let address = reachable(self.address);
        match &self.token {
            Some(token) => format!("http://{address}/?token={token}"),
            None => format!("http://{address}/"),
        }
    }

    /// Shows the page.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn serve(self, source: impl Source) -> Result<Server, StartError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let (stop, stopped) = watch::channel(false);
        let gate = Gate::new(self.token, &self.names, self.address.port());
        let listener = self.listener;
        let run = move || {
            yield_to_others();
            runtime.block_on(run(listener, Box::new(source), gate, stopped));
        };
        let thread = thread::Builder::new().name("web".into()).spawn(run).map_err(StartError::Thread)?;
        Ok(Server { stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told already.
            let _ = thread.join();
        }
    }
}

/// Makes this thread give way to those that transfer data. On Linux the priority is that of a thread.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    /// What `nice` would add.
    const NICE: i32 = 10;
    let _ = rustix::process::setpriority_process(None, NICE);
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}

async fn run(listener: TcpListener, source: Box<dyn Source>, gate: Gate, mut stop: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let board = Arc::new(Board::new(source));
    let service = Arc::new(Service::new(Arc::clone(&board), gate, stop.clone()));
    tokio::select! {
        () = accept(&listener, &service) => {}
        () = board.run() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // Viewers see the last state, and that it is the last.
    let _ = board.now().await;
    let _ = tokio::time::timeout(FAREWELL, service.no_viewers()).await;
}

/// Accepts connections for ever.
async fn accept(listener: &tokio::net::TcpListener, service: &Arc<Service>) {
    let hosts = Arc::new(Hosts::default());
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match Place::take(&hosts, from.ip()) {
                Some(place) => drop(tokio::spawn(serve(stream, Arc::clone(service), place))),
                None => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            // No descriptor left, or a connection that is gone already.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Answers the requests of a connection.
async fn serve(stream: TcpStream, service: Arc<Service>, _place: Place) {
    // An event is small and should leave at once.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_LEN);
    let answer = service_fn(|request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.max_buf_size(MAX_HEAD_LEN).max_headers(MAX_HEADERS);
    // Whatever goes wrong on a connection ends that connection.
    let _ = builder.serve_connection(TokioIo::new(Patient::new(stream)), answer).await;
}

/// Connections by where they come from.
#[derive(Debug, Default)]
struct Hosts(Mutex<HashMap<IpAddr, usize>>);

/// The place of a connection, until this is dropped.
#[derive(Debug)]
struct Place {
    hosts: Arc<Hosts>,
    host: IpAddr,
}

impl Place {
    /// `None`: there are too many connections, or too many from this host.
    fn take(hosts: &Arc<Hosts>, from: IpAddr) -> Option<Self> {
        let host = host_of(from);
        let mut counts = hosts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= MAX_CONNECTIONS {
            return None;
        }
        let count = counts.entry(host).or_default();
        if *count >= MAX_CONNECTIONS_A_HOST {
            return None;
        }
        *count += 1;
        Some(Self { hosts: Arc::clone(hosts), host })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.hosts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.host);
            }
        }
    }
}

/// An IPv6 host has a network of 64 bits at least.
fn host_of(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded_together_and_for_each_host() {
        let hosts = Arc::new(Hosts::default());
        let take = |last: u8| Place::take(&hosts, IpAddr::from([192, 0, 2, last]));
        let mut of_one: Vec<_> = (0..MAX_CONNECTIONS_A_HOST).map(|_| take(1).unwrap()).collect();
        assert!(take(1).is_none());
        let of_others: Vec<_> = (MAX_CONNECTIONS_A_HOST..MAX_CONNECTIONS).map(|_| take(2).unwrap()).collect();
        assert!(take(3).is_none());
        of_one.pop();
        assert!(take(3).is_some());
        drop((of_one, of_others));
        assert!(hosts.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_host() {
        let host = |text: &str| host_of(text.parse().unwrap());
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:2"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
        assert_eq!(host("::ffff:192.0.2.1"), host("192.0.2.1"));
    }
}
