//! STS, the resource directory, Cloud Config: everything that is not ECS.

use chrono::{DateTime, Duration, SubsecRound as _, Utc};
use serde_json::json;

use super::super::auth::{Principal, sha256_hex};
use super::super::wire::Failure;
use super::super::world::{Role, Session, SessionKey, World};
use super::{Call, State};

/// A refusal for want of a RAM permission, in the words of the action's service.
pub(super) fn denied(call: &Call<'_>, auth_action: &str) -> Failure {
    if call.spec.product == "Kms" {
        // In the form of its help page. Whether it has an AccessDeniedDetail is not known.
        return Failure::new(
            403,
            "Forbidden.NoPermission",
            "This operation is forbidden by permission system.",
        );
    }
    let (kind, shown) = match &call.caller.principal {
        Principal::Root => ("Account", call.caller.account.clone()),
        Principal::User { id, .. } => ("SubUser", id.clone()),
        Principal::Role { name, session } => ("AssumedRoleUser", format!("{name}:{session}")),
        Principal::KeyPair { user } => ("SubUser", user.clone()),
        Principal::Nobody => ("Anonymous", String::new()),
    };
    let code = if call.spec.product == "Ecs" {
        "Forbidden.RAM"
    } else {
        "NoPermission"
    };
    let mut failure = Failure::new(
        403,
        code,
        format!(
            "User not authorized to operate on the specified resource, or this API doesn't support RAM. ({auth_action})"
        ),
    );
    failure.denied = Some(json!({
        "AuthAction": auth_action,
        "AuthPrincipalDisplayName": shown,
        "AuthPrincipalOwnerId": call.caller.account,
        "AuthPrincipalType": kind,
        "EncodedDiagnosticMessage": "AQEAAAAASimulatedDiagnosticMessage",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }));
    failure
}

fn role<'w>(world: &'w World, account: &str, name: &str) -> Option<&'w Role> {
    let mut roles = world.accounts.get(account)?.roles.iter();
    roles.find(|r| r.name.eq_ignore_ascii_case(name))
}

pub(super) fn who(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let account = &call.caller.account;
    let answer = match &call.caller.principal {
        Principal::Root => json!({
            "RequestId": call.request_id,
            "AccountId": account,
            "IdentityType": "Account",
            "PrincipalId": account,
            "Arn": format!("acs:ram::{account}:root"),
            "RoleId": "",
            "UserId": account,
        }),
        Principal::User { name, id } => json!({
            "RequestId": call.request_id,
            "AccountId": account,
            "IdentityType": "RAMUser",
            "PrincipalId": id,
            "Arn": format!("acs:ram::{account}:user/{name}"),
            "RoleId": "",
            "UserId": id,
        }),
        // Never asked: each of them is let into one action of its own.
        Principal::Nobody | Principal::KeyPair { .. } => {
            return Err(denied(call, "sts:GetCallerIdentity"));
        }
        Principal::Role { name, session } => {
            let id = role(&state.world, account, name)
                .map(|r| r.id.clone())
                .unwrap_or_default();
            json!({
                "RequestId": call.request_id,
                "AccountId": account,
                "IdentityType": "AssumedRoleUser",
                "PrincipalId": format!("{id}:{session}"),
                "Arn": format!(
                    "acs:sts::{account}:assumed-role/{}/{session}",
                    name.to_ascii_lowercase()
                ),
                "RoleId": id,
                "UserId": "",
            })
        }
    };
    Ok(answer.to_string())
}

pub(super) fn assume_role(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let asked = asked(call, state)?;
    let role = &asked.role;
    let trusted = role.trust.contains(&call.caller.account);
    let external =
        role.external_id.is_none() || role.external_id.as_deref() == call.get("ExternalId");
    if !trusted || !external {
        return Err(denied(call, "sts:AssumeRole"));
    }
    let answer = grant(call, state, &asked);
    Ok(answer.to_string())
}

/// What a session is asked for, checked as both ways to one check it.
struct Asked<'a> {
    account: &'a str,
    role: Role,
    session: &'a str,
    seconds: i64,
}

