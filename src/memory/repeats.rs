//! Writes that repeat themselves. Whatever the reason, one that does not last is not worth more than a few a minute: after
//! some, each is delayed twice as long as the one before, until what is wanted changes or others leave it alone.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Writes to a target that are not delayed: what others change is put right at once.
pub const FREE: u32 = 4;
/// Delay of the first write after those.
const FIRST: Duration = Duration::from_secs(5);
/// Longest delay.
const LONGEST: Duration = Duration::from_mins(10);
/// Delay of the first deletion that repeats one that was accepted.
const FIRST_DELETION: Duration = Duration::from_secs(1);
/// What has not been written for so long, and for twice its delay, was left alone by others.
const QUIET: Duration = Duration::from_mins(1);

/// A write on behalf of an object, as far as it can repeat another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What is written to.
    pub target: String,
    /// Says what is to be there; none if the write does not tell.
    pub wish: Option<String>,
    /// What is to be gone, if the write is a deletion.
    pub deleted: Option<String>,
}

/// The writes of this process, by UID of the object on whose behalf they are, and by target.
#[derive(Clone, Default)]
pub struct Repeats {
    objects: Arc<Mutex<HashMap<String, HashMap<String, Record>>>>,
}

struct Record {
    generation: i64,
    wish: Option<String>,
    writes: u32,
    last: Instant,
    deleted: Option<(String, u32)>,
}

impl Record {
    /// Whether a write repeats this one.
    fn is_repeated_by(&self, generation: i64, write: &Write, now: Instant) -> bool {
        let is_same = match (&self.wish, &write.wish) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        let quiet = delay(FIRST, self.writes.saturating_sub(FREE)).saturating_mul(2).max(QUIET);
        is_same && self.generation == generation && now.saturating_duration_since(self.last) < quiet
    }

    /// How long after the last write the next is made.
    fn delay(&self, write: &Write) -> Duration {
        let of_writes = self.writes.checked_sub(FREE).map(|more| delay(FIRST, more));
        let of_deletions = match (&self.deleted, &write.deleted) {
            (Some((one, count)), Some(other)) if one == other => {
                Some(delay(FIRST_DELETION, count.saturating_sub(1)))
            }
            _ => None,
        };
        of_writes.max(of_deletions).unwrap_or_default()
    }
}

fn delay(first: Duration, doublings: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST)
}

impl Repeats {
    /// How long a write has to wait, if at all, and how many it repeats. `generation` is that of the object.
    #[must_use]
    pub fn held(&self, uid: &str, generation: i64, write: &Write, now: Instant) -> Option<(Duration, u32)> {
        let objects = self.objects.lock();
        let record = objects.get(uid)?.get(&write.target)?;
        if !record.is_repeated_by(generation, write, now) {
            return None;
        }
        let left = record.delay(write).saturating_sub(now.saturating_duration_since(record.last));
        (!left.is_zero()).then_some((left, record.writes))
    }

    /// Notes a write that was made.
    pub fn note(&self, uid: &str, generation: i64, write: &Write, now: Instant) {
        let mut objects = self.objects.lock();
        let targets = objects.entry(uid.to_owned()).or_default();
        let before =
            targets.remove(&write.target).filter(|record| record.is_repeated_by(generation, write, now));
        let (wish, writes, deleted) =
            before.map_or((None, 0, None), |before| (before.wish, before.writes, before.deleted));
        let deleted = write.deleted.clone().map(|uid| match deleted {
            Some((same, count)) if same == uid => (uid, count.saturating_add(1)),
            _ => (uid, 1),
        });
        let (wish, writes) = (write.wish.clone().or(wish), writes.saturating_add(1));
        targets.insert(write.target.clone(), Record { generation, wish, writes, last: now, deleted });
    }

    /// Nothing holds the object any more.
    pub fn forget(&self, uid: &str) {
        self.objects.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(wish: &str) -> Write {
        Write { target: "Deployment web".to_owned(), wish: Some(wish.to_owned()), deleted: None }
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    /// How many writes are made in a time in which each is undone at once.
    fn made(repeats: &Repeats, from: Instant, during: Duration) -> usize {
        let mut made = 0;
        let mut now = from;
        while now < from + during {
            if repeats.held("u", 1, &write("h"), now).is_none() {
                repeats.note("u", 1, &write("h"), now);
                made += 1;
            }
            now += Duration::from_millis(20);
        }
        made
    }

    /// Other managers may undo each write within milliseconds, for ever.
    #[test]
    fn a_write_that_does_not_last_is_made_a_handful_of_times_a_minute_and_ever_less() {
        let (repeats, start) = (Repeats::default(), start());
        let minute = Duration::from_mins(1);
        let minutes: Vec<usize> =
            (0..20).map(|count| made(&repeats, start + minute * count, minute)).collect();
        assert!(minutes[0] <= 7 && minutes[1] <= 1, "{minutes:?}");
        assert!(minutes.iter().skip(10).sum::<usize>() <= 2, "{minutes:?}");
    }

    #[test]
    fn another_wish_is_written_at_once_and_so_is_what_was_quiet() {
        let (repeats, start) = (Repeats::default(), start());
        made(&repeats, start, Duration::from_secs(1));
        let now = start + Duration::from_secs(1);
        assert!(repeats.held("u", 1, &write("h"), now).is_some());
        assert!(repeats.held("u", 1, &Write { wish: None, ..write("h") }, now).is_some());
        assert_eq!(repeats.held("u", 1, &write("other"), now), None);
        assert_eq!(repeats.held("u", 2, &write("h"), now), None, "the spec has changed");
        assert_eq!(repeats.held("v", 1, &write("h"), now), None);
        assert_eq!(repeats.held("u", 1, &write("h"), now + QUIET), None);
        repeats.note("u", 1, &write("other"), now);
        assert_eq!(repeats.held("u", 1, &write("h"), now), None, "it was another in between");
        repeats.forget("u");
        assert!(repeats.objects.lock().is_empty());
    }

    /// The watch shows late that an object is going, or gone.
    #[test]
    fn a_deletion_is_not_repeated_until_the_watch_has_had_its_time() {
        let (repeats, start) = (Repeats::default(), start());
        let delete = |uid: &str| Write { wish: None, deleted: Some(uid.to_owned()), ..write("") };
        repeats.note("u", 1, &delete("one"), start);
        let soon = start + Duration::from_millis(20);
        assert!(repeats.held("u", 1, &delete("one"), soon).is_some());
        assert_eq!(repeats.held("u", 1, &delete("two"), soon), None);
        assert_eq!(repeats.held("u", 1, &write("h"), soon), None, "the next is created at once");
        assert_eq!(repeats.held("u", 1, &delete("one"), start + FIRST_DELETION), None);
    }

    /// A Job that is deleted and created again for ever is written to as often as one that is rewritten.
    #[test]
    fn what_is_deleted_and_created_in_turn_is_delayed_as_well() {
        let (repeats, start) = (Repeats::default(), start());
        for uid in ["one", "two"] {
            repeats.note("u", 1, &Write { wish: None, deleted: Some(uid.to_owned()), ..write("") }, start);
            repeats.note("u", 1, &write("h"), start);
        }
        assert!(repeats.held("u", 1, &write("h"), start).is_some());
    }
}
