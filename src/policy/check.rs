//! Checks: what they look at, and when a group is exposed under one.

use super::side::{Audience, Direction};
use crate::exposure::set::{PortSet, network_size, parse_prefix, ports_text};
use crate::exposure::{Certainty, GroupRules, Internet, Run};
use crate::model::{CheckInfo, Control, Family, Protocol, Severity, Totals};
use std::collections::BTreeMap;

/// When a check is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any point of its protocols and ports is exposed.
    Ports,
    /// All 65535 ports of one of its protocols are exposed in one family.
    AllPorts,
    /// tcp and udp at every port, gre, and icmp or icmpv6 are exposed in one family.
    AllProtocols,
    /// A tcp or udp port that is not listed is exposed.
    OutsideList,
    /// The group lies in the classic network.
    ClassicNetwork,
    /// The group is of the basic type.
    BasicType,
    /// The group has no description.
    NoDescription,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Ports,
        Self::AllPorts,
        Self::AllProtocols,
        Self::OutsideList,
        Self::ClassicNetwork,
        Self::BasicType,
        Self::NoDescription,
    ];

    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::AllPorts => "all-ports",
            Self::AllProtocols => "all-protocols",
            Self::OutsideList => "outside-list",
            Self::ClassicNetwork => "classic-network",
            Self::BasicType => "basic-type",
            Self::NoDescription => "no-description",
        }
    }

    /// The inverse of [`Kind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether a finding of it may be closed by revoking rules; the others report.
    pub fn is_remediable(self) -> bool {
        matches!(self, Self::Ports | Self::AllPorts)
    }

    /// Whether it looks at what the group is, and at no rule.
    pub fn is_property(self) -> bool {
        matches!(
            self,
            Self::ClassicNetwork | Self::BasicType | Self::NoDescription
        )
    }
}

/// The least set of sources that counts, per family: a network's size, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinPublic {
    /// Prefix length; `None` is `any`.
    pub ipv4: Option<u32>,
    /// Prefix length; `None` is `any`.
    pub ipv6: Option<u32>,
}

impl Default for MinPublic {
    fn default() -> Self {
        Self {
            ipv4: Some(16),
            ipv6: Some(32),
        }
    }
}

impl MinPublic {
    /// One address is enough.
    pub const ANY: Self = Self {
        ipv4: None,
        ipv6: None,
    };

    /// The default of checks on private networks: a usual VPC, and the site's prefix of RFC 4193.
    pub const PRIVATE: Self = Self {
        ipv4: Some(16),
        ipv6: Some(48),
    };

    /// How many addresses it takes.
    pub fn addresses(self, family: Family) -> u128 {
        let prefix = match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        };
        prefix.map_or(1, |prefix| network_size(family, prefix))
    }

    /// Reads `"/16"` of one family.
    pub fn parse_prefix(family: Family, text: &str) -> Option<u32> {
        let bits = crate::exposure::set::bits(family);
        parse_prefix(text.strip_prefix('/')?, bits)
    }
}

/// One check of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Unique in a policy.
    pub id: String,
    /// One line.
    pub title: String,
    /// The line in other languages, by tag.
    pub titles: BTreeMap<String, String>,
    /// Why it matters.
    pub why: String,
    /// How to fix it.
    pub fix: String,
    /// How bad.
    pub severity: Severity,
    /// When it is exposed.
    pub kind: Kind,
    /// Whose addresses count.
    pub audience: Audience,
    /// Which rules are judged.
    pub direction: Direction,
    /// Shown and never acted on, although its kind could be.
    pub report_only: bool,
    /// The protocols looked at.
    pub protocols: Vec<Protocol>,
    /// The ports looked at; of `outside-list`, the ports that are allowed.
    pub ports: PortSet,
    /// The least exposure that counts.
    pub min_public: MinPublic,
    /// Where it decides otherwise than the rule or clause it stands for, and why; or empty.
    pub differs: String,
    /// The clauses it is commonly mapped to.
    pub controls: Vec<Control>,
}

impl Check {
    /// Whether its findings may be closed by revoking rules.
    pub fn is_remediable(&self) -> bool {
        self.kind.is_remediable()
            && self.audience == Audience::Internet
            && self.direction == Direction::Ingress
            && !self.report_only
    }

