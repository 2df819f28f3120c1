//! Which events have had their time: an hour after they were last seen, as in Kubernetes, and the
//! oldest when there are too many, since everything is kept in memory.

use k8s_openapi::api::core::v1::Event;
use manifests::bundle::Operation;

use crate::model::Key;
use crate::ops;

/// How long an event is kept.
const KEEP_MS: i64 = 3_600_000;

/// Events kept at most: some 20 MB.
const COUNT_MAX: usize = 20_000;

/// One event, as far as its end is concerned. The oldest sorts first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aged {
    /// When it was last seen, ms since 1970.
    pub seen_ms: i64,
    /// Its name.
    pub key: Key,
    /// Its identity.
    pub uid: String,
    /// The version this is about: a newer one was seen again.
    pub version: u64,
}

impl Aged {
    /// Of an event by whomever.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let meta = &event.metadata;
        let series = event
            .series
            .as_ref()
            .and_then(|s| s.last_observed_time.as_ref());
        let times = [
            event.last_timestamp.as_ref().map(|t| t.0),
            event.event_time.as_ref().map(|t| t.0),
            meta.creation_timestamp.as_ref().map(|t| t.0),
            series.map(|t| t.0),
        ];
        let last = times.into_iter().flatten().max();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            seen_ms: last.map_or(0, jiff::Timestamp::as_millisecond),
            key: Key::new(&text(&meta.namespace), &text(&meta.name)),
            uid: text(&meta.uid),
            version: text(&meta.resource_version).parse().unwrap_or(0),
        }
    }
}

/// The deletions that are due, the oldest event first.
#[must_use]
pub fn due(mut events: Vec<Aged>, now_ms: u64) -> Vec<Operation> {
    events.sort();
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let old = events.partition_point(|event| event.seen_ms < now_ms - KEEP_MS);
    let count = old.max(events.len().saturating_sub(COUNT_MAX));
    let due = events.iter().take(count);
    due.map(|event| {
        let target = ops::core("events", &event.key);
        ops::delete_of(target, &event.uid, Some(event.version))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(name: usize, seen_ms: i64) -> Aged {
        Aged {
            seen_ms,
            key: Key::new("default", &name.to_string()),
            uid: "u".to_owned(),
            version: 1,
        }
    }

    #[test]
    fn the_old_go_and_so_do_the_oldest_of_too_many() {
        let now_ms = 10_000_000;
        let some = vec![aged(1, 9_000_000), aged(2, 6_399_999), aged(3, 6_400_000)];
        let gone = due(some, now_ms);
        let names: Vec<&str> = gone.iter().map(|o| o.target.name.as_str()).collect();
        assert_eq!(names, ["2"]);
        let many = (0..COUNT_MAX + 2)
            .map(|n| aged(n, 9_000_000 - n as i64))
            .collect();
        let gone = due(many, now_ms);
        assert_eq!(gone[0].target.name, (COUNT_MAX + 1).to_string());
        assert_eq!(gone.len(), 2);
    }
}
