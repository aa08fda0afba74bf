//! Exit codes, in one table.

use crate::job::{self, RunOutcome};
use crate::model::{RunRecord, Severity, Verdict};
use crate::report::view::View;
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the job is complete and delivered.
    Done,
    /// 1: findings at or above `--fail-on` that the run did not close; of `verify`: a difference.
    Difference,
    /// 2: usage or configuration: nothing was called.
    Usage,
    /// 3: something in the scope could not be read or judged.
    Incomplete,
    /// 4: a change was attempted and is not verified, or the group is still exposed after it.
    Broken,
    /// 5: evidence is stored, but a delivery failed.
    Undelivered,
    /// 6: the job could not start, or its evidence could not be kept.
    NotStarted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Difference => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Broken => 4,
            Self::Undelivered => 5,
            Self::NotStarted => 6,
        }
    }

    /// Of a run that was sealed: where several apply, 4 before 3 before 5 before 1.
    pub fn of(outcome: &RunOutcome, fail_on: Option<Severity>) -> Self {
        if outcome.broken_change() {
            Self::Broken
        } else if !outcome.record.header.complete {
            Self::Incomplete
        } else if outcome.undelivered() {
            Self::Undelivered
        } else if fail_on.is_some_and(|least| has_findings(&outcome.record, least)) {
            Self::Difference
        } else {
            Self::Done
        }
    }
}

impl Exit {
    /// Of a rollback: what could not be put back is a change that is not as it was asked for.
    pub fn of_rollback(outcome: &RunOutcome) -> Self {
        if outcome.record.is_not_back() {
            return Self::Broken;
        }
        Self::of(outcome, None)
    }
}

/// Whether a finding so grave is there after the run: what it closed itself, and verified, is not.
fn has_findings(record: &RunRecord, least: Severity) -> bool {
    let view = View::in_english(record);
    record.findings.iter().any(|finding| {
        finding.severity >= least
            && finding.verdict != Verdict::Waived
            && view.closed(finding).is_none()
    })
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command has no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What was being done, to what, what was answered, what to do next.
    pub message: String,
}

impl Failure {
    /// Usage or configuration.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// It could not start.
    pub(super) fn start(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotStarted,
            message: message.into(),
        }
    }

    /// An error and its causes in one line.
    pub(super) fn chain(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self { exit, message }
    }
}

impl From<job::Error> for Failure {
    fn from(error: job::Error) -> Self {
        let exit = match &error {
            job::Error::Refused(_) => Exit::Usage,
            job::Error::Letter(_) => Exit::Undelivered,
            job::Error::Start(_)
            | job::Error::Evidence(_)
            | job::Error::State(_)
            | job::Error::Overtaken(_)
            | job::Error::Unkept { .. }
            | job::Error::Report(_)
            | job::Error::Random(_) => Exit::NotStarted,
        };
        let mut failure = Self::chain(exit, &error);
        // The service's own words may have line breaks; one error is one line.
        failure.message = failure.message.replace(['\n', '\r'], " ");
        failure
    }
}

impl From<crate::evidence::Error> for Failure {
    fn from(error: crate::evidence::Error) -> Self {
        let exit = match &error {
            crate::evidence::Error::NoRun { .. } => Exit::Usage,
            _ => Exit::NotStarted,
        };
        Self::chain(exit, &error)
    }
}

impl From<crate::state::Error> for Failure {
    fn from(error: crate::state::Error) -> Self {
        Self::chain(Exit::NotStarted, &error)
    }
}
