//! Objects under a prefix of a bucket. Nothing is overwritten unless [`Bucket::write`] says so, and
//! nothing is taken for granted after a broken connection: what may have been done is read back.

use super::Error;
use super::place::{BucketUrl, Protocol};
use opendal::layers::{RetryLayer, TimeoutLayer};

use opendal::{ErrorKind, HttpTransporter, OperationContext, Operator, services};
use opendal_http_transport_reqwest::ReqwestTransport;
use sha2::Digest as _;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Keys of one moment, as the job's own chain of credentials gives them.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeys {
    /// AccessKey id.
    pub id: String,
    /// AccessKey secret.
    pub secret: String,
    /// Of temporary keys.
    pub token: Option<String>,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What gives keys, asked before each request: temporary ones change while a job runs.
pub type Keys =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<AccessKeys, String>> + Send>> + Send + Sync>;

/// A bucket's objects under a prefix.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    url: BucketUrl,
    keys: Keys,
    /// The operator and the keys it was built with.
    built: Mutex<Option<(AccessKeys, Operator)>>,
    http: HttpTransporter,
    /// A thread of its own: the asker may stand on a runtime that must not be waited on.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may go inside another runtime, where waiting would panic.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket")
            .field(&self.inner.url.shown())
            .finish()
    }
}

/// A request that hangs is given up after this long; evidence files are at most some ten megabytes.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Bucket {
    /// Objects under that URL. Nothing is asked yet.
    ///
    /// # Errors
    /// No thread or no HTTP client can be had.
    pub fn open(url: BucketUrl, keys: Keys) -> Result<Self, Error> {
        let fail = |why: String| Error::Remote {
            doing: "open",
            what: url.shown(),
            why,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("storage")
            .enable_all()
            .build()
            .map_err(|why| fail(why.to_string()))?;
        // The one crypto provider; found installed where a client was made before.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|why| fail(why.to_string()))?;
        let http = HttpTransporter::new(ReqwestTransport::new(client));
        Ok(Self {
            inner: Arc::new(Inner {
                url,
                keys,
                built: Mutex::new(None),
                http,
                runtime: Some(runtime),
            }),
        })
    }

    /// A short name for a folder of what belongs to this bucket and prefix, wherever it is served.
    pub fn mark(&self) -> String {
        let url = &self.inner.url;
        let whole = format!(
            "{} {}",
            url.shown(),
            url.endpoint.as_deref().unwrap_or_default()
        );
        let digest = sha2::Sha256::digest(whole.as_bytes());
        let bytes = digest.iter().take(6);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The URL as people read it, with a key behind it.
    pub fn shown(&self, key: &str) -> String {
        let url = self.inner.url.shown();
        if key.is_empty() {
            url
        } else {
            format!("{url}/{key}")
        }
    }

    /// Its URL.
    pub fn url(&self) -> &BucketUrl {
        &self.inner.url
    }

    /// An object's bytes; `None` where there is none.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let at = key.to_owned();
        self.ask("read", key, async move |op| match op.read(&at).await {
            Ok(buffer) => Ok(Some(buffer.to_vec())),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        })
    }

    /// Writes an object, whatever was there.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn write(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let (at, bytes) = (key.to_owned(), bytes.to_vec());
        self.ask("write", key, async move |op| {
            op.write(&at, bytes).await.map(drop)
        })
    }

    /// Writes an object where there is none. `false`: there is one, with other bytes. An answer that
    /// was lost does no harm: the same bytes are taken for ours.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn create(&self, key: &str, bytes: &[u8]) -> Result<bool, Error> {
        let (at, mine) = (key.to_owned(), bytes.to_vec());
        self.ask("create", key, async move |op| {
            let put = op.write_with(&at, mine.clone()).if_not_exists(true).await;
            let Err(why) = put else { return Ok(true) };
            // Under retention a second put is refused with an error of its own, so any error asks.
            match op.read(&at).await {
                Ok(there) => Ok(there.to_vec() == mine),
                Err(_) if why.kind() == ErrorKind::ConditionNotMatch => Ok(false),
                Err(_) => Err(why),
            }
        })
    }

    /// Removes an object; one that is not there is removed.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn remove(&self, key: &str) -> Result<(), Error> {
        let at = key.to_owned();
        self.ask("remove", key, async move |op| op.delete(&at).await)
    }

    /// Names directly in a folder (`a/b/`, empty: the prefix itself), sorted; folders end in `/`.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        self.listed(folder, false)
    }

    /// Keys of every object below a folder, relative to it, sorted.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn below(&self, folder: &str) -> Result<Vec<String>, Error> {
        let mut names = self.listed(folder, true)?;
        names.retain(|name| !name.ends_with('/'));
        Ok(names)
    }

    fn listed(&self, folder: &str, recursive: bool) -> Result<Vec<String>, Error> {
        let at = folder.to_owned();
        let shown = if folder.is_empty() { "/" } else { folder };
        let path = shown.to_owned();
        self.ask("list", folder, async move |op| {
            let entries = op.list_with(&path).recursive(recursive).await?;
            let mut names: Vec<String> = entries
                .iter()
                .filter_map(|entry| entry.path().strip_prefix(&at))
                .filter(|name| !name.is_empty() && *name != "/")
                .map(ToOwned::to_owned)
                .collect();
            names.sort();
            names.dedup();
            Ok(names)
        })
    }

    /// Runs one request on the bucket's own thread and waits for it.
    fn ask<T, F, Fut>(&self, doing: &'static str, key: &str, request: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Operator) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, opendal::Error>> + Send + 'static,
    {
        let what = self.shown(key);
        let fail = |why: String| Error::Remote {
            doing,
            what: what.clone(),
            why,
        };
        let Some(runtime) = &self.inner.runtime else {
            return Err(fail("the store is closed".to_owned()));
        };
        let (tell, told) = mpsc::sync_channel(1);
        let inner = self.inner.clone();
        let task = async move {
            let done = match inner.operator().await {
                Ok(op) => request(op).await.map_err(|why| said(&why)),
                Err(why) => Err(why),
            };
            // Nobody waits any more only where the process is ending.
            let _ = tell.send(done);
        };
        runtime.spawn(task);
        match told.recv() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(why)) => Err(fail(why)),
            Err(_) => Err(fail("the request ended without an answer".to_owned())),
        }
    }

    /// Runs a task of its own on the bucket's thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.inner.runtime {
            runtime.spawn(task);
        }
    }

    /// The same bucket from within [`Bucket::spawn`].
    pub(super) async fn put_quietly(&self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        let op = self.inner.operator().await?;
        op.write(key, bytes)
            .await
            .map(drop)
            .map_err(|why| said(&why))
    }
}

