//! The resource directory: who manages it, who is in it.

use super::object::items;
use super::{BadAnswer, Object, next_token};
use crate::model::AccountId;

/// An account of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `AccountId`
    pub account: AccountId,
    /// `Status`, such as `CreateSuccess`.
    pub status: String,
}

impl Member {
    /// Whether it is still of the directory. A status that nobody has told us of counts as there: the
    /// account is tried, and named where it cannot be read.
    pub fn is_there(&self) -> bool {
        self.status != "Removed"
    }
}

/// A page of ListAccounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersPage {
    /// In the service's order.
    pub members: Vec<Member>,
    /// `None` on the last page.
    pub next_token: Option<String>,
}

/// A page of ListAccounts. Errs where there is no list.
pub fn members_page(body: &[u8]) -> Result<MembersPage, BadAnswer> {
    let top = Object::parse(body)?;
    let list = top
        .wrapped_list("Accounts", "Account")?
        .ok_or_else(|| BadAnswer("no Accounts in the answer".to_owned()))?;
    let members = items(list, "Accounts")?
        .into_iter()
        .map(|raw| {
            let member = Object::of(raw, "Account")?;
            Ok(Member {
                account: AccountId::new(member.required("AccountId")?),
                status: member.text("Status")?,
            })
        })
        .collect::<Result<_, BadAnswer>>()?;
    Ok(MembersPage {
        members,
        next_token: next_token(&top)?,
    })
}

/// `MasterAccountId` of GetResourceDirectory. Whether ListAccounts has it too is not known.
pub fn management_account(body: &[u8]) -> Result<AccountId, BadAnswer> {
    let top = Object::parse(body)?;
    let raw = top
        .get("ResourceDirectory")
        .ok_or_else(|| BadAnswer("no ResourceDirectory in the answer".to_owned()))?;
    let directory = Object::of(raw, "ResourceDirectory")?;
    Ok(AccountId::new(directory.required("MasterAccountId")?))
}
