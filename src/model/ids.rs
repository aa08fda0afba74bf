//! Identifiers. All are text: account ids have 16 digits and would not survive a double.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// An Alibaba Cloud account, 16 digits.
    AccountId
);
text_id!(
    /// A region, such as `cn-hangzhou`.
    RegionId
);
text_id!(
    /// A security group, `sg-...`.
    GroupId
);
text_id!(
    /// A run: `YYYYMMDDTHHMMSSZ-<schedule>-<6 hex>`.
    RunId
);
text_id!(
    /// A SHA-256 digest, 64 lower-case hexadecimal digits.
    Sha256
);

impl RunId {
    /// The id of a run of `name` that began at `at`; `salt` makes it unique.
    pub fn make(at: chrono::DateTime<chrono::Utc>, name: &str, salt: [u8; 3]) -> Self {
        let [a, b, c] = salt;
        Self(format!(
            "{}-{name}-{a:02x}{b:02x}{c:02x}",
            at.format("%Y%m%dT%H%M%SZ")
        ))
    }

    /// The schedule (or command) the id names; `None` where it is not one of our ids.
    pub fn name(&self) -> Option<&str> {
        let (time, rest) = self.0.split_once('-')?;
        let (name, salt) = rest.rsplit_once('-')?;
        let time_ok = time.len() == 16
            && time.ends_with('Z')
            && time
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'T' || b == b'Z');
        let salt_ok = salt.len() == 6 && salt.bytes().all(|b| b.is_ascii_hexdigit());
        (time_ok && salt_ok && !name.is_empty()).then_some(name)
    }
}
