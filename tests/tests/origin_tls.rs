//! An origin with `https://`: a server with a certificate of a private authority.

use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::fetch;
use cascade_tests::launch::Launch;
use cascade_tests::object_server::{Object, ObjectServer, Wire};
use cascade_tests::scene::Scene;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

struct Setup {
    scene: Scene,
    server: ObjectServer,
    /// The certificate of the authority.
    authority: PathBuf,
}

impl Setup {
    /// The server's certificate is for this name or address.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();

        let file = TestFile::random("secret.bin", 1_000_000, 10_000);
        let (config, object) = (Arc::new(config), Object::Bytes(Arc::clone(&file.data)));
        let server = ObjectServer::start_over(Some(object), move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
            let wire: Box<dyn Wire> = Box::new(StreamOwned::new(connection, stream));
            Some(wire)
        });
        let scene = Scene::new(file, &[]);
        let path = scene.folder().join("authority.pem");
        fs::write(&path, authority).unwrap();
        Self { scene, server, authority: path }
    }

    fn seed(&self) -> Launch {
        let url = format!("https://{}/object", self.server.addr());
        self.scene.seed().args(["--origin", &url]).without_env("SSL_CERT_DIR")
    }
}

#[test]
fn a_server_is_trusted_by_the_certificate_of_its_authority() {
    let setup = Setup::new("127.0.0.1");
    let mut seeder = setup.seed().env("SSL_CERT_FILE", &setup.authority).start();
    let addr: SocketAddr = seeder
        .wait_line("where it listens", |line| line.strip_prefix("peer: listening on ")?.trim().parse().ok());
    for block in [0, 50, 99] {
        fetch(addr, &setup.scene.file, block).assert_block(&setup.scene.file, block);
    }
    assert!(setup.server.sent() > 10_000, "it came from there");
}

#[test]
fn a_certificate_that_is_not_trusted_is_one_clear_line() {
    let (setup, other) = (Setup::new("127.0.0.1"), Setup::new("127.0.0.1"));
    let outcome = setup.seed().env("SSL_CERT_FILE", &other.authority).run();
    outcome.assert_code(1).assert_one_line_error(&["certificate is not trusted", "SSL_CERT_FILE"]);
    // It is for another server.
    let setup = Setup::new("other.example.org");
    let outcome = setup.seed().env("SSL_CERT_FILE", &setup.authority).run();
    outcome.assert_code(1).assert_one_line_error(&["certificate is not trusted", "other.example.org"]);
    assert_eq!(setup.server.sent(), 0);
}
