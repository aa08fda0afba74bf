//! One group: every page of its rules, the lists they name, and whether that is all of it.

use super::{Collector, Gone, listing};
use crate::cloud::call::{Client, Effect, Request as Call};
use crate::cloud::endpoint::Service;
use crate::cloud::failure::{CallFailure, Kind};
use crate::cloud::pacing::locked;
use crate::cloud::wire;
use crate::model::{
    self, AccountId, CallError, Field, GroupId, GroupReading, ListReading, NicType, RawAnswer,
    RegionId, Rule, Rules, SecurityGroup,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// The largest page (API reference, DescribeSecurityGroupAttribute).
const PAGE: &str = "1000";

/// How the reading of a group ended.
pub(super) enum ReadEnd {
    /// It had gone before it was read.
    Vanished { answers: Vec<RawAnswer> },
    /// It was read, in full or as far as it could be.
    Read {
        reading: Box<GroupReading>,
        /// Why it could not be read in full, where a call failed.
        failure: Option<CallError>,
        /// Fields that are new to us.
        odd: BTreeSet<String>,
    },
}

type Cell = Arc<OnceCell<Arc<ListReading>>>;

/// The lists of one region, each fetched once.
pub(super) struct Lists<'c> {
    client: &'c Client,
    account: &'c AccountId,
    region: &'c RegionId,
    sender: Option<&'c Collector>,
    cells: Mutex<BTreeMap<(bool, String), Cell>>,
    failed: Mutex<Vec<String>>,
    strays: Mutex<Vec<RawAnswer>>,
}

/// Pages of rules, put together.
#[derive(Default)]
struct Pages {
    rules: Vec<Rule>,
    /// A page had no `Permissions`.
    silent: bool,
    odd: BTreeSet<String>,
    answers: Vec<RawAnswer>,
}

/// Rules distinct by id, and why that is not all.
struct Judged {
    rules: Vec<Rule>,
    doubt: Option<String>,
    short: bool,
    warning: Option<String>,
}

impl<'c> Lists<'c> {
    pub(super) fn new(collector: &'c Collector, region: &'c RegionId) -> Self {
        Self {
            client: &collector.client,
            account: &collector.request.account,
            region,
            sender: Some(collector),
            cells: Mutex::default(),
            failed: Mutex::default(),
            strays: Mutex::default(),
        }
    }

