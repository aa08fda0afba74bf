//! A URL of `[storage]`: `file:FOLDER`, `oss://bucket/prefix`, `s3://bucket/prefix`.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which protocol a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Alibaba Cloud OSS
    Oss,
    /// Amazon S3 and whatever is compatible
    S3,
}

impl Protocol {
    /// The URL's scheme.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oss => "oss",
            Self::S3 => "s3",
        }
    }
}

/// A bucket's URL, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// Its protocol.
    pub protocol: Protocol,
    /// The bucket's name.
    pub bucket: String,
    /// Key prefix without slashes around it; empty: the whole bucket.
    pub prefix: String,
    /// Its region; of `oss` left out: the region the job is at home in.
    pub region: Option<String>,
    /// Where it is served, `https://host[:port]`; left out: the region's public host.
    pub endpoint: Option<String>,
    /// How long a lock in it outlives its holder's last sign of life.
    pub lease: Duration,
}

/// Life of a lock without renewal. A holder renews three times in it; two failures in a row are
/// survived, and the next run after a killed one waits at most so long.
const LEASE: Duration = Duration::from_secs(120);

impl BucketUrl {
    /// The URL without its options: what people read.
    pub fn shown(&self) -> String {
        let Self {
            protocol, bucket, ..
        } = self;
        let scheme = protocol.as_str();
        if self.prefix.is_empty() {
            format!("{scheme}://{bucket}")
        } else {
            format!("{scheme}://{bucket}/{}", self.prefix)
        }
    }
}

/// Where a store or a state lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this host.
    Folder(PathBuf),
    /// Objects in a bucket.
    Bucket(BucketUrl),
}

impl Place {
    /// Reads a URL, or a plain path. Relative folders are relative to `base`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let path = match text.split_once(':') {
            Some(("file", path)) => path.strip_prefix("//").unwrap_or(path),
            Some(("oss", _)) => return bucket(text, Protocol::Oss).map(Self::Bucket),
            Some(("s3", _)) => return bucket(text, Protocol::S3).map(Self::Bucket),
            Some((scheme, _)) if scheme.len() > 1 && !scheme.contains('/') => {
                return Err(format!(
                    "\"{text}\" has an unknown scheme; use file:FOLDER, oss://BUCKET/PREFIX or s3://BUCKET/PREFIX"
                ));
            }
            _ => text,
        };
        if path.is_empty() {
            return Err(format!("\"{text}\" names no folder"));
        }
        Ok(Self::Folder(base.join(path)))
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(_) => None,
        }
    }

    /// As people read it.
    pub fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Bucket(url) => url.shown(),
        }
    }
}

fn bucket(text: &str, protocol: Protocol) -> Result<BucketUrl, String> {
    let form = format!("{}://BUCKET/PREFIX", protocol.as_str());
    let url = reqwest::Url::parse(text)
        .map_err(|why| format!("\"{text}\" is not a URL such as {form}: {why}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a storage URL holds no keys: they come from the credentials' own chain".to_owned(),
        );
    }
    if url.port().is_some() || url.fragment().is_some() {
        return Err(format!(
            "\"{text}\" must be {form}, with ?endpoint=... where it is served elsewhere"
        ));
    }
    let bucket = url.host_str().unwrap_or_default().to_owned();
    // Both services' rules for names; dots would break the certificates of virtual hosts.
    let named = (3..=63).contains(&bucket.len())
        && bucket
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !bucket.starts_with('-')
        && !bucket.ends_with('-');
    if !named {
        return Err(format!(
            "\"{bucket}\" cannot be a bucket's name: 3 to 63 small letters, digits and hyphens"
        ));
    }
    let prefix = url.path().trim_matches('/').to_owned();
    let plain = prefix.split('/').all(|part| {
        prefix.is_empty()
            || (!matches!(part, "" | "." | "..")
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')))
    });
    if !plain {
        return Err(format!(
            "the prefix \"{prefix}\" must be of letters, digits, hyphens, dots and underscores"
        ));
    }
    let mut out = BucketUrl {
        protocol,
        bucket,
        prefix,
        region: None,
        endpoint: None,
        lease: LEASE,
    };
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "region" => out.region = Some(region(&value)?),
            "endpoint" => out.endpoint = Some(endpoint(&value)?),
            "lease" => out.lease = lease(&value)?,
            other => {
                return Err(format!(
                    "\"{other}\" is not an option of a storage URL: region, endpoint, lease"
                ));
            }
        }
    }
    if protocol == Protocol::S3 && out.region.is_none() && out.endpoint.is_none() {
        return Err(format!(
            "\"{text}\" needs ?region=REGION, or ?endpoint=URL of a compatible service"
        ));
    }
    Ok(out)
}

fn region(text: &str) -> Result<String, String> {
    let plain = !text.is_empty()
        && text.len() <= 40
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not a region such as cn-hangzhou"))
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|why| format!("endpoint \"{text}\" is not a URL: {why}"))?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let loopback = url
        .host_str()
        .is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
    if !bare {
        return Err(format!("endpoint \"{text}\" must be https://HOST[:PORT]"));
    }
    if url.scheme() == "http" && !loopback {
        return Err(format!(
            "endpoint \"{text}\": plain http only to loopback; evidence and keys' signatures would travel in the clear"
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn lease(text: &str) -> Result<Duration, String> {
    text.strip_suffix('s')
        .and_then(|seconds| seconds.parse::<u64>().ok())
        .filter(|seconds| (2..=3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("lease \"{text}\" must be from 2s to 3600s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Place, String> {
        Place::parse(text, Path::new("/base"))
    }

    #[test]
    fn what_is_typed_is_what_is_meant() {
        assert_eq!(
            parse("file:./evidence"),
            Ok(Place::Folder("/base/./evidence".into()))
        );
        assert_eq!(parse("file:///var/x"), Ok(Place::Folder("/var/x".into())));
        let Ok(Place::Bucket(url)) =
            parse("oss://audit-bucket/team/sg?region=cn-hangzhou&lease=30s")
        else {
            panic!("not a bucket")
        };
        assert_eq!(url.shown(), "oss://audit-bucket/team/sg");
        assert_eq!(url.region.as_deref(), Some("cn-hangzhou"));
        assert_eq!(url.lease, Duration::from_secs(30));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, part) in [
            ("ftp://x/y", "unknown scheme"),
            ("oss://AB", "bucket's name"),
            ("oss://key:secret@bucket/x", "no keys"),
            ("oss://bucket/a//b", "prefix"),
            ("oss://bucket/a?regoin=x", "\"regoin\" is not an option"),
            ("s3://bucket/a", "needs ?region"),
            (
                "s3://bucket/a?endpoint=http://minio.example.com",
                "plain http",
            ),
            ("oss://bucket/a?lease=1s", "from 2s"),
            ("file:", "names no folder"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
