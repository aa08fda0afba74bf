//! `schedules/NAME.toml`: what to read, how to judge it, whom to tell.

use super::address::{self, Heartbeat};
use super::checks;
use super::packs::{self, NoPack, Pack};
use super::program::is_region;
use super::reader::{Placed, Problem, Source, Table};
use super::waivers::Waiving;
use crate::exposure::Internet;
use crate::exposure::narrow::Keep;
use crate::host::next_fire::Cron;
use crate::model::{AccountId, Language, RegionId, Route, Severity, Tag, WebhookKind};
use crate::policy::remediation::{Mode, Protect, Remediation, Window};
use crate::policy::{Check, MinPublic};
use chrono_tz::Tz;
use std::path::{Path, PathBuf};

/// Whose groups are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Accounts {
    /// Those of the account that the keys are of.
    #[default]
    Own,
    /// Those of every account of the resource directory.
    Directory,
    /// Those of these accounts.
    Listed(Vec<AccountId>),
}

impl Accounts {
    /// Whether a role must be assumed for certain; of a single account that is listed only the service
    /// knows.
    pub fn needs_role(&self) -> bool {
        match self {
            Self::Own => false,
            Self::Directory => true,
            Self::Listed(accounts) => accounts.len() > 1,
        }
    }
}

/// What is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeConfig {
    /// Whose.
    pub accounts: Accounts,
    /// `None`: all.
    pub regions: Option<Vec<String>>,
    /// Left out.
    pub exclude_regions: Vec<String>,
    /// `None`: every group.
    pub groups: Option<Vec<String>>,
    /// Globs; one must match, where there are any.
    pub names: Vec<String>,
    /// All must be there.
    pub tags: Vec<Tag>,
    /// Left out, and named in every report.
    pub exclude_groups: Vec<String>,
    /// Whether `groups` may be gone: those of an event. No key of a schedule.
    pub may_be_gone: bool,
}

impl ScopeConfig {
    /// Whether nothing narrows the groups: then one that is not listed is gone.
    pub fn is_every_group(&self) -> bool {
        self.groups.is_none()
            && self.names.is_empty()
            && self.tags.is_empty()
            && self.exclude_groups.is_empty()
    }

    /// Whether it is empty on purpose, which no schedule's file can say: an event asked about something
    /// that is none of the schedule's.
    pub fn is_nothing(&self) -> bool {
        self.regions.as_ref().is_some_and(Vec::is_empty)
    }
}

/// When a letter is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Every time.
    #[default]
    Always,
    /// There are findings.
    Findings,
    /// There are findings that the last run did not have.
    New,
    /// Something was changed.
    Changes,
    /// Something went wrong.
    Failures,
}

impl When {
    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Findings => "findings",
            Self::New => "new",
            Self::Changes => "changes",
            Self::Failures => "failures",
        }
    }
}

/// `[[mail]]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailConfig {
    /// Recipients.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Whom answers go to.
    pub reply_to: Option<String>,
    /// When.
    pub when: When,
    /// Formats to attach.
    pub attach: Vec<String>,
    /// The only part they hear of; `None`: all.
    pub route: Option<Route>,
}

/// `[[webhook]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Whose form the message has.
    pub kind: WebhookKind,
    /// The file with the address; relative to the folder of `sgwarden.toml`.
    pub url_file: PathBuf,
    /// When.
    pub when: When,
    /// The only part it tells of; `None`: all.
    pub route: Option<Route>,
}

