//! What a client is told once.

use super::accounts::AccountRole;
use super::sign::Version;
use std::time::Duration;

/// Whose site the accounts are on: it decides the hosts of services that are not regional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Site {
    /// aliyun.com
    #[default]
    China,
    /// alibabacloud.com
    International,
}

/// From where the hosts are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// From anywhere.
    #[default]
    Public,
    /// From inside a VPC: such hosts answer in their own region only.
    Vpc,
}

/// Settings of a [`super::Client`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Every service there, such as `http://127.0.0.1:8080`; without a scheme it is HTTPS.
    pub endpoint: Option<String>,
    /// Hosts of Cloud Config and Resource Directory.
    pub site: Site,
    /// Public hosts, or those inside a VPC.
    pub network: Network,
    /// The region of calls that are not regional.
    pub home_region: String,
    /// The role that is assumed in every account but that of the keys.
    pub role: Option<AccountRole>,
    /// How to sign.
    pub signature: Version,
    /// Requests under way at once, at least 1.
    pub max_in_flight: usize,
    /// Times and sizes.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            site: Site::default(),
            network: Network::default(),
            home_region: "cn-hangzhou".to_owned(),
            role: None,
            signature: Version::default(),
            max_in_flight: 64,
            limits: Limits::default(),
        }
    }
}

/// How long and how much; tests shorten them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// To connect, TLS included. The SDKs' own default.
    pub connect: Duration,
    /// From sending to the head of the answer, connecting included. The SDKs wait 10 s for a read;
    /// a page of 1000 rules has been seen to take longer.
    pub first_byte: Duration,
    /// One attempt, its body included.
    pub whole_call: Duration,
    /// All silence of one call, waits between attempts included; below two minutes.
    pub silence_budget: Duration,
    /// The same for failing to connect as long as no host has answered at all: a wrong endpoint
    /// should be told soon.
    pub first_contact: Duration,
    /// While a region's action is not answered at all: between two calls that try it all the same.
    pub probe_gap: Duration,
    /// First wait after silence; doubles.
    pub silence_first_wait: Duration,
    /// Longest wait after silence.
    pub silence_longest_wait: Duration,
    /// All throttling of one call.
    pub throttle_budget: Duration,
    /// First wait after a refusal for throttling; doubles.
    pub throttle_first_wait: Duration,
    /// Refusals in a row after which the rest of the service's window is waited for.
    pub throttle_patience: u32,
    /// The service counts calls in windows of this length, aligned to its own clock
    /// (help page "API throttling": fixed minutes).
    pub throttle_window: Duration,
    /// The most that a wait the service asks for is honoured.
    pub retry_after_cap: Duration,
    /// Gap between calls of one (account, region, action) after its first refusal; doubles.
    pub pace_first: Duration,
    /// The longest such gap: "probe at 1 per second", says the help page.
    pub pace_slowest: Duration,
    /// Times an answer that cannot be read is asked for again.
    pub bad_answers: u32,
    /// Bytes of one answer. 1000 rules are under 1 MiB.
    pub body: usize,
    /// Our clock's distance from the service's, beyond which nothing is done: the service itself
    /// refuses signatures beyond 15 minutes.
    pub clock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(20),
            whole_call: Duration::from_secs(40),
            silence_budget: Duration::from_secs(110),
            first_contact: Duration::from_secs(20),
            probe_gap: Duration::from_secs(30),
            silence_first_wait: Duration::from_millis(200),
            silence_longest_wait: Duration::from_secs(8),
            throttle_budget: Duration::from_secs(300),
            throttle_first_wait: Duration::from_millis(500),
            throttle_patience: 4,
            throttle_window: Duration::from_secs(60),
            retry_after_cap: Duration::from_secs(60),
            pace_first: Duration::from_millis(100),
            pace_slowest: Duration::from_secs(1),
            bad_answers: 2,
            body: 32 << 20,
            clock: Duration::from_secs(900),
        }
    }
}