/// What the service answered, on one line, and what it asks for.
fn said(why: &opendal::Error) -> String {
    let text: String = why
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let todo = match why.kind() {
        ErrorKind::PermissionDenied => {
            "; grant oss:PutObject, oss:GetObject, oss:ListObjects (s3: the same) on the bucket and its objects, and for state oss:DeleteObject"
        }
        ErrorKind::NotFound => "; does the bucket exist in that region?",
        ErrorKind::RateLimited => "; try again later",
        _ => "",
    };
    format!("{text}{todo}")
}

impl Inner {
    /// The operator for the keys of this moment.
    async fn operator(&self) -> Result<Operator, String> {
        let keys = (self.keys)().await?;
        {
            let built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((with, op)) = built.as_ref()
                && *with == keys
            {
                return Ok(op.clone());
            }
        }
        let op = self.build(&keys).map_err(|why| said(&why))?;
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some((keys, op.clone()));
        Ok(op)
    }

    fn build(&self, keys: &AccessKeys) -> Result<Operator, opendal::Error> {
        let url = &self.url;
        let op = match url.protocol {
            Protocol::Oss => {
                let region = url.region.as_deref().unwrap_or("cn-hangzhou");
                let host = url
                    .endpoint
                    .clone()
                    .unwrap_or_else(|| format!("https://oss-{region}.aliyuncs.com"));
                let mut builder = services::Oss::default()
                    .root(&url.prefix)
                    .bucket(&url.bucket)
                    .endpoint(&host)
                    .access_key_id(&keys.id)
                    .access_key_secret(&keys.secret);
                if is_loopback(&host) {
                    builder = builder.addressing_style("path");
                }
                if let Some(token) = &keys.token {
                    builder = builder.security_token(token);
                }
                Operator::new(builder)?
            }
            Protocol::S3 => {
                let mut builder = services::S3::default()
                    .root(&url.prefix)
                    .bucket(&url.bucket)
                    .region(url.region.as_deref().unwrap_or("us-east-1"))
                    .access_key_id(&keys.id)
                    .secret_access_key(&keys.secret)
                    // The keys are ours to find: nothing else is looked through for them.
                    .disable_config_load()
                    .disable_ec2_metadata();
                if let Some(host) = &url.endpoint {
                    builder = builder.endpoint(host);
                }
                if let Some(token) = &keys.token {
                    builder = builder.session_token(token);
                }
                Operator::new(builder)?
            }
        };
        Ok(op
            .with_context(OperationContext::new().with_http_transport(self.http.clone()))
            .layer(
                TimeoutLayer::default()
                    .with_timeout(TIMEOUT)
                    .with_io_timeout(TIMEOUT),
            )
            .layer(RetryLayer::new().with_max_times(4).with_jitter()))
    }
}

fn is_loopback(host: &str) -> bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}