/// A schedule with its defaults.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its file's stem.
    pub name: String,
    /// Its file, as it was named to us; `None` where its text came from elsewhere.
    pub file: Option<String>,
    /// Its text as it was read; evidence keeps it without secrets ([`address::kept`]).
    pub text: String,
    /// When it is due; `None` where the file says nothing (only `run --schedule` starts it).
    pub cron: Option<Cron>,
    /// The zone of times that people read.
    pub timezone: Tz,
    /// What is read.
    pub scope: ScopeConfig,
    /// The checks of its packs, then its own.
    pub checks: Vec<Check>,
    /// The packs.
    pub packs: Vec<Pack>,
    /// Networks that do not count as internet.
    pub trusted: Vec<String>,
    /// What was approved. Read with [`super::waivers::attach`]: `read` sees the schedule's text only.
    pub waivers: Waiving,
    /// Whether ActionTrail is asked who opened what is exposed.
    pub attribution: bool,
    /// What it may do about findings.
    pub remediation: Remediation,
    /// Report formats.
    pub formats: Vec<String>,
    /// Language of reports and letters.
    pub language: Language,
    /// Letters.
    pub mails: Vec<MailConfig>,
    /// Messages into chats.
    pub webhooks: Vec<WebhookConfig>,
    /// Called after a run that ended 0, 1 or 3.
    pub heartbeat: Option<Heartbeat>,
}

/// The formats a report can have.
pub const FORMATS: [&str; 4] = ["csv", "xlsx", "html", "json"];

impl Schedule {
    /// What `scan` does without a schedule.
    pub fn defaults(name: &str) -> Self {
        // The pack ships with the program and a test reads it.
        let pack = packs::named("risky-ports", Path::new(".")).ok();
        Self {
            name: name.to_owned(),
            file: None,
            text: String::new(),
            cron: None,
            timezone: Tz::UTC,
            scope: ScopeConfig::default(),
            checks: pack.iter().flat_map(|pack| pack.checks.clone()).collect(),
            packs: pack.into_iter().collect(),
            trusted: Vec::new(),
            waivers: Waiving::None,
            attribution: false,
            remediation: Remediation::default(),
            formats: vec!["csv".to_owned(), "xlsx".to_owned()],
            language: Language::En,
            mails: Vec::new(),
            webhooks: Vec::new(),
            heartbeat: None,
        }
    }

    /// Reads a schedule's text. `file` is what to call it, `name` its stem.
    ///
    /// # Errors
    /// All its problems.
    pub fn read(file: &str, name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        Self::read_in(Path::new("."), file, name, text)
    }

    /// The same, with the folder that paths in it are relative to.
    ///
    /// # Errors
    /// All its problems, and those of the files it names.
    pub fn read_in(base: &Path, file: &str, name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut elsewhere = Vec::new();
        let source = Source::new(file, text);
        let parsed = source.parse();
        let top = Table::top(&source, &parsed);
        let mut out = Self::defaults(name);
        text.clone_into(&mut out.text);
        if !is_name(name) {
            source.problem(
                0..0,
                "",
                format!("a schedule's name becomes part of file names: \"{name}\" must be letters, digits, hyphens and underscores, at most 64, and no command such as scan"),
            );
        }
        let cron = top.text("cron");
        if let Some(cron) = &cron {
            match Cron::parse(&cron.value) {
                Ok(read) => out.cron = Some(read),
                Err(why) => top.problem(cron, why),
            }
        }
        let own_zone = out.cron.as_ref().and_then(Cron::zone);
        if let Some(zone) = top.text("timezone") {
            match zone.value.parse::<Tz>() {
                Ok(read) => out.timezone = read,
                Err(_) => top.problem(
                    &zone,
                    format!(
                        "\"{}\" is no IANA time zone such as Asia/Taipei",
                        zone.value
                    ),
                ),
            }
        }
        match (own_zone, &cron) {
            (Some(own), Some(cron)) if top.has("timezone") && own != out.timezone => top.problem(
                cron,
                format!(
                    "CRON_TZ={own} and timezone = \"{}\" differ: name the zone once",
                    out.timezone
                ),
            ),
            (Some(own), _) => out.timezone = own,
            (None, _) => {}
        }
        if let Some(table) = top.table("scope") {
            read_scope(&table, &mut out.scope);
            table.finish();
        }
        if let Some(table) = top.table("policy") {
            read_policy(&table, &mut out, base, &mut elsewhere);
            table.finish();
        }
        if let Some(table) = top.table("remediation") {
            read_remediation(&table, &mut out);
            table.finish();
        }
        if let Some(table) = top.table("report") {
            read_report(&table, &mut out);
            table.finish();
        }
        for table in top.tables("mail") {
            let mail = read_mail(&table, &out.formats);
            out.mails.push(mail);
            table.finish();
        }
        for table in top.tables("webhook") {
            out.webhooks.extend(read_webhook(&table));
            table.finish();
        }
        if let Some(table) = top.table("heartbeat") {
            out.heartbeat = address::heartbeat(&table);
            table.finish();
        }
        top.finish();
        if source.is_clean() && elsewhere.is_empty() {
            Ok(out)
        } else {
            let mut problems = source.into_problems();
            problems.extend(elsewhere);
            Err(problems)
        }
    }

