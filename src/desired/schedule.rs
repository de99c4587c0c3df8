//! The times that a schedule names. Pure.
//!
//! A schedule names times of the clock on the wall, and a run is due whenever that clock shows one of them, as with a
//! `CronJob`: where the clock is put forward, the times that it leaps over do not come, and where it is put back, those
//! that it shows twice come twice. Expressions mean what they mean to a `CronJob` too, and not what they mean to cron where
//! the two differ.

use std::sync::LazyLock;

use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::{
    SignedDuration, Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::kinds::SpecError;

/// How far ahead a time is looked for. Whatever comes at all comes within a leap year's distance.
const HORIZON: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);
/// Shortest distance of two times, and what all of them are multiples of.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// How many missed runs are counted.
pub const COUNTED: usize = 100;

/// The zones that come with the operator: what a name means does not depend on the node.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A schedule that can be followed.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What the clock on the wall has to show, read as if that clock showed UTC.
    times: Crontab,
    zone: TimeZone,
}

/// Runs that should have been created by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The time of the latest of them.
    pub latest: Timestamp,
    /// How many there are; one more than [`COUNTED`] if there are more than that.
    pub count: usize,
}

impl Schedule {
    /// Reads a schedule and the name of its zone.
    ///
    /// # Errors
    ///
    /// When one of them is invalid; the message names field, value and remedy.
    pub fn parse(schedule: &str, zone: Option<&str>) -> Result<Self, SpecError> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => ZONES.get(name).map_err(|_| {
                SpecError::invalid(
                    "spec.timeZone",
                    format!("\"{name}\""),
                    "there is no such time zone: use an IANA name, such as Europe/Stockholm",
                )
            })?,
        };
        let refused =
            |why: &str| SpecError::invalid("spec.schedule", format!("\"{schedule}\""), why.to_owned());
        let expression = expression(schedule).ok_or_else(|| {
            refused("give minute, hour, day of month, month and day of week, such as \"30 2 * * 1-5\"")
        })?;
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let times = parse_crontab_with(&expression, options).map_err(|error| refused(&reason(&error)))?;
        if times.find_next(Timestamp::UNIX_EPOCH).is_err() {
            return Err(refused("no year has such a day: correct the day of month or the month"));
        }
        Ok(Self { times, zone })
    }

    /// The first time after a moment; none if there is none for years.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let end = moment.checked_add(HORIZON).ok()?;
        let mut after = moment;
        let mut offset = self.zone.to_offset(after);
        // Between two changes of the clock it goes like any other clock.
        let mut changes = self.zone.following(moment);
        loop {
            let change = changes.next();
            let found = self.next_on_clock(after, offset);
            match (found, &change) {
                (Some(found), Some(change)) if found >= change.timestamp() => {}
                (Some(found), _) => return Some(found),
                (None, _) => {}
            }
            let change = change.filter(|change| change.timestamp() < end)?;
            // The very moment of a change belongs to the clock as it goes from then on.
            after = change.timestamp().checked_sub(MINUTE).ok()?;
            offset = change.offset();
        }
    }

    /// As [`Schedule::next_after`], were the clock always as far from UTC as it is now.
    fn next_on_clock(&self, after: Timestamp, offset: jiff::tz::Offset) -> Option<Timestamp> {
        let difference = SignedDuration::from_secs(offset.seconds().into());
        let shown = after.checked_add(difference).ok()?;
        self.times.find_next(shown).ok()?.timestamp().checked_sub(difference).ok()
    }

    /// What is missed: the times after `since`, up to and including `now`.
    #[must_use]
    pub fn missed(&self, since: Timestamp, now: Timestamp) -> Option<Missed> {
        let due = |after: Timestamp| self.next_after(after).filter(|time| *time <= now);
        let mut latest = due(since)?;
        let mut count = 1;
        while count <= COUNTED
            && let Some(next) = due(latest)
        {
            latest = next;
            count += 1;
        }
        // There may be a million more: the last is looked for by halves. Whether there is one after a moment is a
        // question with one change of answers between `latest` and now.
        let mut none_after = now;
        while none_after.duration_since(latest) > MINUTE {
            let half = none_after.duration_since(latest) / 2;
            let Ok(middle) = latest.checked_add(half) else { break };
            match due(middle) {
                Some(time) => latest = time,
                None => none_after = middle,
            }
        }
        while let Some(next) = due(latest) {
            latest = next;
        }
        Some(Missed { latest, count })
    }
}

/// The five fields, in the words of cron and with the meaning that they have for a `CronJob`.
fn expression(schedule: &str) -> Option<String> {
    let schedule = match schedule.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    let fields: Vec<&str> = schedule.split_ascii_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
    let fields =
        [plain(minute), plain(hour), day_field(day, "1-31"), plain(month), day_field(weekday, "0-6")];
    Some(fields.join(" "))
}

fn plain(field: &str) -> String {
    field.replace('?', "*")
}