    /// The exposed points as maximal runs under one reading; none: not exposed.
    pub fn exposed(
        &self,
        group: &GroupRules<'_>,
        certainty: Certainty,
        internet: &Internet,
    ) -> Vec<Run> {
        let over = |family: Family, protocol: Protocol, scope: &PortSet| -> Vec<Run> {
            let least = self.min_public.addresses(family);
            if group.at_most(certainty, internet, family, protocol, scope) < least {
                return Vec::new();
            }
            let mut runs = group.accepted(certainty, internet, family, protocol, scope);
            runs.retain(|run| run.sources.count() >= least);
            runs
        };
        let mut out = Vec::new();
        match self.kind {
            Kind::Ports => {
                for family in Family::ALL {
                    for protocol in &self.protocols {
                        out.extend(over(family, *protocol, &self.ports));
                    }
                }
            }
            Kind::AllPorts => {
                for family in Family::ALL {
                    for protocol in self.protocols.iter().filter(|p| p.has_ports()) {
                        let runs = over(family, *protocol, &PortSet::all());
                        if cover_every_port(&runs) {
                            out.extend(runs);
                        }
                    }
                }
            }
            Kind::AllProtocols => {
                for family in Family::ALL {
                    let mut all = Vec::new();
                    let whole = Protocol::ALL
                        .into_iter()
                        .filter(|p| p.is_of(family))
                        .all(|p| {
                            let runs = over(family, p, &PortSet::all());
                            let covered = if p.has_ports() {
                                cover_every_port(&runs)
                            } else {
                                !runs.is_empty()
                            };
                            all.extend(runs);
                            covered
                        });
                    if whole {
                        out.extend(all);
                    }
                }
            }
            Kind::OutsideList => {
                let scope = self.ports.complement();
                for family in Family::ALL {
                    for protocol in self.protocols.iter().filter(|p| p.has_ports()) {
                        out.extend(over(family, *protocol, &scope));
                    }
                }
            }
            // Of the group itself: no rule is looked at.
            Kind::ClassicNetwork | Kind::BasicType | Kind::NoDescription => {}
        }
        out
    }

    /// The ports of a protocol at which it may be remedied, of one without ports every port; `None`
    /// where it does not look at the protocol or only reports.
    pub fn remediable_ports(&self, protocol: Protocol) -> Option<PortSet> {
        if !self.is_remediable() || !self.protocols.contains(&protocol) {
            return None;
        }
        if !protocol.has_ports() {
            return (self.kind == Kind::Ports).then(PortSet::all);
        }
        Some(if self.kind == Kind::AllPorts {
            PortSet::all()
        } else {
            self.ports.clone()
        })
    }

    /// Whether a rule that could match these protocols and ports could matter to this check.
    pub fn looks_at(&self, rule: &crate::exposure::ReadRule<'_>) -> bool {
        let scope = match self.kind {
            Kind::Ports => self.ports.clone(),
            Kind::AllPorts | Kind::AllProtocols => PortSet::all(),
            Kind::OutsideList => self.ports.complement(),
            Kind::ClassicNetwork | Kind::BasicType | Kind::NoDescription => return false,
        };
        let protocols: &[Protocol] = match self.kind {
            Kind::AllProtocols => &Protocol::ALL,
            _ => &self.protocols,
        };
        protocols.iter().any(|protocol| {
            Family::ALL
                .into_iter()
                .any(|family| protocol.is_of(family) && rule.reaches(family, *protocol, &scope))
        })
    }

    /// As reports name it.
    pub fn info(&self) -> CheckInfo {
        let prefix = |p: Option<u32>| p.map_or_else(|| "any".to_owned(), |p| format!("/{p}"));
        CheckInfo {
            id: self.id.clone(),
            title: self.title.clone(),
            titles: self.titles.clone(),
            groups: Totals::default(),
            why: self.why.clone(),
            fix: self.fix.clone(),
            severity: self.severity,
            kind: self.kind.as_str().to_owned(),
            audience: self.audience.as_str().to_owned(),
            direction: self.direction.as_str().to_owned(),
            report_only: self.report_only,
            differs: self.differs.clone(),
            protocols: self
                .protocols
                .iter()
                .map(|p| p.as_str().to_owned())
                .collect(),
            ports: self
                .ports
                .ranges()
                .iter()
                .map(|range| ports_text(*range))
                .collect(),
            min_public: BTreeMap::from([
                ("ipv4".to_owned(), prefix(self.min_public.ipv4)),
                ("ipv6".to_owned(), prefix(self.min_public.ipv6)),
            ]),
        }
    }
}

fn cover_every_port(runs: &[Run]) -> bool {
    let ports = PortSet::from_ranges(runs.iter().filter_map(|run| run.ports));
    ports == PortSet::all()
}
