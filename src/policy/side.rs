//! Whose addresses and which rules a check is judged over, and what it says of the group itself.

use super::assess::Policy;
use super::check::{Check, Kind};
use crate::exposure::{GroupRules, Internet};
use crate::model::SecurityGroup;

/// Whose addresses count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// The internet, less the trusted networks.
    #[default]
    Internet,
    /// The private networks. `trusted` says nothing about them.
    Private,
}

impl Audience {
    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Private => "private",
        }
    }

    /// The inverse of [`Audience::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Internet, Self::Private]
            .into_iter()
            .find(|audience| audience.as_str() == text)
    }
}

/// Which rules are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// What comes in.
    #[default]
    Ingress,
    /// What goes out; the addresses are those that are reached.
    Egress,
}

impl Direction {
    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The inverse of [`Direction::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ingress, Self::Egress]
            .into_iter()
            .find(|direction| direction.as_str() == text)
    }
}

/// What one check of a policy is judged over, in one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'s, 'a> {
    pub(crate) rules: &'s GroupRules<'a>,
    pub(crate) addresses: &'s Internet,
}

impl<'s, 'a> Side<'s, 'a> {
    /// `egress` is there where any check of the policy asks for it.
    pub(crate) fn of(
        policy: &'s Policy,
        check: &Check,
        ingress: &'s GroupRules<'a>,
        egress: Option<&'s GroupRules<'a>>,
    ) -> Self {
        Self {
            rules: match (check.direction, egress) {
                (Direction::Egress, Some(egress)) => egress,
                (Direction::Ingress, _) | (Direction::Egress, None) => ingress,
            },
            addresses: match check.audience {
                Audience::Internet => &policy.internet,
                Audience::Private => Internet::private(),
            },
        }
    }
}

/// Whether a group is what a check on the group itself complains of.
///
/// # Errors
/// The service did not say, or says what is not understood; in words.
pub(super) fn property(kind: Kind, group: &SecurityGroup) -> Result<bool, String> {
    match kind {
        Kind::ClassicNetwork => Ok(group.is_classic()),
        Kind::NoDescription => Ok(group.description.trim().is_empty()),
        Kind::BasicType => match group.kind.to_ascii_lowercase().as_str() {
            "normal" => Ok(true),
            "enterprise" => Ok(false),
            _ => Err(format!(
                "SecurityGroupType \"{}\" is not understood",
                group.kind
            )),
        },
        Kind::Ports | Kind::AllPorts | Kind::AllProtocols | Kind::OutsideList => Ok(false),
    }
}