/// A `CronJob` runs on days that both day fields name if one of them has "every day" in its list, and else on days
/// that either names. Cron looks at the first character of a field: `*/2` counts as "every day" there, `1,*` does
/// not.
fn day_field(field: &str, whole: &str) -> String {
    let field = plain(field);
    if field.split(',').any(|item| item == "*" || item == "*/1") {
        return "*".to_owned();
    }
    field.split(',').map(|item| item.replace('*', whole)).collect::<Vec<_>>().join(",")
}

/// What is wrong with an expression, without the drawing of where.
fn reason(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("{}: correct it", last.trim_start_matches([' ', '^']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::fixtures::at;

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::parse(text, Some(zone)).unwrap()
    }

    /// The next times, as the clock on the wall shows them.
    fn next(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = schedule(text, zone);
        let mut moment = at(from);
        let mut found = Vec::new();
        for _ in 0..count {
            moment = schedule.next_after(moment).unwrap();
            found.push(moment.to_zoned(schedule.zone.clone()).strftime("%a %F %H:%M %:z").to_string());
        }
        found
    }

    #[test]
    fn times_are_strictly_after_the_moment_and_in_the_zone() {
        let stockholm = next("30 2 * * 1-5", "Europe/Stockholm", "2026-11-20T01:30:00Z", 2);
        assert_eq!(stockholm, ["Mon 2026-11-23 02:30 +01:00", "Tue 2026-11-24 02:30 +01:00"]);
        let kathmandu = next("0 9 * * *", "Asia/Kathmandu", "2026-11-20T00:00:00Z", 1);
        assert_eq!(kathmandu, ["Fri 2026-11-20 09:00 +05:45"]);
        assert_eq!(next("* * * * *", "UTC", "2026-11-20T00:00:59Z", 1), ["Fri 2026-11-20 00:01 +00:00"]);
        let utc = Schedule::parse("0 0 * * *", None).unwrap();
        assert_eq!(utc.next_after(at("2026-11-20T00:00:00Z")), Some(at("2026-11-21T00:00:00Z")));
    }

    /// In Stockholm 2026 the clock goes from 02:00 to 03:00 on 29 March.
    #[test]
    fn what_the_clock_leaps_over_does_not_come() {
        let zone = "Europe/Stockholm";
        let daily = next("30 2 * * *", zone, "2026-03-27T12:00:00Z", 2);
        assert_eq!(daily, ["Sat 2026-03-28 02:30 +01:00", "Mon 2026-03-30 02:30 +02:00"]);
        let hourly = next("30 * * * *", zone, "2026-03-29T00:00:00Z", 2);
        assert_eq!(hourly, ["Sun 2026-03-29 01:30 +01:00", "Sun 2026-03-29 03:30 +02:00"]);
        // The first moment of the new time is one like any other.
        assert_eq!(next("0 3 * * *", zone, "2026-03-29T00:30:00Z", 1), ["Sun 2026-03-29 03:00 +02:00"]);
        assert_eq!(next("0 3 * * *", zone, "2026-03-29T01:00:00Z", 1), ["Mon 2026-03-30 03:00 +02:00"]);
        assert_eq!(next("0 2 29 3 *", zone, "2026-03-01T00:00:00Z", 1), ["Mon 2027-03-29 02:00 +02:00"]);
    }

    /// In Stockholm 2026 the clock goes from 03:00 to 02:00 on 25 October.
    #[test]
    fn what_the_clock_shows_twice_comes_twice() {
        let zone = "Europe/Stockholm";
        let daily = next("30 2 * * *", zone, "2026-10-24T12:00:00Z", 3);
        assert_eq!(
            daily,
            ["Sun 2026-10-25 02:30 +02:00", "Sun 2026-10-25 02:30 +01:00", "Mon 2026-10-26 02:30 +01:00"]
        );
        let first = next("0 2 * * *", zone, "2026-10-24T12:00:00Z", 2);
        assert_eq!(first, ["Sun 2026-10-25 02:00 +02:00", "Sun 2026-10-25 02:00 +01:00"]);
        let hourly = next("0 * * * *", zone, "2026-10-24T23:30:00Z", 3);
        assert_eq!(
            hourly,
            ["Sun 2026-10-25 02:00 +02:00", "Sun 2026-10-25 02:00 +01:00", "Sun 2026-10-25 03:00 +01:00"]
        );
        // Half an hour on Lord Howe Island.
        let howe = next("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2);
        assert_eq!(howe, ["Sun 2026-04-05 01:45 +11:00", "Sun 2026-04-05 01:45 +10:30"]);
    }

    /// Both day fields together are where crons differ.
    #[test]
    fn two_day_fields_mean_what_they_mean_to_a_cron_job() {
        let from = "2026-11-01T00:00:00Z"; // a Sunday
        let days = |text: &str| -> Vec<String> {
            next(text, "UTC", from, 4).iter().map(|time| time[..14].to_owned()).collect()
        };
        assert_eq!(
            days("0 12 13 * 5"),
            ["Fri 2026-11-06", "Fri 2026-11-13", "Fri 2026-11-20", "Fri 2026-11-27"]
        );
        assert_eq!(
            days("0 12 2 * 5"),
            ["Mon 2026-11-02", "Fri 2026-11-06", "Fri 2026-11-13", "Fri 2026-11-20"]
        );
        assert_eq!(
            days("0 12 ? * 5"),
            ["Fri 2026-11-06", "Fri 2026-11-13", "Fri 2026-11-20", "Fri 2026-11-27"]
        );
        assert_eq!(days("0 12 1,* * 5"), days("0 12 * * 5"));
        assert_eq!(
            days("0 12 */2 * 6"),
            ["Sun 2026-11-01", "Tue 2026-11-03", "Thu 2026-11-05", "Sat 2026-11-07"]
        );
        assert_eq!(days("0 12 * * 7"), days("0 12 * * SUN"));
        assert_eq!(days("0 12 * * sun"), days("0 12 * * 0"));
    }

    #[test]
    fn shorthands_are_what_they_say() {
        for (short, long) in [
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@weekly", "0 0 * * SUN"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 JAN *"),
            ("@annually", "0 0 1 JAN *"),
        ] {
            let from = "2026-11-20T10:11:12Z";
            assert_eq!(next(short, "Asia/Tokyo", from, 3), next(long, "Asia/Tokyo", from, 3), "{short}");
        }
    }

    /// Field, value, remedy, on one line.
    #[test]
    fn what_cannot_be_followed_is_told_with_field_and_value() {
        for (text, zone, expected) in [
            ("0 0 31 2 *", "UTC", "spec.schedule: \"0 0 31 2 *\": no year has such a day"),
            ("30-10 * * * *", "UTC", "range must be in ascending order; found 30-10"),
            ("60 * * * *", "UTC", "found 60: correct it"),
            ("* * * *", "UTC", "give minute, hour"),
            ("* * * * * Asia/Tokyo", "UTC", "give minute, hour"),
            ("@reboot", "UTC", "give minute, hour"),
            ("", "UTC", "give minute, hour"),
            ("* * * * *", "Mars/Olympus", "spec.timeZone: \"Mars/Olympus\": there is no such time zone"),
        ] {
            let message = Schedule::parse(text, Some(zone)).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{text}: {message}");
        }
    }

    #[test]
    fn the_latest_of_a_million_missed_runs_is_found() {
        let minutely = schedule("* * * * *", "Europe/Stockholm");
        let (since, now) = (at("2024-01-01T00:00:30Z"), at("2026-11-20T10:11:12Z"));
        let missed = minutely.missed(since, now).unwrap();
        assert_eq!(missed, Missed { latest: at("2026-11-20T10:11:00Z"), count: COUNTED + 1 });
        let hundred = minutely.missed(since, at("2024-01-01T01:40:59Z")).unwrap();
        assert_eq!(hundred, Missed { latest: at("2024-01-01T01:40:00Z"), count: 100 });
        let yearly = schedule("0 0 1 1 *", "UTC");
        assert_eq!(yearly.missed(since, now).map(|missed| missed.count), Some(2));
        assert_eq!(yearly.missed(at("2026-01-01T00:00:00Z"), now), None);
        assert_eq!(yearly.missed(now, since), None, "a clock that was put back misses nothing");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The clock shows a time of the schedule exactly at the times that are found, whatever it does in between.
        #[test]
        fn no_time_is_left_out_and_none_is_made_up(
            start in 1_700_000_000_i64..1_900_000_000,
            minute in 0_i8..60,
            hour in 0_i8..24,
            zone in prop::sample::select(vec!["UTC", "Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]),
        ) {
            let schedule = schedule(&format!("{minute} {hour} * * *"), zone);
            let start = Timestamp::from_second(start).unwrap();
            let found = schedule.next_after(start).unwrap();
            let mut moment = Timestamp::from_second((start.as_second().div_euclid(60) + 1) * 60).unwrap();
            let shows = |moment: Timestamp| {
                let shown = schedule.zone.to_datetime(moment);
                (shown.hour(), shown.minute()) == (hour, minute)
            };
            while !shows(moment) {
                moment += MINUTE;
            }
            prop_assert_eq!(found, moment);
        }

        /// Looking by halves finds what looking one by one finds.
        #[test]
        fn the_latest_is_the_latest(
            now in 1_700_000_000_i64..1_900_000_000,
            text in prop::sample::select(vec!["*/7 * * * *", "0 3 * * 1", "30 2 29 * *", "* 2 * 10 *", "5 4 */9 * 2"]),
        ) {
            let schedule = schedule(text, "Europe/Stockholm");
            let now = Timestamp::from_second(now).unwrap();
            let since = now.checked_sub(SignedDuration::from_hours(24 * 400)).unwrap();
            if let Some(missed) = schedule.missed(since, now) {
                prop_assert!(missed.latest <= now);
                prop_assert!(schedule.next_after(missed.latest).unwrap() > now);
                let before = missed.latest.checked_sub(SignedDuration::from_secs(1)).unwrap();
                prop_assert_eq!(schedule.next_after(before), Some(missed.latest));
            } else {
                prop_assert!(schedule.next_after(since).is_none_or(|time| time > now));
            }
        }
    }
}
