//! What a finding is about, by its check: sentences differ for what comes in from the internet, from
//! private networks, for what goes out, and for what a group is.

use super::view::visible;
use crate::model::{Protocol, RunHeader};

/// What a finding's check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The private networks, and not the internet.
    pub private: bool,
    /// What goes out, and not what comes in.
    pub egress: bool,
    /// Of a check on the group itself: the key of its sentence.
    pub property: Option<&'static str>,
}

impl About {
    /// By the check's id; a check that the header does not have is taken for the usual kind.
    pub fn of(header: &RunHeader, check: &str) -> Self {
        let info = header.checks.iter().find(|info| info.id == check);
        Self {
            private: info.is_some_and(|info| info.audience == "private"),
            egress: info.is_some_and(|info| info.direction == "egress"),
            property: info.and_then(|info| match info.kind.as_str() {
                "classic-network" => Some("sentence.classic_network"),
                "basic-type" => Some("sentence.basic_type"),
                "no-description" => Some("sentence.no_description"),
                _ => None,
            }),
        }
    }

    /// Whether such a finding says that the internet gets in.
    pub fn is_open_to_internet(self) -> bool {
        !self.private && !self.egress && self.property.is_none()
    }
}

/// What stands in a person's mind for a port.
pub fn service(protocol: Protocol, ports: &str) -> Option<&'static str> {
    Some(match (protocol, ports) {
        (Protocol::Tcp, "21") => "FTP",
        (Protocol::Tcp, "22") => "SSH",
        (Protocol::Tcp, "23") => "Telnet",
        (Protocol::Tcp, "445") => "SMB",
        (Protocol::Tcp, "1433") => "SQL Server",
        (Protocol::Tcp, "1521") => "Oracle",
        (Protocol::Tcp, "2375" | "2375-2376") => "Docker",
        (Protocol::Tcp, "3306") => "MySQL",
        (Protocol::Tcp | Protocol::Udp, "3389") => "RDP",
        (Protocol::Tcp, "5432") => "PostgreSQL",
        (Protocol::Tcp, "6379") => "Redis",
        (Protocol::Tcp, "6443") => "Kubernetes",
        (Protocol::Tcp, "9200") => "Elasticsearch",
        (Protocol::Tcp, "10250") => "kubelet",
        (Protocol::Tcp | Protocol::Udp, "11211") => "Memcached",
        (Protocol::Tcp, "27017") => "MongoDB",
        _ => return None,
    })
}

/// A protocol as people read it: rules may have it as a number. Files for machines keep the number.
pub fn protocol(text: &str) -> String {
    let name = match text.trim() {
        "1" => "ICMP",
        "6" => "TCP",
        "17" => "UDP",
        "47" => "GRE",
        "58" => "ICMPv6",
        _ => return visible(text),
    };
    format!("{name} ({})", text.trim())
}