fn asked<'a>(call: &Call<'a>, state: &State) -> Result<Asked<'a>, Failure> {
    let invalid = |name: &str| {
        Failure::bad(
            &format!("InvalidParameter.{name}"),
            format!("The parameter {name} is wrongly formed."),
        )
    };
    let arn = call.need("RoleArn")?;
    let (account, name) = arn
        .strip_prefix("acs:ram::")
        .and_then(|rest| rest.split_once(":role/"))
        .ok_or_else(|| invalid("RoleArn"))?;
    let session = call.need("RoleSessionName")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".@-_".contains(c);
    if !(2..=64).contains(&session.len()) || !session.chars().all(plain) {
        return Err(invalid("RoleSessionName"));
    }
    let seconds: i64 = call
        .get("DurationSeconds")
        .unwrap_or("3600")
        .parse()
        .map_err(|_| invalid("DurationSeconds"))?;
    let role = role(&state.world, account, name).cloned().ok_or_else(|| {
        Failure::new(
            404,
            "EntityNotExist.Role",
            format!("The role not exists: {name}."),
        )
    })?;
    if seconds < 900 || seconds > role.max_session {
        return Err(invalid("DurationSeconds"));
    }
    Ok(Asked {
        account,
        role,
        session,
        seconds,
    })
}

fn grant(call: &Call<'_>, state: &mut State, asked: &Asked<'_>) -> serde_json::Value {
    let life = call
        .session_life
        .unwrap_or(Duration::seconds(asked.seconds));
    let (account, role, session) = (asked.account, &asked.role, asked.session);
    let who = (account, role.name.as_str(), session);
    let made = issue(&mut state.world, who, call.now + life);
    let mut answer = json!({
        "RequestId": call.request_id,
        "Credentials": {
            "AccessKeyId": made.access_key_id,
            "AccessKeySecret": made.access_key_secret,
            "SecurityToken": made.security_token,
            "Expiration": made.expires.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": format!("{}:{session}", role.id),
            "Arn": format!("acs:ram::{account}:role/{}/{session}", role.name.to_ascii_lowercase()),
        },
    });
    if let Some(source) = call.get("SourceIdentity") {
        answer["SourceIdentity"] = json!(source);
    }
    answer
}

/// A new session of a role: account, role, session's name. Its end has whole seconds, as it is told.
pub(in crate::sim) fn issue(
    world: &mut World,
    (account, role, session): (&str, &str, &str),
    expires: DateTime<Utc>,
) -> Session {
    let number = world.new_number();
    let secret = sha256_hex(format!("secret {account} {role} {session} {number}").as_bytes());
    // As long as real ones, with the characters that are awkward in queries.
    let token = format!(
        "CAISsim+{}/{}=={number}",
        sha256_hex(format!("token {secret}").as_bytes()).repeat(6),
        sha256_hex(session.as_bytes())
    );
    let made = Session {
        access_key_id: format!("STS.sim{number:020}"),
        access_key_secret: secret.chars().take(40).collect(),
        security_token: token,
        account: account.into(),
        role: role.into(),
        name: session.into(),
        expires: expires.trunc_subsecs(0),
    };
    let id = made.access_key_id.clone();
    world.sessions.insert(id, made.clone());
    made
}

