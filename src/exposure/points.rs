//! Sets of points and their sources, as runs: what of one is not in another. Waivers are held against
//! exposures by it, two runs of the program against each other, and traffic that ends against traffic
//! that was approved.

use super::first_match::Run;
use super::set::{AddressSet, PortRange, parse_any_cidr};
use crate::model::ExposedRun;

/// What of `some` is not in `others`: at each point the sources less those that any of `others` has
/// there. Runs of the result are never empty.
pub fn minus(some: &[Run], others: &[Run]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for run in some {
        let alike: Vec<&Run> = others
            .iter()
            .filter(|other| other.family == run.family && other.protocol == run.protocol)
            .collect();
        for ports in pieces(run.ports, &alike) {
            let taken = AddressSet::from_ranges(
                alike
                    .iter()
                    .filter(|other| covers(other.ports, ports))
                    .flat_map(|other| other.sources.ranges().iter().copied()),
            );
            push(&mut out, run, ports, run.sources.subtract(&taken));
        }
    }
    out
}

/// What is in both.
pub fn common(some: &[Run], others: &[Run]) -> Vec<Run> {
    minus(some, &minus(some, others))
}

/// A finding's runs as sets again; `None` where a text of it is not one of ours.
pub fn read(shown: &[ExposedRun]) -> Option<Vec<Run>> {
    shown.iter().map(read_one).collect()
}

fn read_one(shown: &ExposedRun) -> Option<Run> {
    let ports = match (shown.protocol.has_ports(), shown.ports.as_str()) {
        (false, "") => None,
        (true, text) => Some(read_ports(text)?),
        (false, _) => return None,
    };
    let mut ranges = Vec::with_capacity(shown.sources.len());
    for source in &shown.sources {
        let (family, range) = parse_any_cidr(source)?;
        if family != shown.family {
            return None;
        }
        ranges.push(range);
    }
    Some(Run {
        family: shown.family,
        protocol: shown.protocol,
        ports,
        sources: AddressSet::from_ranges(ranges),
    })
}

fn read_ports(text: &str) -> Option<PortRange> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse::<u16>().ok()?, high.parse::<u16>().ok()?);
    (1 <= low && low <= high).then_some((low, high))
}

/// The ports cut wherever one of the others begins or ends.
fn pieces(ports: Option<PortRange>, others: &[&Run]) -> Vec<Option<PortRange>> {
    let Some((low, high)) = ports else {
        return vec![None];
    };
    let mut starts = vec![low];
    for (from, to) in others.iter().filter_map(|other| other.ports) {
        starts.push(from);
        starts.extend(to.checked_add(1));
    }
    starts.retain(|start| low <= *start && *start <= high);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts
        .iter()
        .skip(1)
        .map(|start| start.saturating_sub(1))
        .chain([high]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| Some((*start, end)))
        .collect()
}

fn covers(whole: Option<PortRange>, piece: Option<PortRange>) -> bool {
    match (whole, piece) {
        (None, None) => true,
        (Some((from, to)), Some((low, high))) => from <= low && high <= to,
        _ => false,
    }
}

fn push(out: &mut Vec<Run>, of: &Run, ports: Option<PortRange>, sources: AddressSet) {
    if sources.is_empty() {
        return;
    }
    if let (Some(last), Some((low, high))) = (out.last_mut(), ports)
        && last.family == of.family
        && last.protocol == of.protocol
        && let Some((_, last_high)) = &mut last.ports
        && last_high.checked_add(1) == Some(low)
        && last.sources == sources
    {
        *last_high = high;
        return;
    }
    out.push(Run {
        family: of.family,
        protocol: of.protocol,
        ports,
        sources,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Protocol};

    fn run(ports: PortRange, sources: (u128, u128)) -> Run {
        Run {
            family: Family::Ipv4,
            protocol: Protocol::Tcp,
            ports: Some(ports),
            sources: AddressSet::from_ranges([sources]),
        }
    }

    #[test]
    fn several_together_cover_what_none_covers_alone() {
        let exposed = [run((20, 30), (0, 99))];
        let halves = [
            run((1, 25), (0, 49)),
            run((1, 25), (50, 99)),
            run((26, 100), (0, 200)),
        ];
        assert!(minus(&exposed, &halves).is_empty());
        assert_eq!(minus(&exposed, &halves[1..]), [run((20, 25), (0, 49))]);
        assert_eq!(common(&exposed, &halves[..1]), [run((20, 25), (0, 49))]);
    }

    #[test]
    fn another_protocol_or_family_covers_nothing() {
        let exposed = [run((22, 22), (0, 9))];
        let mut udp = run((22, 22), (0, 9));
        udp.protocol = Protocol::Udp;
        let mut six = run((22, 22), (0, 9));
        six.family = Family::Ipv6;
        assert_eq!(minus(&exposed, &[udp, six]), exposed);
    }

    #[test]
    fn the_last_port_is_a_port() {
        let exposed = [run((65_534, 65_535), (0, 9))];
        assert_eq!(
            minus(&exposed, &[run((65_535, 65_535), (0, 9))]),
            [run((65_534, 65_534), (0, 9))]
        );
    }
}
