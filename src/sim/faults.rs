//! What goes wrong on purpose.
//!
//! A fault names the calls it strikes and what it does to them. It is set from Rust, from the
//! `faults` of a world file, or from one line of text:
//!
//! ```text
//! ACTION[@REGION][/ID] = KIND[:ARGUMENT] [,skip=N] [,times=N] [,account=ID]
//! ```
//!
//! `ACTION` is an action's name or `*`; `ID` is the group, prefix list or port list that is asked for
//! (or, for kinds that shape a listing, the group that is shaped). `skip` lets the first N matching
//! calls pass, `times` ends the fault after N strikes (without it: for ever). Blanks do not count.
//!
//! | kind | does |
//! | --- | --- |
//! | `Forbidden.RAM`, any code | answers that error; the status is known for the reference's codes, else `Code:STATUS` |
//! | `after:CODE` | carries the call out, then answers that error |
//! | `delay:MS` | answers late |
//! | `hang` | never answers |
//! | `drop-before`, `drop-after` | closes the connection, before or after the call was carried out |
//! | `http-502` | a gateway's HTML page |
//! | `throttle` | Throttling.User |
//! | `truncate` | half of the body, then the connection closes |
//! | `stale:N`, `stale:MSms` | the group as it was before its last change, for N readings or so long after the change |
//! | `revoke-nothing` | a revocation answers success and removes nothing |
//! | `revoke-partial` | removes the first half of the rules, then answers InternalError |
//! | `authorize-partial` | adds the first half of the rules, then answers InternalError |
//! | `re-add` | right after a revocation someone adds the same rules again, under new ids |
//! | `short-page[:N]` | the last N (1) rules of a reading are left out; RuleCount stays |
//! | `permissions-missing`, `permissions-null` | a reading without its rules |
//! | `repeat-token` | every page says to go on at itself |
//! | `group-twice`, `group-twice-differing` | a group is listed again at the end, the same or with another RuleCount |
//! | `unlisted` | the group is left out of every listing, as by a RAM policy that names ids; it still answers |
//! | `vanish` | the group is deleted as it is read |
//! | `rule-twice` | a rule comes twice in a reading, with another Priority |
//! | `prefix-list-unreadable` | entries of a prefix list are refused with Forbidden.RAM |
//!
//! To add a kind: a variant of [`Kind`] with its text in `parse_kind` and a row above, and the place
//! that asks for it: `server` for what befalls the call, an action for what shapes its answer.

use std::time::Duration;

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Answers an error.
    Error {
        /// `Code` of the answer.
        code: String,
        /// HTTP status.
        status: u16,
        /// Whether the call is carried out all the same.
        after: bool,
    },
    /// Answers late.
    Delay(Duration),
    /// Never answers.
    Hang,
    /// Closes the connection, nothing is done.
    DropBefore,
    /// Closes the connection after the call was carried out.
    DropAfter,
    /// HTTP 502 with HTML.
    BadGateway,
    /// Throttling.User.
    Throttle,
    /// Half of the body.
    Truncate,
    /// The group as before its last change.
    Stale {
        /// For so many readings after each change.
        reads: Option<u32>,
        /// For so long after each change.
        within: Option<Duration>,
    },
    /// Success without effect.
    RevokeNothing,
    /// Half of the effect, then an error.
    RevokePartial,
    /// Half of the rules are added, then an error.
    AuthorizePartial,
    /// The effect is undone at once, under new ids.
    ReAdd,
    /// So many rules are missing from the reading.
    ShortPage(usize),
    /// No `Permissions` at all.
    PermissionsMissing,
    /// `"Permissions": null`.
    PermissionsNull,
    /// The same NextToken for ever.
    RepeatToken,
    /// A group is listed twice.
    GroupTwice {
        /// The second time with another RuleCount.
        differing: bool,
    },
    /// The group is left out of every listing.
    Unlisted,
    /// The group is deleted when it is read.
    Vanish,
    /// A rule id comes twice, with differing content.
    RuleTwice,
    /// DescribePrefixListAttributes is refused.
    PrefixListUnreadable,
}

impl Kind {
    /// Befalls the call as a whole, whatever its action does.
    pub(super) fn is_of_call(&self) -> bool {
        matches!(
            self,
            Kind::Error { .. }
                | Kind::Delay(_)
                | Kind::Hang
                | Kind::DropBefore
                | Kind::DropAfter
                | Kind::BadGateway
                | Kind::Throttle
                | Kind::Truncate
        )
    }
}

/// A fault: which calls, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Action, or `*`.
    pub action: String,
    /// Only of this account's callers.
    pub account: Option<String>,
    /// Only with this RegionId.
    pub region: Option<String>,
    /// Only of this group or list.
    pub id: Option<String>,
    /// So many matching calls pass first.
    pub skip: u32,
    /// So many strikes, then no more.
    pub times: Option<u32>,
    /// What it does.
    pub kind: Kind,
}

