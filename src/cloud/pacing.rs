//! A pace per (account, region, action): slower while the service throttles, back by itself.
//! Nobody who waits here holds a place in flight, so others never wait for it.
//!
//! Source of the key: help page "API throttling": limits count per account, region and action.

use super::settings::Limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// All paces of a client.
#[derive(Default)]
pub struct Pacing {
    paces: Mutex<BTreeMap<(String, String, String), Arc<Pace>>>,
}

impl Pacing {
    /// The pace of one (account, region, action).
    pub fn of(&self, account: &str, region: &str, action: &str) -> Arc<Pace> {
        let key = (account.to_owned(), region.to_owned(), action.to_owned());
        Arc::clone(locked(&self.paces).entry(key).or_default())
    }
}

/// One pace.
#[derive(Default)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Gap between two calls; zero: none.
    gap: Duration,
    /// When the next call may go, where there is a gap.
    next: Option<Instant>,
    /// Nobody goes before this.
    blocked: Option<Instant>,
    /// When the gap last grew: refusals of calls sent before that are the same news.
    slowed: Option<Instant>,
    /// When the service last did what was asked.
    answered: Option<Instant>,
    /// A call used up its budget of throttling, and none has gone through since.
    hopeless: bool,
    /// A call used up its budget of silence, and none has been answered since.
    silent: bool,
    /// When a call last went out all the same.
    probed: Option<Instant>,
}

impl Pace {
    /// Waits until it is this call's turn.
    pub async fn turn(&self) {
        loop {
            let at = self.reserve(Instant::now());
            let Some(at) = at else { return };
            sleep_until(at).await;
            let state = locked(&self.state);
            let blocked = state.blocked.is_some_and(|until| until > Instant::now());
            drop(state);
            if !blocked {
                return;
            }
        }
    }

    /// Books a place and says when it is; `None`: at once.
    fn reserve(&self, now: Instant) -> Option<Instant> {
        let mut state = locked(&self.state);
        let mut at = now;
        if let Some(until) = state.blocked {
            at = at.max(until);
        }
        if !state.gap.is_zero() {
            if let Some(next) = state.next {
                at = at.max(next);
            }
            state.next = Some(at + state.gap);
        }
        (at > now).then_some(at)
    }

    /// A call sent at `sent` was throttled.
    pub fn refused(&self, sent: Instant, limits: &Limits) {
        let mut state = locked(&self.state);
        if state.slowed.is_some_and(|slowed| sent <= slowed) {
            return;
        }
        let doubled = state.gap.saturating_mul(2);
        state.gap = doubled.clamp(limits.pace_first, limits.pace_slowest);
        state.slowed = Some(Instant::now());
    }

    /// Refusals persist since `since`: unless another call went through meanwhile, all wait.
    pub fn block(&self, since: Instant, until: Instant) {
        let mut state = locked(&self.state);
        if state.answered.is_none_or(|answered| answered < since) {
            state.blocked = state.blocked.max(Some(until));
        }
    }

    /// A call went through: a little faster.
    pub fn answered(&self, limits: &Limits) {
        let mut state = locked(&self.state);
        state.answered = Some(Instant::now());
        state.blocked = None;
        state.hopeless = false;
        state.silent = false;
        state.gap = state.gap.mul_f64(0.85);
        if state.gap < limits.pace_first / 4 {
            state.gap = Duration::ZERO;
            state.next = None;
        }
    }

    /// A call was answered, if only by a refusal.
    pub fn heard(&self) {
        locked(&self.state).silent = false;
    }

    /// A call gave up on throttling: until one goes through, one refusal is enough.
    pub fn give_up(&self) {
        let mut state = locked(&self.state);
        state.hopeless = true;
        state.blocked = None;
    }

    /// A call gave up on silence: until one is answered, one attempt is enough.
    pub fn give_up_silent(&self) {
        locked(&self.state).silent = true;
    }

    /// Whether a call gave up on throttling and none went through since.
    pub fn is_hopeless(&self) -> bool {
        locked(&self.state).hopeless
    }

    /// Whether a call may go out: always, but while nothing is answered one probe at a time, a gap
    /// apart. Thousands of calls that each wait for nothing would hold up everybody else for hours.
    pub fn may_go(&self, now: Instant, gap: Duration) -> bool {
        let mut state = locked(&self.state);
        if !state.silent {
            return true;
        }
        if state.probed.is_some_and(|probed| now < probed + gap) {
            return false;
        }
        state.probed = Some(now);
        true
    }

    /// Whether a call gave up on silence and none was answered since.
    pub fn is_silent(&self) -> bool {
        locked(&self.state).silent
    }

    /// The gap between two calls as it is now.
    pub fn gap(&self) -> Duration {
        locked(&self.state).gap
    }
}

/// The lock, also after a panic elsewhere: all states here are valid between any two statements.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slows_down_and_recovers_by_itself() {
        let limits = Limits::default();
        let pace = Pace::default();
        let begin = Instant::now();
        for _ in 0..100 {
            pace.turn().await;
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);

        let sent = Instant::now();
        pace.refused(sent, &limits);
        assert_eq!(pace.gap(), limits.pace_first);
        // Refusals of the same burst are one piece of news.
        tokio::time::advance(Duration::from_millis(1)).await;
        pace.refused(sent, &limits);
        assert_eq!(pace.gap(), limits.pace_first);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_millis(1)).await;
            pace.refused(Instant::now(), &limits);
        }
        assert_eq!(pace.gap(), limits.pace_slowest);

        pace.turn().await;
        let begin = Instant::now();
        pace.turn().await;
        pace.turn().await;
        let two = begin.elapsed();
        assert!(two >= limits.pace_slowest * 2, "{two:?}");
        for _ in 0..40 {
            pace.answered(&limits);
        }
        assert_eq!(pace.gap(), Duration::ZERO);
        let begin = Instant::now();
        pace.turn().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_stops_everybody_unless_something_went_through() {
        let limits = Limits::default();
        let pace = Pace::default();
        let since = Instant::now();
        pace.block(since, since + Duration::from_secs(30));
        pace.turn().await;
        assert!(since.elapsed() >= Duration::from_secs(30));
        let since = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        pace.answered(&limits);
        pace.block(since, Instant::now() + Duration::from_secs(30));
        let begin = Instant::now();
        pace.turn().await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
