//! A lock in a bucket, by "put where none is" alone: OSS knows no other condition.
//!
//! Each holder is an object of its own, `locks/<name>/<generation>`, with who it is and until when it
//! may be believed alive. Whoever finds the last generation released or run out puts the next one;
//! the store lets one of them. A holder renews its own object and, before each thing that must not
//! be done twice, looks whether a later generation exists: then the lock was lost to another.

use super::{Bucket, Error};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an object of a lock says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Holder {
    /// Who, for people; unlike any other's.
    holder: String,
    /// Believed alive until.
    until: DateTime<Utc>,
    /// Let go on purpose.
    released: bool,
}

/// A lock that is ours until dropped, or lost.
#[derive(Debug)]
pub struct Lease {
    bucket: Bucket,
    folder: String,
    generation: u64,
    me: Holder,
    ended: Arc<AtomicBool>,
    renewed: Arc<Mutex<Instant>>,
}

fn object(folder: &str, generation: u64) -> String {
    format!("{folder}{generation:010}")
}

fn lines(holder: &Holder) -> Vec<u8> {
    serde_json::to_vec(holder).unwrap_or_default()
}

impl Lease {
    /// Takes the lock of that name, or says who has it. `holder` is for people.
    ///
    /// # Errors
    /// Another holds it, or the store could not be asked.
    pub fn take(
        bucket: &Bucket,
        name: &str,
        holder: &str,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let folder = format!("locks/{name}/");
        let life = bucket.url().lease;
        let mut nonce = [0u8; 8];
        getrandom::fill(&mut nonce).map_err(|why| Error::Remote {
            doing: "lock",
            what: bucket.shown(&folder),
            why: format!("the system gives no random numbers: {why}"),
        })?;
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let me = Holder {
            holder: format!("{holder} ({nonce})"),
            until: later(now, life),
            released: false,
        };
        // Two rounds: another may take the generation that was just found free.
        for _ in 0..2 {
            let last = last_generation(bucket, &folder)?;
            if let Some(last) = last {
                let key = object(&folder, last);
                if let Some(bytes) = bucket.read(&key)? {
                    let there: Holder =
                        serde_json::from_slice(&bytes).map_err(|why| Error::Held {
                            what: bucket.shown(&key),
                            holder: format!(
                                "an object that is no lock of ours ({why}); remove it if you know it may go"
                            ),
                        })?;
                    if !there.released && there.until > now {
                        return Err(Error::Held {
                            what: bucket.shown(&folder),
                            holder: format!(
                                "{}, alive until {} at the latest unless it renews",
                                there.holder,
                                there
                                    .until
                                    .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                            ),
                        });
                    }
                }
            }
            let generation = last.map_or(1, |last| last.saturating_add(1));
            if bucket.create(&object(&folder, generation), &lines(&me))? {
                if let Some(old) = generation.checked_sub(2).filter(|old| *old > 0) {
                    // The one before stays to be read by people; older ones tell nothing.
                    let _ = bucket.remove(&object(&folder, old));
                }
                let lease = Self {
                    bucket: bucket.clone(),
                    folder,
                    generation,
                    me,
                    ended: Arc::new(AtomicBool::new(false)),
                    renewed: Arc::new(Mutex::new(Instant::now())),
                };
                lease.renew_from_now_on(life);
                return Ok(lease);
            }
        }
        Err(Error::Held {
            what: bucket.shown(&folder),
            holder: "another run that took it at the same moment".to_owned(),
        })
    }

    /// Its object, as a URL.
    pub fn shown(&self) -> String {
        self.bucket.shown(&object(&self.folder, self.generation))
    }

    fn renew_from_now_on(&self, life: Duration) {
        let (bucket, key) = (self.bucket.clone(), object(&self.folder, self.generation));
        let (ended, renewed, me) = (self.ended.clone(), self.renewed.clone(), self.me.clone());
        self.bucket.spawn(async move {
            loop {
                tokio::time::sleep(life / 3).await;
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let asked = Instant::now();
                let alive = Holder {
                    until: later(Utc::now(), life),
                    ..me.clone()
                };
                // A renewal that fails is tried again in a third of the life; `check` counts.
                if bucket.put_quietly(&key, lines(&alive)).await.is_ok() {
                    *renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                }
            }
        });
    }

    /// Says whether the lock is still ours: asked before each thing that must not be done twice.
    ///
    /// # Errors
    /// It was lost, or the store could not be asked.
    pub fn check(&self) -> Result<(), Error> {
        let lost = |why: String| Error::Lost {
            what: self.bucket.shown(&self.folder),
            why,
        };
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let life = self.bucket.url().lease;
        if renewed.elapsed() >= life {
            return Err(lost(format!(
                "it could not be renewed for {} seconds",
                renewed.elapsed().as_secs()
            )));
        }
        match last_generation(&self.bucket, &self.folder)? {
            Some(last) if last == self.generation => Ok(()),
            Some(last) => Err(lost(format!(
                "generation {last} was taken by another run while this one held {}",
                self.generation
            ))),
            None => Err(lost("its object was removed".to_owned())),
        }
    }

    /// Who has taken the lock since, where anybody has: then it never comes back.
    ///
    /// # Errors
    /// The store could not be asked.
    pub fn taken_by(&self) -> Result<Option<String>, Error> {
        let last = last_generation(&self.bucket, &self.folder)?;
        let Some(last) = last.filter(|last| *last > self.generation) else {
            return Ok(None);
        };
        let key = object(&self.folder, last);
        let said = self.bucket.read(&key)?;
        let holder = said.and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
        Ok(Some(match holder {
            Some(there) if there.released => format!("{}, which has let it go", there.holder),
            Some(there) => there.holder,
            None => format!("whoever wrote {}", self.bucket.shown(&key)),
        }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let gone = Holder {
            released: true,
            ..self.me.clone()
        };
        // Where it cannot be told, the lock runs out by itself.
        let _ = self
            .bucket
            .write(&object(&self.folder, self.generation), &lines(&gone));
    }
}

fn later(now: DateTime<Utc>, life: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(life)
        .ok()
        .and_then(|life| now.checked_add_signed(life))
        .unwrap_or(now)
}

fn last_generation(bucket: &Bucket, folder: &str) -> Result<Option<u64>, Error> {
    Ok(bucket
        .names(folder)?
        .iter()
        .filter_map(|name| name.parse::<u64>().ok())
        .max())
}