/// Not signed: the token is the proof. Which code a wrong one gets is unverified.
pub(super) fn assume_role_with_oidc(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let provider = call.need("OIDCProviderArn")?;
    let token = call.need("OIDCToken")?;
    let asked = asked(call, state)?;
    let known = state
        .world
        .oidc_tokens
        .iter()
        .find(|known| known.provider == provider && known.token == token)
        .cloned()
        .ok_or_else(|| {
            Failure::bad(
                "AuthenticationFail.OIDCToken.Invalid",
                "This JWT token is invalid.",
            )
        })?;
    if !asked.role.trust.iter().any(|trusted| trusted == provider) {
        return Err(Failure::new(
            403,
            "AuthenticationFail.NoPermission",
            "This operation is forbidden by RAM.",
        ));
    }
    let mut answer = grant(call, state, &asked);
    answer["OIDCTokenInfo"] = json!({
        "Issuer": "https://oidc.example.invalid",
        "Subject": known.subject,
        "ClientIds": "sts.aliyuncs.com",
        "IssuanceTime": call.now.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "ExpirationTime": (call.now + Duration::hours(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "VerificationInfo": "Success",
    });
    Ok(answer.to_string())
}

const OF_KEY_PAIRS: &str = "GenerateSessionAccessKey";

/// A signature by a key pair is for this one action, and this action for such signatures. The codes are
/// unverified.
pub(super) fn by_the_right_kind_of_key(call: &Call<'_>) -> Result<(), Failure> {
    let by_pair = matches!(call.caller.principal, Principal::KeyPair { .. });
    if by_pair == (call.spec.name == OF_KEY_PAIRS) {
        return Ok(());
    }
    Err(Failure::bad(
        "IncompleteSignature",
        format!("SHA256withRSA is the signature method of {OF_KEY_PAIRS}, and of nothing else."),
    ))
}

/// Signed with a key pair; the keys that come out have no token.
pub(super) fn generate_session_access_key(
    call: &Call<'_>,
    state: &mut State,
) -> Result<String, Failure> {
    let Principal::KeyPair { user } = &call.caller.principal else {
        return Err(denied(call, "sts:GenerateSessionAccessKey"));
    };
    let seconds: i64 = call
        .get("DurationSeconds")
        .unwrap_or("3600")
        .parse()
        .ok()
        .filter(|seconds| (900..=3600).contains(seconds))
        .ok_or_else(|| {
            Failure::bad(
                "InvalidParameter.DurationSeconds",
                "The parameter DurationSeconds is wrongly formed.",
            )
        })?;
    let life = call.session_life.unwrap_or(Duration::seconds(seconds));
    let number = state.world.new_number();
    let account = &call.caller.account;
    let secret = sha256_hex(format!("session key {account} {user} {number}").as_bytes());
    let id = format!("TMPSK.sim{number:020}");
    let made = SessionKey {
        secret: secret.chars().take(40).collect(),
        account: account.clone(),
        user: user.clone(),
        expires: (call.now + life).trunc_subsecs(0),
    };
    let answer = json!({
        "RequestId": call.request_id,
        "SessionAccessKey": {
            "SessionAccessKeyId": id,
            "SessionAccessKeySecret": made.secret,
            "Expiration": made.expires.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        },
    });
    state.world.session_keys.insert(id, made);
    Ok(answer.to_string())
}

fn master(state: &State) -> Result<String, Failure> {
    state.world.directory.clone().ok_or_else(|| {
        Failure::new(
            404,
            "EntityNotExists.ResourceDirectory",
            "There is no resource directory.",
        )
    })
}

pub(super) fn directory(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let master = master(state)?;
    let answer = json!({
        "RequestId": call.request_id,
        "ResourceDirectory": {
            "ResourceDirectoryId": "rd-sim",
            "RootFolderId": "r-sim",
            "MasterAccountId": master,
            "MasterAccountName": "company@example.com",
            "CreateTime": "2023-01-08T03:24:12.123Z",
            "ControlPolicyStatus": "Disabled",
            "MemberDeletionStatus": "Disabled",
            "MemberAccountDisplayNameSyncStatus": "Disabled",
            "IdentityInformation": "Simulated",
        },
    });
    Ok(answer.to_string())
}

/// Members only: whether the management account is listed too is unverified, so it is left out.
pub(super) fn list_accounts(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let master = master(state)?;
    if call.caller.account != master {
        return Err(denied(call, "resourcemanager:ListAccounts"));
    }
    let max = call.max_results(1, 100, 10, false)?;
    let members: Vec<_> = state
        .world
        .accounts
        .values()
        .filter(|a| a.id != master)
        .collect();
    let (start, end, token) = call.offsets(members.len(), max)?;
    let page: Vec<_> = members
        .get(start..end)
        .unwrap_or(&[])
        .iter()
        .map(|account| {
            json!({
                "AccountId": account.id,
                "AccountName": format!("{}@rd-sim.aliyunid.com", account.name),
                "DisplayName": account.name,
                "Type": "ResourceAccount",
                "Status": "CreateSuccess",
                "JoinMethod": "created",
                "JoinTime": "2023-01-09T03:24:12.123Z",
                "ModifyTime": "2023-01-09T03:24:12.123Z",
                "FolderId": "fd-sim0001",
                "ResourceDirectoryId": "rd-sim",
                "ResourceDirectoryPath": format!("rd-sim/r-sim/fd-sim0001/{}", account.id),
                "DeletionStatus": "",
                "Tags": {"Tag": []},
            })
        })
        .collect();
    let answer = json!({
        "RequestId": call.request_id,
        "NextToken": token,
        "PageNumber": 1,
        "PageSize": max,
        "TotalCount": members.len(),
        "Accounts": {"Account": page},
    });
    Ok(answer.to_string())
}

pub(super) fn start_evaluation(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let rule = match call.get("CompliancePackId") {
        Some(pack) => pack,
        None => call.need("ConfigRuleId")?,
    };
    // Rules are not simulated, so any is believed to be there; an id of zeros is one that cannot be.
    if rule
        .strip_prefix("cr-")
        .is_some_and(|id| id.len() > 8 && id.bytes().all(|b| b == b'0'))
    {
        return Err(Failure::new(
            404,
            "ConfigRuleNotExists",
            "The config rule does not exist.",
        ));
    }
    state.world.evaluations.push(rule.into());
    Ok(json!({"RequestId": call.request_id, "Result": true}).to_string())
}
