//! Which version a moment finds, and where views change.

use super::*;

fn read(at: Option<i64>, origin: Origin, value: Option<&'static str>) -> Observation<&'static str> {
    Observation::new(at, origin, value)
}

fn at(timeline: &Timeline<&'static str>, at: i64, after: bool) -> Option<(&'static str, i64)> {
    timeline.pick(View { at, after }).map(|found| (**found.value, found.distance))
}

#[test]
fn a_snapshot_knows_one_moment() {
    let line = Timeline::new(vec![read(Some(1000), Origin::Snapshot, Some("a"))]);
    assert_eq!(at(&line, 1000, false), Some(("a", 0)));
    assert_eq!(at(&line, 400, false), Some(("a", 600)));
    assert_eq!(at(&line, 1600, false), Some(("a", 600)));
}

#[test]
fn equal_snapshots_hold_in_between() {
    let line = Timeline::new(vec![
        read(Some(2000), Origin::Snapshot, Some("a")),
        read(Some(1000), Origin::Snapshot, Some("a")),
    ]);
    assert_eq!(at(&line, 1500, false), Some(("a", 0)));
    assert_eq!(line.versions().len(), 1);
}

#[test]
fn between_unequal_snapshots_either_may_hold() {
    let line = Timeline::new(vec![
        read(Some(1000), Origin::Snapshot, Some("a")),
        read(Some(2000), Origin::Snapshot, Some("b")),
    ]);
    assert_eq!(at(&line, 1500, false), Some(("a", 500)));
    assert_eq!(at(&line, 1500, true), Some(("b", 500)));
    assert_eq!(at(&line, 2000, false), Some(("b", 0)));
    assert_eq!(at(&line, 1000, true), Some(("a", 0)), "known, so its neighbour does not matter");
    let boundaries = Boundaries::new(line.gaps(), std::iter::empty());
    assert_eq!(boundaries.views(1200, 1300).len(), 2);
    assert_eq!(boundaries.views(2000, 2100).len(), 1);
    assert_eq!(boundaries.views(500, 900).len(), 1);
}

#[test]
fn history_lasts_until_the_next_capture_less_its_lag() {
    let line = Timeline::new(vec![
        read(Some(1000), Origin::History, Some("a")),
        read(Some(5000), Origin::History, Some("b")),
        read(Some(9000), Origin::History, None),
    ]);
    assert_eq!(at(&line, 4000, false), Some(("a", 0)));
    assert_eq!(at(&line, 4900, false), Some(("a", 21)));
    assert_eq!(at(&line, 4900, true), Some(("b", 100)));
    assert_eq!(at(&line, 6000, false), Some(("b", 0)));
    assert_eq!(at(&line, 9000, false), None, "deleted");
}

#[test]
fn undated_readings_yield_to_dated_ones() {
    let line = Timeline::new(vec![
        read(None, Origin::Undated, Some("x")),
        read(Some(1000), Origin::Snapshot, Some("a")),
    ]);
    assert_eq!(at(&line, 0, false), Some(("a", 1000)));
    let line = Timeline::new(vec![read(None, Origin::Undated, Some("x"))]);
    assert_eq!(at(&line, 77, false), Some(("x", 0)));
}

#[test]
fn without_changes_there_is_one_view() {
    let boundaries = Boundaries::new(std::iter::empty(), std::iter::empty());
    assert_eq!(boundaries.views(0, i64::MAX).len(), 1);
    assert_eq!(boundaries.key(View { at: 5, after: true }), (0, false));
}

#[test]
fn all_of_a_stretch_has_one_view_and_one_key() {
    type Stretches = &'static [(i64, i64)];
    let sets: [(Stretches, Stretches); 4] = [
        (&[], &[]),
        (&[(10, 10)], &[(5, 5)]),
        (&[(10, 14), (20, 20)], &[(2, 7), (14, 14), (30, 40)]),
        (&[(10, 14), (12, 18)], &[(0, 50), (13, 13)]),
    ];
    for (gaps, known) in sets {
        let boundaries = Boundaries::new(gaps.iter().copied(), known.iter().copied());
        for at in 0..60 {
            let Some((from, to)) = boundaries.stretch(at) else {
                assert_eq!(boundaries.only_view(at, at), None, "{gaps:?} {at}");
                continue;
            };
            assert!(from <= at && at < to);
            let key = boundaries.key(View { at, after: false });
            for start in from.max(0)..to.min(60) {
                for end in start..to.min(60) {
                    let view = View { at: start, after: false };
                    assert_eq!(
                        boundaries.only_view(start, end),
                        Some(view),
                        "{gaps:?} {known:?} {start} {end}"
                    );
                    assert_eq!(boundaries.key(view), key);
                }
            }
        }
    }
}

#[test]
fn recorded_daily_a_change_lies_anywhere_in_the_day_before() {
    // Spec 6.8: DAILY hides intermediate states, and the real change precedes the capture time.
    const DAY: i64 = 86_400;
    let daily = |at, value| Observation { daily: true, ..read(Some(at), Origin::History, Some(value)) };
    let line = Timeline::new(vec![daily(0, "a"), daily(5 * DAY, "b")]);
    assert_eq!(at(&line, 3 * DAY, true), Some(("a", 0)), "the day after it found no change");
    for moment in [4 * DAY, 5 * DAY - 1] {
        assert_eq!(at(&line, moment, false).map(|found| found.0), Some("a"));
        assert_eq!(at(&line, moment, true).map(|found| found.0), Some("b"));
    }
    assert_eq!(at(&line, 5 * DAY, false), Some(("b", 0)));
}