impl Fault {
    /// A fault on every call of an action (or `*`), for ever.
    pub fn new(action: &str, kind: Kind) -> Fault {
        Fault {
            action: action.into(),
            account: None,
            region: None,
            id: None,
            skip: 0,
            times: None,
            kind,
        }
    }

    /// Reads one line of the grammar above.
    ///
    /// # Errors
    /// Says which part is not understood, and what would be.
    pub fn parse(text: &str) -> Result<Fault, String> {
        let bad = |why: String| format!("fault `{text}`: {why}");
        let (target, rest) = text.split_once('=').ok_or_else(|| {
            bad("has no `=`; write ACTION[@REGION][/ID]=KIND, for example DescribeSecurityGroups@cn-shanghai=Forbidden.RAM".into())
        })?;
        let mut options = rest.split(',').map(str::trim);
        let kind = parse_kind(options.next().unwrap_or_default()).map_err(bad)?;
        let (target, id) = match target.trim().split_once('/') {
            Some((target, id)) => (target, Some(id.trim().to_owned())),
            None => (target.trim(), None),
        };
        let (action, region) = match target.split_once('@') {
            Some((action, region)) => (action, Some(region.trim().to_owned())),
            None => (target, None),
        };
        let action = action.trim();
        if action.is_empty() {
            return Err(bad("names no action; `*` is every action".into()));
        }
        if action != "*" && !super::actions::is_known(action) {
            return Err(bad(format!(
                "`{action}` is not an action that is simulated"
            )));
        }
        let mut fault = Fault::new(action, kind);
        fault.region = region;
        fault.id = id;
        for option in options {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| bad(format!("`{option}` is not NAME=VALUE")))?;
            let number = || {
                value
                    .trim()
                    .parse()
                    .map_err(|_| bad(format!("`{value}` is not a number")))
            };
            match name.trim() {
                "skip" => fault.skip = number()?,
                "times" => fault.times = Some(number()?),
                "account" => fault.account = Some(value.trim().into()),
                other => {
                    return Err(bad(format!(
                        "`{other}` is not known; there are skip, times, account"
                    )));
                }
            }
        }
        Ok(fault)
    }
}

/// HTTP status of the codes that the reference names.
pub(super) fn status_of(code: &str) -> Option<u16> {
    Some(match code {
        "ServiceUnavailable" | "ServiceUnavailable.RegionMaintaining" => 503,
        "InternalError" | "UnknownError" => 500,
        "OperationConflict" => 409,
        "LastTokenProcessing"
        | "Forbidden.RAM"
        | "NoPermission"
        | "Forbidden.SubUser"
        | "Unauthorized"
        | "Forbidden.Unauthorized"
        | "Forbidden.RiskControl"
        | "Forbidden.AccessKeyDisabled"
        | "InvalidAccessKeyId.Inactive"
        | "Account.Arrearage"
        | "AuthorizationLimitExceed"
        | "InvalidOperation.ResourceManagedByCloudProduct" => 403,
        "InvalidAccessKeyId.NotFound"
        | "InvalidRegionId.NotFound"
        | "InvalidAction.NotFound"
        | "InvalidSecurityGroupId.NotFound"
        | "InvalidSecurityGroupRuleId.NotFound"
        | "InvalidPrefixListId.NotFound"
        | "InvalidPortRangeListId.NotFound"
        | "InvalidSourceGroupId.NotFound"
        | "SecurityGroupRule.NotFound"
        | "EntityNotExist.Role" => 404,
        "Throttling"
        | "Throttling.User"
        | "Throttling.Api"
        | "Rejected.Throttling"
        | "SystemBusy"
        | "InvalidTimeStamp.Expired"
        | "InvalidTimeStamp.Format"
        | "IllegalTimestamp"
        | "SignatureNonceUsed"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidSecurityToken.Expired"
        | "InvalidSecurityToken.Malformed"
        | "InvalidSecurityToken.MismatchWithAccessKey"
        | "MissingSecurityToken"
        | "IdempotentParameterMismatch"
        | "UnsupportedParameter"
        | "InvalidParam.SecurityGroupRuleId"
        | "InvalidSecurityGroupRule.RuleNotExist"
        | "InValidParameter.NextToken"
        | "NotSupported.PageNumberAndPageSize" => 400,
        _ => return None,
    })
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    let (name, argument) = match text.split_once(':') {
        Some((name, argument)) => (name.trim(), Some(argument.trim())),
        None => (text.trim(), None),
    };
    let number = |what: &str| -> Result<u64, String> {
        argument
            .ok_or_else(|| format!("`{name}` needs {what}: `{name}:100`"))?
            .parse()
            .map_err(|_| format!("`{text}`: {what} is not a number"))
    };
    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return error(name, argument, false);
    }
    if name == "after" {
        let (code, status) = match argument.unwrap_or_default().split_once(':') {
            Some((code, status)) => (code, Some(status)),
            None => (argument.unwrap_or_default(), None),
        };
        return error(code, status, true);
    }
    let kind = match name {
        "delay" => return Ok(Kind::Delay(Duration::from_millis(number("milliseconds")?))),
        "stale" => return stale(argument.unwrap_or("1")),
        "short-page" if argument.is_some() => {
            let n = number("a number of rules")?;
            return Ok(Kind::ShortPage(usize::try_from(n).unwrap_or(usize::MAX)));
        }
        "hang" => Kind::Hang,
        "drop-before" => Kind::DropBefore,
        "drop-after" => Kind::DropAfter,
        "http-502" => Kind::BadGateway,
        "throttle" => Kind::Throttle,
        "truncate" => Kind::Truncate,
        "revoke-nothing" => Kind::RevokeNothing,
        "revoke-partial" => Kind::RevokePartial,
        "authorize-partial" => Kind::AuthorizePartial,
        "re-add" => Kind::ReAdd,
        "short-page" => Kind::ShortPage(1),
        "permissions-missing" => Kind::PermissionsMissing,
        "permissions-null" => Kind::PermissionsNull,
        "repeat-token" => Kind::RepeatToken,
        "group-twice" => Kind::GroupTwice { differing: false },
        "group-twice-differing" => Kind::GroupTwice { differing: true },
        "unlisted" => Kind::Unlisted,
        "vanish" => Kind::Vanish,
        "rule-twice" => Kind::RuleTwice,
        "prefix-list-unreadable" => Kind::PrefixListUnreadable,
        _ => {
            return Err(format!(
                "`{name}` is not a kind; there are an error code, after:CODE, delay:MS, hang, drop-before, drop-after, http-502, throttle, truncate, stale:N, stale:MSms, revoke-nothing, revoke-partial, authorize-partial, re-add, short-page, permissions-missing, permissions-null, repeat-token, group-twice, group-twice-differing, unlisted, vanish, rule-twice, prefix-list-unreadable"
            ));
        }
    };
    match argument {
        None => Ok(kind),
        Some(extra) => Err(format!("`{name}` takes no `:{extra}`")),
    }
}