    /// Warnings about lists that could not be fetched.
    pub(super) async fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.failed))
    }

    /// Reads one listed group.
    pub(super) async fn read(&self, group: SecurityGroup) -> Result<ReadEnd, Gone> {
        let mut answers = Vec::new();
        let mut group = group;
        let mut pages = match self.pages(&group).await {
            Ok(pages) => pages,
            Err(mut failure) if is_gone(&failure) => {
                answers.append(&mut failure.answers);
                match self.relist(&group.id, &mut answers).await {
                    Ok(None) => return Ok(ReadEnd::Vanished { answers }),
                    Ok(Some(fresh)) => {
                        group = fresh;
                        match self.pages(&group).await {
                            Ok(pages) => pages,
                            Err(failure) => return Ok(failed(self, group, answers, failure)),
                        }
                    }
                    Err(failure) => return Ok(failed(self, group, answers, failure)),
                }
            }
            Err(failure) => return Ok(failed(self, group, answers, failure)),
        };
        answers.append(&mut pages.answers);
        let mut judged = judge(&group, &pages);
        if judged.short || judged.doubt.is_some() {
            // One fresh reading of both: most shortfalls are a race with somebody's change.
            match self.relist(&group.id, &mut answers).await {
                Ok(None) => return Ok(ReadEnd::Vanished { answers }),
                Ok(Some(fresh)) => group = fresh,
                Err(failure) => return Ok(failed(self, group, answers, failure)),
            }
            match self.pages(&group).await {
                Ok(mut fresh) => {
                    answers.append(&mut fresh.answers);
                    pages = fresh;
                    judged = judge(&group, &pages);
                }
                Err(failure) if is_gone(&failure) => {
                    answers.extend(failure.answers);
                    if let Ok(None) = self.relist(&group.id, &mut answers).await {
                        return Ok(ReadEnd::Vanished { answers });
                    }
                    let gone = "the group answers that it does not exist and is still listed";
                    judged.doubt = Some(gone.to_owned());
                }
                Err(failure) => return Ok(failed(self, group, answers, failure)),
            }
        }
        let lists = self.named(&judged.rules).await?;
        let mut warnings = Vec::new();
        warnings.extend(judged.warning);
        if group.service_managed.is_none() {
            warnings.push("the service does not say whether it is managed".to_owned());
        }
        let reading = GroupReading {
            account: self.account.clone(),
            region: self.region.clone(),
            group,
            rules: Rules {
                read: judged.rules,
                incomplete: judged.doubt,
            },
            lists,
            warnings,
            answers,
        };
        Ok(ReadEnd::Read {
            reading: Box::new(reading),
            failure: None,
            odd: pages.odd,
        })
    }

    async fn relist(
        &self,
        id: &str,
        answers: &mut Vec<RawAnswer>,
    ) -> Result<Option<SecurityGroup>, Box<CallFailure>> {
        listing::relist(self.client, self.account, self.region, id, answers).await
    }

    async fn pages(&self, group: &SecurityGroup) -> Result<Pages, Box<CallFailure>> {
        let mut pages = Pages::default();
        let asked: &[Option<NicType>] = if group.is_classic() {
            &[Some(NicType::Internet), Some(NicType::Intranet)]
        } else {
            &[None]
        };
        for nic in asked {
            if let Err(mut failure) = self.pages_of(group, *nic, &mut pages).await {
                // What was read before it belongs to the evidence too.
                let mut answers = std::mem::take(&mut pages.answers);
                answers.append(&mut failure.answers);
                failure.answers = answers;
                return Err(failure);
            }
        }
        Ok(pages)
    }

    async fn pages_of(
        &self,
        group: &SecurityGroup,
        nic: Option<NicType>,
        pages: &mut Pages,
    ) -> Result<(), Box<CallFailure>> {
        let mut token: Option<String> = None;
        let mut tokens: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut params = BTreeMap::from([
                ("RegionId".to_owned(), self.region.as_str().to_owned()),
                ("SecurityGroupId".to_owned(), group.id.clone()),
                ("Direction".to_owned(), "all".to_owned()),
                ("MaxResults".to_owned(), PAGE.to_owned()),
            ]);
            if let Some(nic) = nic {
                params.insert("NicType".to_owned(), nic.as_str().to_owned());
            }
            if let Some(token) = &token {
                params.insert("NextToken".to_owned(), token.clone());
            }
            let call = self.call("DescribeSecurityGroupAttribute", params);
            let answer = self.client.call(&call).await?;
            let page = match wire::rules_page(&answer.raw.body, &group.id) {
                Ok(page) => page,
                Err(why) => return Err(self.client.bad_answer(&call, answer, &why.to_string())),
            };
            pages.answers.extend(answer.into_answers());
            pages.odd.extend(page.odd);
            match page.rules {
                None => pages.silent = true,
                Some(rules) => pages.rules.extend(rules.into_iter().map(|mut rule| {
                    rule.asked_nic = nic;
                    rule
                })),
            }
            match page.next_token {
                None => return Ok(()),
                Some(next) => {
                    if !tokens.insert(next.clone()) {
                        return Err(Box::new(CallFailure {
                            kind: Kind::BadAnswer,
                            fate: crate::cloud::Fate::Unknown,
                            code: "paging-loop".to_owned(),
                            message: "the service gave a page's token that it had given before"
                                .to_owned(),
                            request_id: String::new(),
                            action: call.action,
                            ram_prefix: call.service.ram_prefix(),
                            account: self.account.clone(),
                            region: self.region.as_str().to_owned(),
                            host: String::new(),
                            status: None,
                            attempts: 1,
                            advice: None,
                            answers: Vec::new(),
                        }));
                    }
                    token = Some(next);
                }
            }
        }
    }

    fn call(&self, action: &str, params: BTreeMap<String, String>) -> Call {
        Call {
            service: Service::Ecs,
            action: action.to_owned(),
            account: self.account.clone(),
            region: self.region.as_str().to_owned(),
            params,
            effect: Effect::Read,
        }
    }

    /// The lists that the ingress rules name.
    async fn named(&self, rules: &[Rule]) -> Result<model::Lists, Gone> {
        let mut out = model::Lists::default();
        for rule in rules {
            if rule
                .direction
                .text()
                .is_some_and(|text| text.eq_ignore_ascii_case("egress"))
            {
                continue;
            }
            for (is_prefix, field) in [
                (true, &rule.source_prefix_list_id),
                (false, &rule.port_range_list_id),
            ] {
                let Field::Text(id) = field else { continue };
                let into = if is_prefix {
                    &mut out.prefix
                } else {
                    &mut out.port
                };
                if !into.contains_key(id.as_ref()) {
                    into.insert(id.to_string(), self.list(is_prefix, id).await?);
                }
            }
        }
        Ok(out)
    }

    async fn list(&self, is_prefix: bool, id: &str) -> Result<Arc<ListReading>, Gone> {
        let cell = {
            let mut cells = locked(&self.cells);
            Arc::clone(cells.entry((is_prefix, id.to_owned())).or_default())
        };
        let read = cell.get_or_init(|| self.fetch_list(is_prefix, id)).await;
        let strays = std::mem::take(&mut *locked(&self.strays));
        if !strays.is_empty()
            && let Some(collector) = self.sender
        {
            collector.tell(super::Collected::Answers(strays)).await?;
        } else if self.sender.is_none() {
            locked(&self.strays).extend(strays);
        }
        Ok(Arc::clone(read))
    }

    async fn fetch_list(&self, is_prefix: bool, id: &str) -> Arc<ListReading> {
        let (action, key) = if is_prefix {
            ("DescribePrefixListAttributes", "PrefixListId")
        } else {
            ("DescribePortRangeListEntries", "PortRangeListId")
        };
        let params = BTreeMap::from([
            ("RegionId".to_owned(), self.region.as_str().to_owned()),
            (key.to_owned(), id.to_owned()),
        ]);
        let call = self.call(action, params);
        let reading = match self.client.call(&call).await {
            Ok(answer) => {
                let reading = if is_prefix {
                    wire::prefix_list(&answer.raw.body, id)
                } else {
                    wire::port_list(&answer.raw.body)
                };
                locked(&self.strays).extend(answer.into_answers());
                reading
            }
            Err(mut failure) => {
                locked(&self.strays).append(&mut failure.answers);
                Err(failure.to_string())
            }
        };
        if let Err(why) = &reading {
            locked(&self.failed).push(format!("{id} could not be read: {why}"));
        }
        Arc::new(reading)
    }
}

