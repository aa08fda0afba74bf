//! `[[check]]` tables: the same form in the packs that ship and in a schedule's `[[policy.check]]`.

use super::packs;
use super::reader::{Placed, Table};
use crate::exposure::set::PortSet;
use crate::model::{Family, Protocol, Severity};
use crate::policy::{Audience, Check, Direction, Kind, MinPublic};
use std::collections::BTreeMap;

/// The checks of a pack that ships.
///
/// # Errors
/// There is no such pack, or its TOML is wrong: a bug.
pub fn pack(name: &str) -> Result<Vec<Check>, String> {
    match packs::named(name, std::path::Path::new(".")) {
        Ok(pack) => Ok(pack.checks),
        Err(packs::NoPack::Name(why)) => Err(why),
        Err(packs::NoPack::Problems(problems)) => Err(super::Problems(problems).to_string()),
    }
}

/// One check. Problems are noted in the table's source; `None` where there were any.
pub fn read(table: &Table<'_, '_>) -> Option<Check> {
    let id = match table.text("id") {
        Some(id) if is_id(&id.value) => Some(id.value),
        Some(id) => {
            table.problem(&id, "must be lower-case letters, digits and hyphens");
            None
        }
        None if table.has("id") => None,
        None => {
            table.missing("id", "a name of your own, such as \"docker-api\"");
            None
        }
    };
    let severity = match table.text("severity") {
        Some(text) => parsed(
            table,
            &text,
            Severity::parse,
            "critical, high, medium or low",
        ),
        None if table.has("severity") => None,
        None => {
            table.missing("severity", "critical, high, medium or low");
            None
        }
    };
    let kind = match table.text("kind") {
        Some(text) => parsed(
            table,
            &text,
            Kind::parse,
            "ports, all-ports, all-protocols, outside-list, classic-network, basic-type or \
             no-description",
        ),
        None if table.has("kind") => None,
        None => Some(Kind::Ports),
    };
    let is_property = kind.is_some_and(Kind::is_property);
    if is_property {
        refuse_of_rules(table);
    }
    let side = if is_property {
        Some((Audience::Internet, Direction::Ingress))
    } else {
        read_side(table)
    };
    for (key, ignored) in [
        (
            "ports",
            matches!(kind, Some(Kind::AllPorts | Kind::AllProtocols)),
        ),
        ("protocols", kind == Some(Kind::AllProtocols)),
    ] {
        if ignored && table.has(key) {
            table.wrong(key, "a check of this kind looks at all of them");
        }
    }
    let (protocols, ports) = if is_property {
        (Some(Vec::new()), Some(PortSet::default()))
    } else {
        (read_protocols(table, kind), read_ports(table, kind))
    };
    let min_public = read_least(table, side.map(|(audience, _)| audience), is_property);
    let report_only = table.flag("report_only").map(|flag| flag.value);
    let words = |key: &str| table.text(key).map(|text| text.value);
    let (title, why, fix) = (words("title"), words("why"), words("fix"));
    let differs = words("differs").unwrap_or_default();
    let titles: BTreeMap<String, String> = [("zh-CN", "title_zh_cn"), ("zh-TW", "title_zh_tw")]
        .into_iter()
        .filter_map(|(tag, key)| Some((tag.to_owned(), words(key)?)))
        .collect();
    let controls = packs::read_controls(table);
    let id = id?;
    let (audience, direction) = side?;
    Some(Check {
        title: title.unwrap_or_else(|| id.clone()),
        titles,
        why: why.unwrap_or_default(),
        fix: fix.unwrap_or_default(),
        id,
        severity: severity?,
        kind: kind?,
        audience,
        direction,
        report_only: report_only.unwrap_or(false),
        protocols: protocols?,
        ports: ports?,
        min_public: min_public?,
        differs,
        controls,
    })
}

/// Keys that a check on the group itself does not have.
fn refuse_of_rules(table: &Table<'_, '_>) {
    for key in [
        "protocols",
        "ports",
        "audience",
        "direction",
        "min_public",
        "min_private",
        "report_only",
    ] {
        if table.has(key) {
            table.wrong(
                key,
                "a check of this kind looks at the group and at no rule",
            );
        }
    }
}

fn read_side(table: &Table<'_, '_>) -> Option<(Audience, Direction)> {
    let audience = match table.text("audience") {
        Some(text) => parsed(table, &text, Audience::parse, "internet or private"),
        None if table.has("audience") => None,
        None => Some(Audience::default()),
    };
    let direction = match table.text("direction") {
        Some(text) => parsed(table, &text, Direction::parse, "ingress or egress"),
        None if table.has("direction") => None,
        None => Some(Direction::default()),
    };
    Some((audience?, direction?))
}

