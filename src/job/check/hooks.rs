//! Chats and watchmen: the address is read and its host asked, as when there is something to send. Nothing
//! is sent: a message of a run that never was would be a lie, and a watchman would believe it.

use super::Tried;
use crate::config::Schedule;
use crate::config::address::Heartbeat;
use crate::deliver::reach::{Unreached, reach, read};
use crate::deliver::webhook::address;

/// Every `[[webhook]]` and `[heartbeat]` of these schedules.
pub async fn hooks(schedules: &[Schedule]) -> Vec<Tried> {
    let mut out = Vec::new();
    for schedule in schedules {
        for (at, hook) in schedule.webhooks.iter().enumerate() {
            let what = format!("{} [{at}] {}", schedule.name, hook.kind.as_str());
            let found = match read(&hook.url_file) {
                Ok(url) => reach(&url).await,
                Err(why) => Err(why),
            };
            out.push(tried("webhook", what, found));
        }
        if let Some(heartbeat) = &schedule.heartbeat {
            let url = match heartbeat {
                Heartbeat::File(file) => read(file),
                Heartbeat::Url(url) => address(url.expose()).map_err(|why| Unreached {
                    why,
                    todo: "correct [heartbeat] url",
                }),
            };
            let found = match url {
                Ok(url) => reach(&url).await,
                Err(why) => Err(why),
            };
            out.push(tried("heartbeat", schedule.name.clone(), found));
        }
    }
    out
}

fn tried(part: &'static str, what: String, found: Result<String, Unreached>) -> Tried {
    match found {
        Ok(found) => Tried::works(part, what, format!("{found}; not sent to")),
        Err(unreached) => Tried::missing(part, what, unreached.why, unreached.todo),
    }
}
