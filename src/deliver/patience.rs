//! How long delivery may take. A run that nobody hurries tries again, and waits between tries. Once it
//! was asked to stop, somebody waits for its end: what is being tried has a little longer, what was not
//! tried yet has one short try, and nothing waits. What is not accepted is in the outbox already.

use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A try of a run that was asked to stop.
pub const SHORT: Duration = Duration::from_secs(10);

/// The time for what goes to one receiver: a relay, a chat, a watchman.
#[derive(Clone, Debug)]
pub struct Patience {
    asked: watch::Receiver<Option<String>>,
    last: Option<Instant>,
    spent: bool,
}

impl Patience {
    /// Until `asked` holds a reason to hurry; and in no case after `last`.
    pub fn new(asked: watch::Receiver<Option<String>>, last: Option<Instant>) -> Self {
        Self {
            asked,
            last,
            spent: false,
        }
    }

    /// Nobody will hurry.
    pub fn endless() -> Self {
        Self::new(watch::Sender::new(None).subscribe(), None)
    }

    /// Why nothing more is tried, where it is over.
    pub fn over(&self) -> Option<String> {
        if self.last.is_some_and(|last| Instant::now() >= last) {
            return Some("the time of this run is up".to_owned());
        }
        let why = self.asked.borrow().clone().filter(|_| self.spent)?;
        Some(format!(
            "the run was asked to stop ({why}), and there was no answer for too long"
        ))
    }

    /// Does the work within `limit`, or in a hurry within [`SHORT`], or half of what is left where that is
    /// less, so that other receivers have their try; `None`: it took longer. In a hurry that is the end of
    /// it: a receiver that hangs is not tried again.
    pub async fn bound<T>(&mut self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let end = self.no_later(limit);
        let last = self.last;
        let short = async |asked: &mut watch::Receiver<Option<String>>| {
            hurry(asked).await;
            let now = Instant::now();
            let left = last.map(|last| last.saturating_duration_since(now) / 2);
            now + left.map_or(SHORT, |half| half.min(SHORT))
        };
        let mut work = pin!(work);
        let done = tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = sleep_until(end) => None,
            short = short(&mut self.asked) => timeout_at(end.min(short), work).await.ok(),
        };
        self.spent |= done.is_none() && self.asked.borrow().is_some();
        done
    }

    /// Waits before another try; `false`: there is no time for one.
    pub async fn wait(&mut self, wait: Duration) -> bool {
        let end = self.no_later(wait);
        if Some(end) == self.last {
            return false;
        }
        tokio::select! {
            biased;
            () = hurry(&mut self.asked) => false,
            () = sleep_until(end) => true,
        }
    }

    fn no_later(&self, limit: Duration) -> Instant {
        let end = Instant::now() + limit;
        self.last.map_or(end, |last| last.min(end))
    }
}

/// Waits until there is a reason to hurry.
async fn hurry(asked: &mut watch::Receiver<Option<String>>) {
    if asked.wait_for(Option::is_some).await.is_err() {
        // Whoever could ask has gone.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn in_a_hurry_there_is_one_short_try_and_no_waiting() {
        let asker = watch::Sender::new(None);
        let mut patience = Patience::new(asker.subscribe(), None);
        let began = Instant::now();
        assert!(patience.wait(LONG).await);
        assert_eq!(
            patience.bound(LONG, std::future::pending::<()>()).await,
            None
        );
        assert_eq!(began.elapsed().as_secs(), 240, "nobody hurries");
        assert_eq!(patience.over(), None);

        let began = Instant::now();
        let asking = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            asker.send_replace(Some("SIGTERM".to_owned()));
        };
        let (done, ()) = tokio::join!(patience.bound(LONG, std::future::pending::<()>()), asking);
        assert_eq!(done, None);
        assert_eq!(began.elapsed().as_secs(), 13);
        assert!(!patience.wait(LONG).await);
        assert_eq!(began.elapsed().as_secs(), 13, "nothing waits");
        assert!(patience.over().is_some_and(|why| why.contains("SIGTERM")));
        // Another receiver has its own try.
        let mut other = Patience::new(asker.subscribe(), None);
        assert_eq!(other.over(), None);
        assert_eq!(other.bound(LONG, async { 1 }).await, Some(1));
        assert_eq!(other.over(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_on_after_the_last_moment() {
        let last = Instant::now() + Duration::from_secs(4);
        let mut patience = Patience::new(watch::Sender::new(None).subscribe(), Some(last));
        assert!(!patience.wait(LONG).await, "no try would come after it");
        assert_eq!(patience.over(), None);
        assert_eq!(
            patience.bound(LONG, std::future::pending::<()>()).await,
            None
        );
        assert_eq!(Instant::now(), last);
        assert!(patience.over().is_some_and(|why| why.contains("is up")));

        let last = Instant::now() + Duration::from_secs(8);
        let asker = watch::Sender::new(Some("a test".to_owned()));
        for (left, after) in [(8, 4), (4, 6)] {
            let mut receiver = Patience::new(asker.subscribe(), Some(last));
            assert_eq!(last.duration_since(Instant::now()).as_secs(), left);
            let hangs = receiver.bound(LONG, std::future::pending::<()>());
            assert_eq!(hangs.await, None);
            assert_eq!(last.duration_since(Instant::now()).as_secs(), 8 - after);
            assert!(receiver.over().is_some_and(|why| why.contains("a test")));
        }
    }
}