/// `min_public`, which a check on private networks calls `min_private`.
fn read_least(
    table: &Table<'_, '_>,
    audience: Option<Audience>,
    is_property: bool,
) -> Option<MinPublic> {
    if is_property {
        return Some(MinPublic::default());
    }
    let (own, other, default) = match audience? {
        Audience::Internet => ("min_public", "min_private", MinPublic::default()),
        Audience::Private => ("min_private", "min_public", MinPublic::PRIVATE),
    };
    if table.has(other) {
        table.wrong(
            other,
            &format!("a check with this audience counts by \"{own}\""),
        );
        return None;
    }
    read_min_public(table, own, default)
}

fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A value that must be one of several words.
pub fn parsed<T>(
    table: &Table<'_, '_>,
    text: &Placed<String>,
    parse: impl Fn(&str) -> Option<T>,
    words: &str,
) -> Option<T> {
    let value = parse(&text.value);
    if value.is_none() {
        table.problem(text, format!("\"{}\" must be {words}", text.value));
    }
    value
}

fn read_protocols(table: &Table<'_, '_>, kind: Option<Kind>) -> Option<Vec<Protocol>> {
    let texts = match table.texts("protocols") {
        Some(texts) => texts,
        None if table.has("protocols") => return None,
        None => {
            return match kind? {
                Kind::Ports => Some(vec![Protocol::Tcp]),
                Kind::AllPorts | Kind::OutsideList => Some(vec![Protocol::Tcp, Protocol::Udp]),
                Kind::AllProtocols => Some(Protocol::ALL.to_vec()),
                Kind::ClassicNetwork | Kind::BasicType | Kind::NoDescription => Some(Vec::new()),
            };
        }
    };
    let mut out = Vec::new();
    let mut whole = true;
    for text in &texts {
        match parsed(
            table,
            text,
            Protocol::parse,
            "tcp, udp, icmp, icmpv6 or gre",
        ) {
            Some(protocol) if !out.contains(&protocol) => out.push(protocol),
            Some(_) => {}
            None => whole = false,
        }
    }
    if texts.is_empty() {
        table.missing("protocols", "at least one protocol");
        whole = false;
    }
    whole.then_some(out)
}

fn read_ports(table: &Table<'_, '_>, kind: Option<Kind>) -> Option<PortSet> {
    let Some(texts) = table.texts("ports") else {
        if table.has("ports") {
            return None;
        }
        return match kind? {
            Kind::AllPorts | Kind::AllProtocols => Some(PortSet::all()),
            Kind::ClassicNetwork | Kind::BasicType | Kind::NoDescription => {
                Some(PortSet::default())
            }
            Kind::Ports | Kind::OutsideList => {
                table.missing("ports", "such as [\"22\", \"8000-8100\"]");
                None
            }
        };
    };
    let mut ranges = Vec::new();
    let mut whole = true;
    for text in &texts {
        match parse_ports(&text.value) {
            Some(range) => ranges.push(range),
            None => {
                table.problem(
                    text,
                    format!(
                        "\"{}\" is no port or range of ports from 1 to 65535",
                        text.value
                    ),
                );
                whole = false;
            }
        }
    }
    if texts.is_empty() && kind == Some(Kind::Ports) {
        table.missing("ports", "at least one port");
        whole = false;
    }
    whole.then(|| PortSet::from_ranges(ranges))
}

/// `22` or `2375-2376`.
pub fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let port = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if plain {
            digits.parse::<u16>().ok().filter(|port| *port >= 1)
        } else {
            None
        }
    };
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((low, high)) => {
            let (low, high) = (port(low)?, port(high)?);
            (low <= high).then_some((low, high))
        }
    }
}

/// `{ ipv4 = "/16", ipv6 = "/32" }` or `"any"`.
pub fn read_min_public(table: &Table<'_, '_>, key: &str, default: MinPublic) -> Option<MinPublic> {
    if table.is_text(key) {
        let text = table.text(key)?;
        return parsed(
            table,
            &text,
            |text| (text == "any").then_some(MinPublic::ANY),
            "\"any\", or { ipv4 = \"/16\", ipv6 = \"/32\" }",
        );
    }
    let Some(inner) = table.table(key) else {
        return if table.has(key) { None } else { Some(default) };
    };
    let mut out = default;
    let mut whole = true;
    for (name, family, slot) in [
        ("ipv4", Family::Ipv4, &mut out.ipv4),
        ("ipv6", Family::Ipv6, &mut out.ipv6),
    ] {
        let Some(text) = inner.text(name) else {
            whole &= !inner.has(name);
            continue;
        };
        match MinPublic::parse_prefix(family, &text.value) {
            Some(prefix) => *slot = Some(prefix),
            None => {
                inner.problem(
                    &text,
                    format!("\"{}\" is no prefix length such as /16", text.value),
                );
                whole = false;
            }
        }
    }
    inner.finish();
    whole.then_some(out)
}
