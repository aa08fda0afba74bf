//! What a policy allows to be done about what it finds: plain values with their defaults.

use super::check::MinPublic;
use crate::model::{GroupId, Tag};
use chrono::{DateTime, Datelike as _, NaiveTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;

/// What a run may do to what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    #[default]
    Off,
    /// Say what would be done.
    Plan,
    /// Revoke the cut.
    Revoke,
    /// Put narrower rules in the place of the cut's.
    Narrow,
}

impl Mode {
    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Plan => "plan",
            Self::Revoke => "revoke",
            Self::Narrow => "narrow",
        }
    }

    /// Whether the mode can change anything.
    pub fn changes(self) -> bool {
        match self {
            Self::Off | Self::Plan => false,
            Self::Revoke | Self::Narrow => true,
        }
    }
}

/// A time of the week at which changes may be made, in the schedule's zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// First and last day; both alike for one day.
    pub days: (Weekday, Weekday),
    /// From then on.
    pub from: NaiveTime,
    /// Until then, not included. Before `from`: on the next day.
    pub until: NaiveTime,
}

impl Window {
    /// Reads `Mon-Fri 01:00-05:00`, `Sat 22:00-02:00` or `01:00-05:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (days, hours) = match text.rsplit_once(' ') {
            Some((days, hours)) => (Some(days.trim()), hours),
            None => (None, text),
        };
        let day = |word: &str| word.parse::<Weekday>().ok();
        let days = match days.map(|days| (days, days.split_once('-'))) {
            None => (Weekday::Mon, Weekday::Sun),
            Some((_, Some((first, last)))) => (day(first)?, day(last)?),
            Some((one, None)) => (day(one)?, day(one)?),
        };
        let (from, until) = hours.split_once('-')?;
        let time = |text: &str| {
            if text == "24:00" {
                return Some(NaiveTime::MIN);
            }
            NaiveTime::parse_from_str(text, "%H:%M").ok()
        };
        let (from, until) = (time(from)?, time(until)?);
        (from != until).then_some(Self { days, from, until })
    }

    /// Whether a moment lies in it.
    pub fn holds(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        let local = at.with_timezone(&zone).naive_local();
        let time = local.time();
        let today = local.date().weekday();
        if self.from < self.until {
            return self.has_day(today) && self.from <= time && time < self.until;
        }
        // Over midnight: the evening of a day of the window, or the morning after one.
        (self.has_day(today) && self.from <= time)
            || (self.has_day(today.pred()) && time < self.until)
    }

    fn has_day(&self, day: Weekday) -> bool {
        let (first, last) = self.days;
        first.days_since(Weekday::Mon) <= last.days_since(Weekday::Mon)
            && (first.days_since(Weekday::Mon)..=last.days_since(Weekday::Mon))
                .contains(&day.days_since(Weekday::Mon))
            || first.days_since(Weekday::Mon) > last.days_since(Weekday::Mon)
                && (day.days_since(Weekday::Mon) >= first.days_since(Weekday::Mon)
                    || day.days_since(Weekday::Mon) <= last.days_since(Weekday::Mon))
    }
}

/// What is never touched, and who must keep a way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protect {
    /// A group with one of these tags.
    pub tags: Vec<Tag>,
    /// These groups.
    pub groups: Vec<GroupId>,
    /// Addresses that must keep their way in.
    pub sources: Vec<String>,
}

/// `[remediation]` with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remediation {
    /// What may be done at all.
    pub mode: Mode,
    /// Whether the mode is that of a dry run, and the schedule's own would change something.
    pub rehearses: bool,
    /// Whether rules are narrowed and not only revoked, wherever they are changed: also of a plan that
    /// is made in another mode and carried out later.
    pub narrow: bool,
    /// What a narrowed rule still lets in at the checks' ports, beside the trusted networks.
    pub keep: Vec<String>,
    /// Rules of a smaller reach are held: a person knows why they are there.
    pub revoke_min: MinPublic,
    /// Whether rules that open more than the checks name are held.
    pub hold_overbroad: bool,
    /// Only what was already reported this long ago.
    pub grace: TimeDelta,
    /// Rules; a run that wants more changes nothing.
    pub max_changes: u64,
    /// Percent of the groups read, rounded up, never below three groups.
    pub max_share_percent: u64,
    /// When changes may be made; none: any time.
    pub windows: Vec<Window>,
    /// What is protected.
    pub protect: Protect,
    /// So many groups first, then the rest; 0: none.
    pub canary: u64,
    /// A Cloud Config rule to evaluate again after changes.
    pub config_rule: Option<String>,
}

/// Private networks (RFC 1918, RFC 6598, RFC 4193): what is kept where the schedule says nothing.
const KEEP: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];

impl Remediation {
    /// The same where nothing is to be changed all the same: what the mode would do is only said.
    pub fn rehearsed(mut self) -> Self {
        if self.mode.changes() {
            self.mode = Mode::Plan;
            self.rehearses = true;
        }
        self
    }

    /// Why nothing is changed, where the mode or the command says so.
    pub fn why_not(&self) -> String {
        if self.rehearses {
            return "a dry run: nothing is changed, whatever the schedule's mode".to_owned();
        }
        format!("mode is {}", self.mode.as_str())
    }

    /// Whether changes may be made at a moment.
    pub fn is_open(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.holds(at, zone))
    }

    /// The mode in which a plan of it is carried out.
    pub fn acting_mode(&self) -> Mode {
        if self.narrow {
            Mode::Narrow
        } else {
            Mode::Revoke
        }
    }
}

impl Default for Remediation {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            rehearses: false,
            narrow: false,
            keep: KEEP.iter().map(|&text| text.to_owned()).collect(),
            revoke_min: MinPublic {
                ipv4: Some(8),
                ipv6: Some(16),
            },
            hold_overbroad: true,
            grace: TimeDelta::zero(),
            max_changes: 20,
            max_share_percent: 10,
            windows: Vec::new(),
            protect: Protect {
                tags: vec![Tag {
                    key: "sgwarden".to_owned(),
                    value: "keep".to_owned(),
                }],
                groups: Vec::new(),
                sources: Vec::new(),
            },
            canary: 1,
            config_rule: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_over_midnight_and_over_the_week_end() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let week = Window::parse("Mon-Fri 01:00-05:00").expect("a window");
        assert!(week.holds(at("2026-11-23T01:00:00Z"), Tz::UTC), "Monday");
        assert!(!week.holds(at("2026-11-23T05:00:00Z"), Tz::UTC));
        assert!(!week.holds(at("2026-11-22T02:00:00Z"), Tz::UTC), "Sunday");
        assert!(
            week.holds(at("2026-11-22T17:30:00Z"), Tz::Asia__Taipei),
            "Monday there"
        );
        let night = Window::parse("Sat 22:00-02:00").expect("a window");
        assert!(night.holds(at("2026-11-21T23:00:00Z"), Tz::UTC));
        assert!(night.holds(at("2026-11-22T01:59:00Z"), Tz::UTC));
        assert!(!night.holds(at("2026-11-21T01:00:00Z"), Tz::UTC));
        let around = Window::parse("Fri-Mon 00:00-24:00");
        assert!(
            around.is_none(),
            "from and until are one: say nothing for any time"
        );
        assert!(Window::parse("Mon").is_none());
        assert!(Window::parse("Funday 01:00-02:00").is_none());
    }
}
