//! A wall whose certificate, key and bundles come from an agent of SPIFFE's Workload API, which is played here on a Unix socket: HTTP/2 by hyper, and
//! its answers put together by hand (`X509SVIDResponse` of SPIFFE's `workload.proto`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::result_large_err, reason = "a test stops where it fails")]

#[path = "it/support/mod.rs"]
mod support;

use hyper::body::{Body, Bytes, Frame};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use support::{Client, PgError, Postgres, Wall, ask_for_tls, eventually, socket, tls_as};
use tokio::sync::{mpsc, watch};

const POLICY: &str = "version: 1
name: test
tenants: { id: '[a-z]+' }
identity:
  mtls: { uri: 'spiffe://*/tenant/{tenant}/*' }
postgres:
  layout: rows
  tables:
    public.orders: { scoped: tenant_id }
";
const SCHEMA: &str = "CREATE TABLE orders (tenant_id text, item text); INSERT INTO orders VALUES ('acme', 'anvil'), ('globex', 'laser')";

/// Who signs the SVIDs of a trust domain.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// An SVID and its key.
struct Svid {
    id: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self { root: params.self_signed(&key).unwrap().der().clone(), issuer: Issuer::new(params, key) }
    }

    fn svid(&self, id: &str, dns: &[&str]) -> Svid {
        let mut params = CertificateParams::new(dns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.subject_alt_names.push(SanType::URI(id.try_into().unwrap()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Svid { id: id.to_owned(), certificate, key: key.serialize_der() }
    }
}

/// A field of bytes, text or a message (protobuf's wire type 2).
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut length) = (vec![number << 3 | 2], bytes.len());
    while length > 127 {
        out.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    [out.as_slice(), bytes].concat()
}

/// An answer with one SVID and the bundles of other trust domains, as gRPC frames it.
fn answer(own: &Svid, bundle: &[&Authority], federated: &[(&str, &Authority)]) -> Bytes {
    let roots: Vec<u8> = bundle.iter().flat_map(|a| a.root.to_vec()).collect();
    let svid = [field(1, own.id.as_bytes()), field(2, &own.certificate), field(3, &own.key), field(4, &roots)].concat();
    let entry = |(domain, authority): &(&str, &Authority)| field(3, &[field(1, domain.as_bytes()), field(2, &authority.root)].concat());
    let message = [field(1, &svid), federated.iter().flat_map(entry).collect()].concat();
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat().into()
}

/// What one client is answered, as it comes.
struct Answers(mpsc::Receiver<Bytes>);

impl Body for Answers {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|answer| answer.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// An agent; dropped, it is away.
struct Agent {
    says: watch::Sender<Option<Bytes>>,
    path: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

impl Agent {
    /// None: the process that asks has no identity any more.
    fn start(path: &Path, says: Option<Bytes>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (says, heard) = watch::channel(says);
        let _inside = runtime.enter();
        let socket = tokio::net::UnixListener::bind(path).unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let heard = heard.clone();
                let service = hyper::service::service_fn(move |request| {
                    let heard = heard.clone();
                    async move { Ok::<_, std::convert::Infallible>(respond(&request, heard)) }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { says, path: path.to_owned(), _runtime: runtime }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

fn respond<B>(request: &Request<B>, mut heard: watch::Receiver<Option<Bytes>>) -> Response<Answers> {
    assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
    assert_eq!(request.headers()["workload.spiffe.io"], "true");
    let (sender, answers) = mpsc::channel(1);
    let response = Response::builder().header("content-type", "application/grpc");
    if heard.borrow().is_none() {
        // PERMISSION_DENIED
        return response.header("grpc-status", "7").body(Answers(answers)).unwrap();
    }
    tokio::spawn(async move {
        loop {
            let Some(next) = heard.borrow_and_update().clone() else { return };
            if sender.send(next).await.is_err() || heard.changed().await.is_err() {
                return;
            }
        }
    });
    response.body(Answers(answers)).unwrap()
}

/// A session of the client that shows this SVID, and the certificate that it was shown.
fn connect(wall: &Wall, roots: &[&Authority], svid: Option<&Svid>) -> Result<(Client, CertificateDer<'static>), String> {
    let mut store = rustls::RootCertStore::empty();
    roots.iter().for_each(|authority| store.add(authority.root.clone()).unwrap());
    let config = rustls::ClientConfig::builder().with_root_certificates(store);
    let config = match svid {
        None => config.with_no_client_auth(),
        Some(svid) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(svid.key.clone()));
            config.with_client_auth_cert(vec![svid.certificate.clone()], key).unwrap()
        }
    };
    let mut socket = socket(wall.port("pg"));
    assert_eq!(ask_for_tls(&mut socket), b'S');
    let stream = tls_as(socket, "localhost", &Arc::new(config)).map_err(|e| e.to_string())?;
    let shown = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    let begun = Client::start(Box::new(stream), &[("user", "app"), ("database", "shop")]);
    begun.map(|client| (client, shown)).map_err(|e: PgError| format!("{} {}", e.code, e.message))
}

fn item(client: &mut Client) -> String {
    client.query("SELECT item FROM orders").map_or_else(|e| e.code, |rows| rows.text())
}

fn start(agent: &Path) -> Result<Wall, String> {
    let database = Postgres::shared().database();
    database.psql(SCHEMA);
    let listener = format!("identity: [mtls], tls: {{ workload_api: 'unix:{}', require: true }}", agent.display());
    Wall::attempt(&Wall::config(&database, &listener, "user: postgres"), &[("test.yaml", POLICY)])
}

#[test]
fn an_agent_gives_the_walls_certificate_and_says_whose_it_believes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let (corp, partner, next) = (Authority::new("corp"), Authority::new("partner"), Authority::new("next"));
    let first = corp.svid("spiffe://corp.example/wall", &["localhost"]);
    let agent = Agent::start(&path, Some(answer(&first, &[&corp], &[("partner.example", &partner)])));
    let wall = start(&path).unwrap_or_else(|said| panic!("{said}"));
    let acme = corp.svid("spiffe://corp.example/tenant/acme/app", &[]);
    let globex = partner.svid("spiffe://partner.example/tenant/globex/app", &[]);
    let (mut old, shown) = connect(&wall, &[&corp], Some(&acme)).unwrap();
    assert_eq!((item(&mut old), shown), ("anvil".to_owned(), first.certificate.clone()));
    let (mut theirs, _) = connect(&wall, &[&corp], Some(&globex)).unwrap();
    assert_eq!(item(&mut theirs), "laser");

    // An authority signs for its own trust domain, whatever the ID says.
    for (who, id) in [
        (&partner, "spiffe://corp.example/tenant/acme/app"),
        (&corp, "spiffe://partner.example/tenant/globex/app"),
        (&corp, "spiffe://elsewhere.example/tenant/acme/app"),
        (&next, "spiffe://corp.example/tenant/acme/app"),
    ] {
        let refused = connect(&wall, &[&corp], Some(&who.svid(id, &[]))).err();
        assert!(refused.is_some_and(|why| !why.contains("28000")), "{id}: TLS does not refuse it");
    }
    assert_eq!(connect(&wall, &[&corp], None).err().unwrap().get(..5), Some("28000"));

    // A rotation, of the authority too, and the partner is none any more.
    let second = next.svid("spiffe://corp.example/wall", &["localhost"]);
    agent.says.send_replace(Some(answer(&second, &[&corp, &next], &[])));
    let both = [&corp, &next];
    let is_shown = |wanted: &Svid| connect(&wall, &both, Some(&acme)).is_ok_and(|(_, shown)| shown == wanted.certificate);
    assert!(eventually(|| is_shown(&second)), "{}", wall.log());
    assert_eq!(item(&mut old), "anvil", "an old connection lives");
    let (mut newer, _) = connect(&wall, &both, Some(&next.svid("spiffe://corp.example/tenant/globex/app", &[]))).unwrap();
    assert_eq!(item(&mut newer), "laser");
    assert!(connect(&wall, &both, Some(&globex)).is_err());
    assert!(eventually(|| item(&mut theirs) != "laser"), "a session ends with its bundle");

    // One that is away leaves what it gave; one that takes it back does not.
    drop(agent);
    std::thread::sleep(Duration::from_secs(3));
    assert!(is_shown(&second), "{}", wall.log());
    assert_eq!(item(&mut old), "anvil");
    let agent = Agent::start(&path, None);
    assert!(eventually(|| connect(&wall, &both, Some(&acme)).is_err()), "{}", wall.log());
    assert!(eventually(|| item(&mut old) != "anvil"), "nobody is believed any more");
    assert!(eventually(|| wall.log().contains("its SVID counts no more")), "{}", wall.log());
    let third = corp.svid("spiffe://corp.example/wall", &["localhost"]);
    agent.says.send_replace(Some(answer(&third, &[&corp], &[])));
    assert!(eventually(|| is_shown(&third)), "{}", wall.log());
}

#[test]
fn without_an_agent_the_wall_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let begun = Instant::now();
    let said = start(&path).err().unwrap();
    let wanted = format!("no SVID from the agent at unix:{} within 10 s", path.display());
    assert!(said.contains(&wanted) && begun.elapsed() < Duration::from_secs(25), "{:?}: {said}", begun.elapsed());
}