    /// Whether nothing is left out of the account.
    pub fn reads_everything(&self) -> bool {
        self.scope.is_every_group()
            && self.scope.regions.is_none()
            && self.scope.exclude_regions.is_empty()
    }
}

/// Names of runs that no schedule makes: each has a chain of its own.
const COMMANDS: [&str; 3] = ["scan", "apply", "rollback"];

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !COMMANDS.contains(&name)
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn each(
    table: &Table<'_, '_>,
    key: &str,
    ok: impl Fn(&str) -> bool,
    what: &str,
) -> Option<Vec<String>> {
    let texts = table.texts(key)?;
    Some(
        texts
            .into_iter()
            .filter(|text| {
                let fine = ok(&text.value);
                if !fine {
                    table.problem(text, format!("\"{}\" is no {what}", text.value));
                }
                fine
            })
            .map(|text| text.value)
            .collect(),
    )
}

/// Whether a text could be a security group's id.
pub fn is_group(text: &str) -> bool {
    text.starts_with("sg-")
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn read_scope(table: &Table<'_, '_>, scope: &mut ScopeConfig) {
    let only = |key: &str, word: &str| -> Option<Placed<String>> {
        if !table.is_text(key) {
            return None;
        }
        let text = table.text(key)?;
        (text.value != word).then_some(text)
    };
    if let Some(text) = only("accounts", "self") {
        if text.value == "resource-directory" {
            scope.accounts = Accounts::Directory;
        } else {
            table.problem(
                &text,
                format!(
                    "\"{}\" must be \"self\", \"resource-directory\" or a list of account ids",
                    text.value
                ),
            );
        }
    }
    if !table.is_text("accounts")
        && let Some(listed) = each(table, "accounts", is_account, "account id of 16 digits")
    {
        table.never_empty(
            "accounts",
            "an empty list reads nothing; leave the key out for one's own",
        );
        let mut accounts: Vec<AccountId> = listed.into_iter().map(AccountId::new).collect();
        accounts.sort();
        accounts.dedup();
        scope.accounts = Accounts::Listed(accounts);
    }
    if let Some(text) = only("regions", "all") {
        table.problem(
            &text,
            format!("\"{}\" must be \"all\" or a list of region ids", text.value),
        );
    }
    if !table.is_text("regions") {
        scope.regions = each(table, "regions", is_region, "region id such as cn-hangzhou");
        table.never_empty(
            "regions",
            "an empty list reads nothing; leave the key out for all",
        );
    }
    scope.exclude_regions = each(
        table,
        "exclude_regions",
        is_region,
        "region id such as cn-hangzhou",
    )
    .unwrap_or_default();
    scope.exclude_groups = each(
        table,
        "exclude_groups",
        is_group,
        "group id such as sg-bp1...",
    )
    .unwrap_or_default();
    if let Some(groups) = table.table("groups") {
        // A list that came out empty must not mean the whole estate.
        let empty = "an empty list reads nothing; leave `groups` out for every group";
        let names = each(&groups, "names", |name| !name.is_empty(), "name or glob");
        groups.never_empty("names", empty);
        scope.names = names.unwrap_or_default();
        if let Some(tags) = groups.table("tags") {
            scope.tags = tags
                .entries()
                .into_iter()
                .map(|(key, value)| Tag {
                    key,
                    value: value.value,
                })
                .collect();
            groups.never_empty("tags", empty);
        }
        table.never_empty("groups", empty);
        // Without one of the two it has keys that nobody knows, which is said here.
        groups.finish();
    }
}

fn read_policy(
    table: &Table<'_, '_>,
    out: &mut Schedule,
    base: &Path,
    elsewhere: &mut Vec<Problem>,
) {
    let mut source_clean = true;
    if let Some(names) = table.texts("packs") {
        out.checks.clear();
        out.packs.clear();
        for name in &names {
            if out.packs.iter().any(|pack| pack.name == name.value) {
                table.problem(name, format!("pack \"{}\" is named twice", name.value));
                continue;
            }
            match packs::named(&name.value, base) {
                Ok(pack) => out.packs.push(pack),
                Err(why) => {
                    source_clean = false;
                    match why {
                        NoPack::Name(why) => table.problem(name, why),
                        NoPack::Problems(problems) => elsewhere.extend(problems),
                    }
                }
            }
        }
        match packs::unite(&out.packs) {
            Ok(checks) => out.checks = checks,
            Err(differing) => {
                source_clean = false;
                for (pack, what) in differing {
                    if let Some(name) = names.iter().find(|name| name.value == pack) {
                        table.problem(name, what);
                    }
                }
            }
        }
    }
    for own in table.tables("check") {
        if let Some(check) = checks::read(&own) {
            if out.checks.iter().any(|other| other.id == check.id)
                && let Some(id) = own.text("id")
            {
                own.problem(&id, format!("there is already a check \"{}\"", check.id));
            }
            out.checks.push(check);
        } else {
            source_clean = false;
        }
        own.finish();
    }
    if let Some(trusted) = table.texts("trusted") {
        for network in trusted {
            match Internet::less_trusted(std::slice::from_ref(&network.value)) {
                Ok(_) => out.trusted.push(network.value),
                Err(why) => table.problem(&network, why),
            }
        }
    }
    if let Some(file) = table.text("waivers") {
        if file.value.trim().is_empty() {
            table.problem(&file, "must be a file's name such as waivers.toml");
        } else {
            out.waivers = Waiving::Named(file.value);
        }
    }
    if let Some(flag) = table.flag("attribution") {
        out.attribution = flag.value;
    }
    // Every key of the table was taken: one that is left is misspelt, said so, and may be the check.
    if out.checks.is_empty() && source_clean && !table.has_unknown() {
        table.missing("packs", "no check is left to judge by");
    }
}

fn read_remediation(table: &Table<'_, '_>, out: &mut Schedule) {
    let settings = &mut out.remediation;
    if let Some(mode) = table.text("mode") {
        match mode.value.as_str() {
            "off" => settings.mode = Mode::Off,
            "plan" => settings.mode = Mode::Plan,
            "revoke" => settings.mode = Mode::Revoke,
            "narrow" => {
                settings.mode = Mode::Narrow;
                settings.narrow = true;
            }
            other => {
                table.problem(
                    &mode,
                    format!("\"{other}\" must be off, plan, revoke or narrow"),
                );
            }
        }
    }
    if table.is_text("revoke_min") {
        // "any" would let every rule through that lets in one address: say so in figures.
        if let Some(text) = table.text("revoke_min") {
            table.problem(&text, "must be { ipv4 = \"/8\", ipv6 = \"/16\" }");
        }
    } else {
        let default = MinPublic {
            ipv4: Some(8),
            ipv6: Some(16),
        };
        if let Some(least) = checks::read_min_public(table, "revoke_min", default) {
            settings.revoke_min = least;
        }
    }
    if let Some(text) = table.text("overbroad") {
        let words = |word: &str| match word {
            "hold" => Some(true),
            "revoke" => Some(false),
            _ => None,
        };
        if let Some(hold) = checks::parsed(table, &text, words, "hold or revoke") {
            settings.hold_overbroad = hold;
        }
    }
    if let Some(text) = table.text("grace") {
        match parse_span(&text.value) {
            Some(span) => settings.grace = span,
            None => table.problem(
                &text,
                format!("\"{}\" must be a time such as 7d, 12h or 0d", text.value),
            ),
        }
    }
    if let Some(number) = table.count("max_changes") {
        settings.max_changes = number.value;
    }
    if let Some(text) = table.text("max_share") {
        let percent = text
            .value
            .strip_suffix('%')
            .and_then(|digits| digits.parse::<u64>().ok());
        match percent {
            Some(percent @ 0..=100) => settings.max_share_percent = percent,
            _ => table.problem(
                &text,
                format!("\"{}\" must be a share such as 10%", text.value),
            ),
        }
    }
    if let Some(windows) = table.texts("windows") {
        table.never_empty(
            "windows",
            "an empty list is no time at all; leave the key out for any time",
        );
        for text in windows {
            match Window::parse(&text.value) {
                Some(window) => settings.windows.push(window),
                None => table.problem(
                    &text,
                    format!(
                        "\"{}\" must be a window such as Mon-Fri 01:00-05:00",
                        text.value
                    ),
                ),
            }
        }
    }
    if let Some(inner) = table.table("protect") {
        read_protect(&inner, &mut settings.protect);
        inner.finish();
    }
    if let Some(number) = table.count("canary") {
        settings.canary = number.value;
    }
    if let Some(text) = table.text("config_rule") {
        let fine = text.value.starts_with("cr-")
            && text
                .value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fine {
            settings.config_rule = Some(text.value);
        } else {
            table.problem(&text, "must be a Cloud Config rule's id such as cr-...");
        }
    }
    if let Some(networks) = table.texts("keep") {
        settings.keep.clear();
        for network in networks {
            match Keep::read(std::slice::from_ref(&network.value)) {
                Ok(_) => settings.keep.push(network.value),
                Err(why) => table.problem(&network, why),
            }
        }
    }
}

fn read_protect(table: &Table<'_, '_>, protect: &mut Protect) {
    if let Some(tags) = table.table("tags") {
        // Beside `sgwarden = keep`, which stays: who tagged a group so relies on it.
        let more = tags.entries().into_iter().map(|(key, value)| Tag {
            key,
            value: value.value,
        });
        for tag in more {
            if !protect.tags.contains(&tag) {
                protect.tags.push(tag);
            }
        }
    }
    if let Some(groups) = each(table, "groups", is_group, "group id such as sg-bp1...") {
        protect.groups = groups.into_iter().map(crate::model::GroupId::new).collect();
    }
    let is_network = |text: &str| crate::exposure::set::parse_any_cidr(text).is_some();
    if let Some(sources) = each(table, "sources", is_network, "address or network") {
        protect.sources = sources;
    }
}

/// `7d`, `12h`, `30m`, `0d`.
pub fn parse_span(text: &str) -> Option<chrono::TimeDelta> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<i64>().ok()?;
    match unit {
        'd' => chrono::TimeDelta::try_days(number),
        'h' => chrono::TimeDelta::try_hours(number),
        'm' => chrono::TimeDelta::try_minutes(number),
        _ => None,
    }
}