fn is_gone(failure: &CallFailure) -> bool {
    failure.code == "InvalidSecurityGroupId.NotFound"
}

fn failed(
    lists: &Lists<'_>,
    group: SecurityGroup,
    mut answers: Vec<RawAnswer>,
    mut failure: Box<CallFailure>,
) -> ReadEnd {
    answers.append(&mut failure.answers);
    let reading = GroupReading {
        account: lists.account.clone(),
        region: lists.region.clone(),
        group,
        rules: Rules {
            read: Vec::new(),
            incomplete: Some(format!("its rules could not be fetched: {failure}")),
        },
        lists: model::Lists::default(),
        warnings: Vec::new(),
        answers,
    };
    ReadEnd::Read {
        reading: Box::new(reading),
        failure: Some(failure.error()),
        odd: BTreeSet::new(),
    }
}

/// Whether what was read is all of the group's rules.
fn judge(group: &SecurityGroup, pages: &Pages) -> Judged {
    let mut rules: Vec<Rule> = Vec::new();
    let mut doubt = None;
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    for rule in &pages.rules {
        let id = rule.id();
        if id.is_empty() {
            rules.push(rule.clone());
            continue;
        }
        match by_id.get(id).and_then(|at| rules.get(*at)) {
            None => {
                by_id.insert(id.to_owned(), rules.len());
                rules.push(rule.clone());
            }
            Some(first) if same_rule(first, rule) => {}
            Some(_) => doubt = Some(format!("rule {id} came twice with differing content")),
        }
    }
    let read = u64::try_from(rules.len()).unwrap_or(u64::MAX);
    let listed = group.rule_count;
    if pages.silent && listed.is_none_or(|listed| listed > 0) {
        doubt.get_or_insert_with(|| "the answer has no Permissions".to_owned());
    }
    let mut short = false;
    let mut warning = None;
    if let Some(listed) = listed
        && read < listed
    {
        short = true;
        let what = format!("{read} of {listed} rules were given");
        // How much a rule by list, or one of the classic network, counts is not known.
        let weighed = group.is_classic() || rules.iter().any(Rule::names_a_list);
        if read == 0 || !weighed {
            doubt.get_or_insert(what);
        } else {
            warning = Some(what);
        }
    }
    Judged {
        rules,
        doubt,
        short,
        warning,
    }
}

/// The same rule, whichever of a classic group's two calls gave it.
fn same_rule(one: &Rule, other: &Rule) -> bool {
    let mut other = other.clone();
    if !one.nic_type.is_unset() {
        other.asked_nic = one.asked_nic;
    }
    *one == other
}

/// Reads one group by id, listing and rules; `None`: there is none.
///
/// # Errors
/// It could not be read.
pub async fn read_group(
    client: &Client,
    account: &AccountId,
    region: &RegionId,
    id: &GroupId,
) -> Result<Option<GroupReading>, Box<CallFailure>> {
    let mut answers = Vec::new();
    let Some(group) = listing::relist(client, account, region, id.as_str(), &mut answers).await?
    else {
        return Ok(None);
    };
    let lists = Lists {
        client,
        account,
        region,
        sender: None,
        cells: Mutex::default(),
        failed: Mutex::default(),
        strays: Mutex::default(),
    };
    // Without a receiver nothing can be gone.
    let Ok(end) = lists.read(group).await else {
        return Ok(None);
    };
    match end {
        ReadEnd::Vanished { .. } => Ok(None),
        ReadEnd::Read { mut reading, .. } => {
            answers.append(&mut reading.answers);
            answers.append(&mut locked(&lists.strays));
            reading.answers = answers;
            Ok(Some(*reading))
        }
    }
}