fn error(code: &str, status: Option<&str>, after: bool) -> Result<Kind, String> {
    let status = match status {
        Some(text) => match text.parse() {
            Ok(status @ 400..=599) => status,
            _ => return Err(format!("`{text}` is not an HTTP status of 400 to 599")),
        },
        None => status_of(code).ok_or_else(|| {
            format!("`{code}` is not a code of the reference; give its status: `{code}:400`")
        })?,
    };
    Ok(Kind::Error {
        code: code.into(),
        status,
        after,
    })
}

fn stale(argument: &str) -> Result<Kind, String> {
    let wrong = |_| format!("`stale:{argument}` is neither `stale:N` nor `stale:MSms`");
    Ok(match argument.strip_suffix("ms") {
        Some(ms) => Kind::Stale {
            reads: None,
            within: Some(Duration::from_millis(ms.parse().map_err(wrong)?)),
        },
        None => Kind::Stale {
            reads: Some(argument.parse().map_err(wrong)?),
            within: None,
        },
    })
}

/// A call as faults see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) action: &'a str,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    /// The group or list asked for; `None` in a listing: then a fault's own id is what it shapes.
    pub(super) id: Option<&'a str>,
}

/// The faults that are set, with what each has done.
#[derive(Debug, Default)]
pub(super) struct FaultSet {
    set: Vec<(Fault, u32, u32)>,
}

impl FaultSet {
    pub(super) fn add(&mut self, fault: Fault) {
        self.set.push((fault, 0, 0));
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// The ids of all faults of a kind that are set for such calls; they are not counted.
    pub(super) fn ids(&self, aim: Aim<'_>, kind: &Kind) -> Vec<String> {
        let same = |want: &Option<String>, is: &str| want.as_deref().is_none_or(|w| w == is);
        self.set
            .iter()
            .map(|(fault, _, _)| fault)
            .filter(|fault| {
                fault.kind == *kind
                    && (fault.action == "*" || fault.action == aim.action)
                    && same(&fault.account, aim.account)
                    && same(&fault.region, aim.region)
            })
            .filter_map(|fault| fault.id.clone())
            .collect()
    }

    /// The first fault of a wanted kind that strikes this call now, counted.
    pub(super) fn strike(&mut self, aim: Aim<'_>, wanted: impl Fn(&Kind) -> bool) -> Option<Fault> {
        for (fault, passed, struck) in &mut self.set {
            let same = |want: &Option<String>, is: &str| want.as_deref().is_none_or(|w| w == is);
            let hits = (fault.action == "*" || fault.action == aim.action)
                && same(&fault.account, aim.account)
                && same(&fault.region, aim.region)
                && match (&fault.id, aim.id) {
                    (Some(want), Some(is)) => want == is,
                    (Some(_), None) => !fault.kind.is_of_call(),
                    (None, _) => true,
                }
                && wanted(&fault.kind);
            if !hits {
                continue;
            }
            if *passed < fault.skip {
                *passed += 1;
                continue;
            }
            if fault.times.is_some_and(|times| *struck >= times) {
                continue;
            }
            *struck += 1;
            return Some(fault.clone());
        }
        None
    }
}