fn read_report(table: &Table<'_, '_>, out: &mut Schedule) {
    let is_format = |text: &str| FORMATS.contains(&text);
    if let Some(formats) = each(
        table,
        "formats",
        is_format,
        "format: csv, xlsx, html or json",
    ) {
        out.formats = formats;
    }
    if let Some(language) = table.text("language") {
        match language.value.as_str() {
            "en" => out.language = Language::En,
            "zh-CN" => out.language = Language::ZhCn,
            "zh-TW" => out.language = Language::ZhTw,
            other => table.problem(&language, format!("\"{other}\" must be en, zh-CN or zh-TW")),
        }
    }
}

fn read_mail(table: &Table<'_, '_>, formats: &[String]) -> MailConfig {
    let address = |text: &str| text.parse::<lettre::message::Mailbox>().is_ok();
    let addresses = |key: &str| each(table, key, address, "mail address").unwrap_or_default();
    let mut mail = MailConfig {
        to: addresses("to"),
        cc: addresses("cc"),
        attach: formats
            .iter()
            .filter(|format| *format != "json")
            .cloned()
            .collect(),
        ..MailConfig::default()
    };
    if mail.to.is_empty() && table.texts("to").is_none_or(|to| to.is_empty()) {
        table.missing("to", "at least one address");
    }
    if let Some(text) = table.text("reply_to") {
        if address(&text.value) {
            mail.reply_to = Some(text.value);
        } else {
            table.problem(&text, format!("\"{}\" is no mail address", text.value));
        }
    }
    mail.when = read_when(table);
    let known = |text: &str| formats.iter().any(|format| format == text);
    if let Some(attach) = each(table, "attach", known, "format that [report] formats makes") {
        mail.attach = attach;
    }
    mail.route = read_narrowing(table);
    mail
}

