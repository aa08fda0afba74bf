//! `simulate`: serves the simulated cloud over HTTP.

use super::exit::{Exit, Failure};
use super::{Global, show};
use crate::sim::{Cloud, Fault, Options, SeedOptions, World};
use clap::Args;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Address to serve on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
    /// A world out of a JSON file [default: the demo's world]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["groups", "rules", "regions", "accounts", "seed"])]
    world: Option<PathBuf>,
    /// A world by seed: groups in all
    #[arg(long, value_name = "N")]
    groups: Option<u64>,
    /// By seed: rules of a group
    #[arg(long, value_name = "N")]
    rules: Option<u32>,
    /// By seed: regions
    #[arg(long, value_name = "N")]
    regions: Option<u8>,
    /// By seed: accounts
    #[arg(long, value_name = "N")]
    accounts: Option<u8>,
    /// By seed: the seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Something that goes wrong, such as "DescribeSecurityGroups@cn-shanghai=Forbidden.RAM"; repeatable
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<String>,
    /// The server's clock less this machine's, in seconds
    #[arg(
        long,
        default_value_t = 0,
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    clock_offset: i64,
    /// Write address and keys there too, as JSON
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Simulate {
    fn build(&self) -> Result<World, Failure> {
        if let Some(file) = &self.world {
            let text = std::fs::read_to_string(file)
                .map_err(|why| Failure::usage(format!("cannot read {}: {why}", file.display())))?;
            return World::from_json(&text)
                .map_err(|why| Failure::usage(format!("{}: {why}", file.display())));
        }
        let seeded = self.groups.is_some()
            || self.rules.is_some()
            || self.regions.is_some()
            || self.accounts.is_some()
            || self.seed.is_some();
        if !seeded {
            return Ok(World::demo());
        }
        let default = SeedOptions::default();
        Ok(World::seeded(SeedOptions {
            groups: self.groups.unwrap_or(default.groups),
            rules: self.rules.unwrap_or(default.rules),
            regions: self.regions.unwrap_or(default.regions),
            accounts: self.accounts.unwrap_or(default.accounts),
            seed: self.seed.unwrap_or(default.seed),
        }))
    }

    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let world = self.build()?;
        let mut faults = Vec::new();
        for text in &self.faults {
            faults.push(
                Fault::parse(text)
                    .map_err(|why| Failure::usage(format!("--fault {text}: {why}")))?,
            );
        }
        let options = Options {
            listen: self.listen,
            clock_offset: chrono::Duration::try_seconds(self.clock_offset)
                .ok_or_else(|| Failure::usage("--clock-offset is too large"))?,
            ..Options::default()
        };
        let cloud = Cloud::start(world, options)
            .await
            .map_err(|why| Failure::start(format!("cannot serve on {}: {why}", self.listen)))?;
        for fault in faults {
            cloud.add_fault(fault);
        }
        let keys = cloud.keys();
        let value = json!({
            "endpoint": cloud.url(),
            "keys": keys.iter().map(|key| json!({
                "access_key_id": key.access_key_id,
                "access_key_secret": key.access_key_secret,
                "security_token": key.security_token,
                "account": key.account,
                "arn": key.arn,
            })).collect::<Vec<_>>(),
        });
        let mut lines = vec![format!("export SGWARDEN_ENDPOINT={}", cloud.url())];
        for key in &keys {
            lines.push(format!("# account {}, {}", key.account, key.arn));
            lines.push(format!(
                "export ALIBABA_CLOUD_ACCESS_KEY_ID={}",
                key.access_key_id
            ));
            lines.push(format!(
                "export ALIBABA_CLOUD_ACCESS_KEY_SECRET={}",
                key.access_key_secret
            ));
        }
        lines.push("# serving until interrupted".to_owned());
        if let Some(file) = &self.write {
            std::fs::write(file, value.to_string())
                .map_err(|why| Failure::start(format!("cannot write {}: {why}", file.display())))?;
        }
        show::answer(global, &value, &lines);
        let _ = tokio::signal::ctrl_c().await;
        cloud.stop().await;
        Ok(Exit::Done)
    }
}
