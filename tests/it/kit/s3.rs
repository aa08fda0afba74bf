//! A real S3-compatible server on loopback, on a thread of its own: signatures are checked, and
//! conditional puts hold. What it stores lies in a folder that a test may look into and spoil.

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use tempfile::TempDir;

const KEY: &str = "AKIATEST";
const SECRET: &str = "secret-of-the-bucket";

/// The server; it ends with the test's process.
pub(crate) struct S3 {
    dir: TempDir,
    address: String,
    refused: Arc<Mutex<Option<String>>>,
}

impl S3 {
    /// With a bucket for evidence and one for state.
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().expect("a folder");
        for bucket in ["evidence", "statebucket"] {
            std::fs::create_dir(dir.path().join(bucket)).expect("a bucket");
        }
        let refused: Arc<Mutex<Option<String>>> = Arc::default();
        let (tell, told) = mpsc::channel();
        let (root, shared) = (dir.path().to_owned(), refused.clone());
        std::thread::spawn(move || serve(root, shared, &tell));
        let address = told.recv().expect("the server starts");
        Self {
            dir,
            address,
            refused,
        }
    }

    /// Requests whose path holds that text (`DELETE /path`: with that method) are refused from now on;
    /// `None`: none are.
    pub(crate) fn refuse(&self, text: Option<&str>) {
        *self.refused.lock().expect("unpoisoned") = text.map(ToOwned::to_owned);
    }

    /// A storage URL on it.
    pub(crate) fn url(&self, place: &str) -> String {
        format!(
            "s3://{place}?region=us-east-1&lease=2s&endpoint=http://{}",
            self.address
        )
    }

    /// `[storage]` of a host that keeps everything here.
    pub(crate) fn toml(&self) -> String {
        format!(
            "[storage]\nurl = \"{}\"\nstate = \"{}\"\n",
            self.url("evidence/audit"),
            self.url("statebucket/sg")
        )
    }

    /// The keys, as a host's environment.
    pub(crate) fn environment() -> [(String, String); 2] {
        [
            ("AWS_ACCESS_KEY_ID".to_owned(), KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), SECRET.to_owned()),
        ]
    }

    /// Where an object lies on this disk.
    pub(crate) fn path(&self, object: &str) -> PathBuf {
        self.dir.path().join(object)
    }

    pub(crate) fn bucket(&self, place: &str) -> sgwarden::storage::Bucket {
        use sgwarden::storage::{AccessKeys, Bucket, Keys, Place};
        let place = Place::parse(&self.url(place), std::path::Path::new(".")).expect("a URL");
        let Place::Bucket(url) = place else {
            panic!("no bucket")
        };
        let keys: Keys = Arc::new(|| {
            Box::pin(async {
                Ok(AccessKeys {
                    id: KEY.to_owned(),
                    secret: SECRET.to_owned(),
                    token: None,
                })
            })
        });
        Bucket::open(url, keys).expect("a bucket")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(root: PathBuf, refused: Arc<Mutex<Option<String>>>, tell: &mpsc::Sender<String>) {
    let files = s3s_fs::FileSystem::new(root).expect("a folder to serve");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tell.send(address).expect("a test that waits");
    loop {
        let (socket, _) = listener.accept().await.expect("a connection");
        let (service, refused) = (service.clone(), refused.clone());
        let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let path = format!("{} {}", request.method(), request.uri().path());
            let refuse = refused
                .lock()
                .expect("unpoisoned")
                .as_ref()
                .is_some_and(|text| path.contains(text.as_str()));
            let service = service.clone();
            async move {
                if refuse {
                    let body = s3s::Body::from(
                        "<Error><Code>AccessDenied</Code><Message>not now</Message></Error>"
                            .to_owned(),
                    );
                    return Ok(hyper::Response::builder()
                        .status(403)
                        .body(body)
                        .expect("a response"));
                }
                service.call(request.map(s3s::Body::from)).await
            }
        });
        tokio::spawn(async move {
            // A client that goes away is no concern of the server's.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer)
                .await;
        });
    }
}