fn read_when(table: &Table<'_, '_>) -> When {
    let words = |word: &str| match word {
        "always" => Some(When::Always),
        "findings" => Some(When::Findings),
        "new" => Some(When::New),
        "changes" => Some(When::Changes),
        "failures" => Some(When::Failures),
        _ => None,
    };
    let what = "always, findings, new, changes or failures";
    table
        .text("when")
        .and_then(|when| checks::parsed(table, &when, words, what))
        .unwrap_or_default()
}

/// A route, where it leaves anything out.
fn read_narrowing(table: &Table<'_, '_>) -> Option<Route> {
    let inner = table.table("route")?;
    let route = read_route(&inner);
    inner.finish();
    (!route.is_everything()).then_some(route)
}

fn read_webhook(table: &Table<'_, '_>) -> Option<WebhookConfig> {
    let need = |key: &str, what: &str| {
        if !table.has(key) {
            table.missing(key, what);
        }
    };
    let words = "dingtalk, feishu, wecom, slack or generic";
    need("kind", words);
    let kind = (table.text("kind"))
        .and_then(|text| checks::parsed(table, &text, WebhookKind::parse, words));
    need(
        "url_file",
        "a file with the address: it is a secret, and the schedule is kept in the evidence",
    );
    let url_file = address::file(table);
    let (when, route) = (read_when(table), read_narrowing(table));
    Some(WebhookConfig {
        kind: kind?,
        url_file: PathBuf::from(url_file?.value),
        when,
        route,
    })
}

fn read_route(table: &Table<'_, '_>) -> Route {
    let mut route = Route::default();
    if let Some(tags) = table.table("tags") {
        route.tags = tags
            .entries()
            .into_iter()
            .map(|(key, value)| Tag {
                key,
                value: value.value,
            })
            .collect();
    }
    if let Some(accounts) = each(table, "accounts", is_account, "account id of 16 digits") {
        route.accounts = accounts.into_iter().map(AccountId::new).collect();
    }
    if let Some(regions) = each(table, "regions", is_region, "region id such as cn-hangzhou") {
        route.regions = regions.into_iter().map(RegionId::new).collect();
    }
    if let Some(text) = table.text("severity") {
        let what = "critical, high, medium or low";
        route.severity = checks::parsed(table, &text, Severity::parse, what);
    }
    route
}

/// Whether a text could be an account's id.
pub fn is_account(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit())
}

/// A severity's word, for `--fail-on`.
pub fn severity(text: &str) -> Option<Severity> {
    Severity::parse(text)
}
