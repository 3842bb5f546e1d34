//! The store that trackers share, by the client library.

use super::address::{Address, Kind};
use super::connection::{ANSWER_WITHIN, CONNECT_WITHIN, Connection, say, within};
use super::courier::Fault;
use super::secrets::{Secrets, StoreError};
use super::status::Status;
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisResult, TlsMode,
};

/// Bytes that are written to the store with one call, as far as the system takes them.
const WRITE_AT_ONCE: usize = 1 << 18;

/// A store that a tracker shares with others.
#[derive(Debug, Clone)]
pub struct Store {
    address: Address,
    secrets: Secrets,
    status: Status,
}

impl Store {
    /// The store at an address. Nothing is connected.
    ///
    /// # Errors
    /// The certificates are of no use, or are none.
    pub fn new(address: Address, secrets: Secrets) -> Result<Self, StoreError> {
        if secrets.has_ca() && !address.tls {
            return Err(StoreError::NotEncrypted);
        }
        if address.tls {
            // Whichever providers other crates bring along. It fails where one is installed, which does as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let store = Self { address, secrets, status: Status::default() };
        store.client().map_err(|error| StoreError::Client(say(&error)))?;
        Ok(store)
    }

    /// Its address, without secrets.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// How it is, once the tracker runs.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    fn addrs(&self) -> impl Iterator<Item = ConnectionAddr> {
        let tls = self.address.tls;
        self.address.hosts.iter().map(move |(host, port)| match tls {
            true => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            false => ConnectionAddr::Tcp(host.clone(), *port),
        })
    }

    fn redis(&self) -> RedisConnectionInfo {
        let mut redis = RedisConnectionInfo::default().set_db(self.address.database);
        if let Some(user) = &self.address.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &self.secrets.password {
            redis = redis.set_password(password);
        }
        redis
    }

    fn infos(&self) -> RedisResult<Vec<ConnectionInfo>> {
        self.addrs().map(|addr| Ok(addr.into_connection_info()?.set_redis_settings(self.redis()))).collect()
    }

    fn client(&self) -> RedisResult<Connector> {
        match &self.address.kind {
            Kind::One => {
                let info = self
                    .infos()?
                    .into_iter()
                    .next()
                    .ok_or((redis::ErrorKind::InvalidClientConfig, "no host"))?;
                let client = match self.secrets.certificates() {
                    Some(certificates) => Client::build_with_tls(info, certificates),
                    None => Client::open(info),
                };
                client.map(Box::new).map(Connector::One)
            }
            Kind::Cluster => {
                let mut builder = ClusterClient::builder(self.infos()?)
                    .retries(2)
                    .min_retry_wait(20)
                    .max_retry_wait(200)
                    .connection_timeout(CONNECT_WITHIN)
                    .response_timeout(ANSWER_WITHIN);
                if self.address.tls {
                    builder = builder.tls(TlsMode::Secure);
                }
                if let Some(certificates) = self.secrets.certificates() {
                    builder = builder.certs(certificates);
                }
                builder.build().map(Box::new).map(Connector::Cluster)
            }
            Kind::Sentinel(name) => self.sentinel(name).map(Connector::Sentinel),
        }
    }

    fn sentinel(&self, name: &str) -> RedisResult<Box<SentinelClientBuilder>> {
        let builder = SentinelClientBuilder::new(self.addrs(), name, SentinelServerType::Master)?;
        let mut builder = builder.set_client_to_redis_db(self.address.database);
        if let Some(user) = &self.address.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.secrets.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.address.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = self.secrets.certificates() {
            builder = builder.set_client_to_redis_certificates(certificates.clone());
            builder = builder.set_client_to_sentinel_certificates(certificates);
        }
        Ok(Box::new(builder))
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Connection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_write_backpressure_boundary(WRITE_AT_ONCE);
        let connecting = async {
            match self.client()? {
                Connector::One(client) => {
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::One)
                }
                Connector::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
                Connector::Sentinel(builder) => {
                    builder.build()?.get_async_connection_with_config(&config).await.map(Connection::One)
                }
            }
        };
        within(CONNECT_WITHIN, connecting).await
    }
}

enum Connector {
    One(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Box<SentinelClientBuilder>),
}
