//! `plan`: what a run would change, for people who approve in between.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::config::{Schedule, packs};
use crate::evidence::format::{PolicyText, canonical, sha256};
use crate::evidence::seal::write_synced;
use crate::job::{self, Job};
use crate::policy::remediation::Mode;
use crate::remedy::RemediationPlan;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How old a plan may be when it is carried out: the groups are read again in any case.
const PLAN_LIFE: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// Schema of the plan's file.
const SCHEMA: &str = "sgwarden/plan/1";

/// How a plan's policy texts name the waivers' file.
const WAIVERS: &str = "waivers ";

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The schedule whose policy and guards decide
    #[arg(long, value_name = "FILE")]
    schedule: PathBuf,
    /// Where to write the plan
    #[arg(long, default_value = "plan.json", value_name = "FILE")]
    out: PathBuf,
}

/// A plan on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlanFile {
    schema: String,
    /// The run whose evidence has the readings.
    pub(super) run: String,
    made_at: String,
    not_after: String,
    pub(super) account: String,
    /// The schedule's file, as it was named.
    pub(super) schedule: String,
    /// The policy in full.
    policy: Vec<PolicyText>,
    pub(super) plan: RemediationPlan,
    /// Of the canonical JSON of all the above.
    pub(super) sha256: String,
}

impl PlanFile {
    fn digest(&self) -> Result<String, Failure> {
        let mut value =
            serde_json::to_value(self).map_err(|why| Failure::start(why.to_string()))?;
        if let Some(object) = value.as_object_mut() {
            object.remove("sha256");
        }
        let bytes = canonical("the plan", &value)?;
        Ok(sha256(&bytes).as_str().to_owned())
    }

    /// Reads a plan that may be carried out. Its schedule's text is returned with it, out of the schedule's
    /// file: that is the one it was made by, and a plan keeps no secret of it.
    pub(super) fn read(
        path: &std::path::Path,
        base: &std::path::Path,
        now: DateTime<Utc>,
    ) -> Result<(Self, String), Failure> {
        let named = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|why| Failure::usage(format!("cannot read {named}: {why}")))?;
        let plan: Self = serde_json::from_str(&text)
            .map_err(|why| Failure::usage(format!("{named} is no plan of this version: {why}")))?;
        if plan.schema != SCHEMA {
            return Err(Failure::usage(format!(
                "{named} has schema \"{}\", not {SCHEMA}",
                plan.schema
            )));
        }
        if plan.digest()? != plan.sha256 {
            return Err(Failure::usage(format!(
                "{named} was edited after it was made; make a new plan (narrow it by the schedule)"
            )));
        }
        let until = plan.not_after.parse::<DateTime<Utc>>();
        if until.is_err() || until.is_ok_and(|until| now > until) {
            return Err(Failure::usage(format!(
                "{named} was made at {} and is too old; make a new one",
                plan.made_at
            )));
        }
        for policy in plan.policy.iter().skip(1) {
            if policy.name.starts_with(WAIVERS) {
                continue;
            }
            let own = policy
                .name
                .strip_prefix("pack ")
                .and_then(|pack| packs::text_of(pack, base).ok());
            if own.is_none_or(|own| own != policy.text) {
                return Err(Failure::usage(format!(
                    "{named} was made with another {}: the group would be judged otherwise now; make a \
                     new plan",
                    policy.name
                )));
            }
        }
        let now = std::fs::read_to_string(&plan.schedule).map_err(|why| {
            Failure::usage(format!(
                "{named} was made by {}, which cannot be read any more, so it is not known whether the \
                 policy is still the same: {why}",
                plan.schedule
            ))
        })?;
        let then = plan.policy.first().map(PolicyText::decided_sha256);
        if then != Some(&sha256(now.as_bytes())) {
            return Err(Failure::usage(format!(
                "{} has changed since {named} was made; make a new plan",
                plan.schedule
            )));
        }
        Ok((plan, now))
    }

    /// Whether the waivers are still those that the plan was made with.
    pub(super) fn same_waivers(&self, schedule: &Schedule) -> Result<(), Failure> {
        let then = self
            .policy
            .iter()
            .find(|text| text.name.starts_with(WAIVERS));
        let now = schedule.waivers.file().map(job::waivers_text);
        if then == now.as_ref() {
            return Ok(());
        }
        Err(Failure::usage(
            "the waivers have changed since the plan was made: what is exposed may be approved now, or no \
             longer; make a new plan",
        ))
    }
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let (program, mut schedule) = setup::program_and_schedule(global, &self.schedule)?;
        schedule.remediation.mode = Mode::Plan;
        let text = schedule.text.clone();
        let packs = schedule.packs.clone();
        let waivers = schedule.waivers.file().map(job::waivers_text);
        let tools = setup::tools(global, &program, false).await?;
        let job = Job {
            command: "plan".to_owned(),
            schedule,
            copies: None,
        };
        let outcome = job::run(&job, &tools).await?;
        let exit = Exit::of(&outcome, None);
        let now = Utc::now();
        let stamp = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut policy = vec![job::schedule_text(
            self.schedule.display().to_string(),
            &text,
        )];
        for pack in packs {
            policy.push(PolicyText::new(format!("pack {}", pack.name), pack.text));
        }
        policy.extend(waivers);
        let mut file = PlanFile {
            schema: SCHEMA.to_owned(),
            run: outcome.sealed.run.as_str().to_owned(),
            made_at: stamp(now),
            not_after: stamp(now.checked_add_signed(PLAN_LIFE).unwrap_or(now)),
            account: outcome.record.header.identity.account.as_str().to_owned(),
            schedule: std::path::absolute(&self.schedule)
                .unwrap_or_else(|_| self.schedule.clone())
                .display()
                .to_string(),
            policy,
            plan: outcome.plan.clone(),
            sha256: String::new(),
        };
        file.sha256 = file.digest()?;
        let mut bytes =
            serde_json::to_vec_pretty(&file).map_err(|why| Failure::start(why.to_string()))?;
        bytes.push(b'\n');
        // An edited plan can carry a fresh digest of its own: the state knows which ones were made here.
        tools.state.remember_plan(&file.sha256)?;
        write_synced(&self.out, &bytes)?;
        show::planned(global, &outcome, &self.out, exit);
        Ok(exit)
    }
}
