//! Good histories of many seeds are accepted; each way to be wrong is found, and named.

mod dice;
mod mutate;
mod simulate;
mod store;

use super::history::*;
use super::violation::{ReadFault, SequenceFault, TimeFault, WatchFault, WriteFault};
use super::{Summary, Violation, judge};
use simulate::{Plan, Run, simulate};
use store::Bug;

const SEEDS: u64 = 400;

fn told(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|violation| format!("\n  {violation}"))
        .collect()
}

#[test]
fn good_histories_are_accepted() {
    let mut total = Summary::default();
    for seed in 0..SEEDS {
        let run = simulate(Plan::small(seed, Bug::None));
        let summary = judge(&run.history)
            .unwrap_or_else(|violations| panic!("seed {seed}:{}", told(&violations)));
        total.applied += summary.applied;
        total.refused += summary.refused;
        total.found += summary.found;
        total.without_effect += summary.without_effect;
        total.reads += summary.reads;
        total.events += summary.events;
        total.changes += summary.changes;
    }
    // Every kind of thing was there to be judged.
    let seeds = usize::try_from(SEEDS).unwrap();
    for (count, least) in [
        (total.applied, 50),
        (total.refused, 10),
        (total.found, 2),
        (total.without_effect, 2),
        (total.reads, 50),
        (total.events, 50),
        (total.changes, 50),
    ] {
        assert!(count > least * seeds, "{total:?}");
    }
}

/// All runs of many seeds in which something was wrong are rejected for it, and there are enough.
fn found(what: &str, run: impl Fn(u64) -> Option<Run>, expected: fn(&Violation) -> bool) {
    let mut wrong = 0;
    for seed in 0..SEEDS / 8 {
        let Some(run) = run(seed) else { continue };
        wrong += 1;
        let violations = judge(&run.history).expect_err(&format!("{what}, seed {seed}"));
        let hit = violations.iter().any(expected);
        assert!(hit, "{what}, seed {seed}:{}", told(&violations));
    }
    assert!(wrong >= 10, "{what}: only {wrong} runs");
}

fn wrong_store(bug: Bug, expected: fn(&Violation) -> bool) {
    let run = |seed| Some(simulate(Plan::small(seed, bug))).filter(|run| run.is_wrong);
    found(&format!("{bug:?}"), run, expected);
}

macro_rules! is {
    ($($pattern:pat_param)|+) => {
        |violation: &Violation| matches!(violation, $($pattern)|+)
    };
}

macro_rules! mutations {
    ($($mutation:ident => $expected:expr;)+) => {
        $(
            #[test]
            fn $mutation() {
                let run = |seed| {
                    let mut run = simulate(Plan::small(seed, Bug::None));
                    mutate::$mutation(&mut run)?;
                    Some(run)
                };
                found(stringify!($mutation), run, $expected);
            }
        )+
    };
}

mod mutated {
    use super::*;

    mutations! {
        reorder_events => is!(Violation::Watch(_, WatchFault::Disorder { .. }));
        lose_event => is!(Violation::Watch(_, WatchFault::Lost { count: 1, .. }));
        repeat_event => is!(Violation::Watch(_, WatchFault::Twice { .. }));
        wrong_previous_value => is!(Violation::Watch(_, WatchFault::Wrong { .. }));
        wrong_new_value => is!(Violation::Watch(_, WatchFault::Wrong { .. }));
        promise_too_much => is!(Violation::Watch(_, WatchFault::Disorder { .. }));
        older_than_asked => is!(Violation::Watch(_, WatchFault::Old { .. }));
        resume_without_first => is!(Violation::Watch(_, WatchFault::Lost { .. }));
        resume_too_late => is!(Violation::Watch(_, WatchFault::ResumedPast { .. }));
        compact_too_much => is!(Violation::Watch(_, WatchFault::NotCompacted { .. }));
        wrong_content => is!(Violation::Read(_, ReadFault::Content { .. }));
        wrong_exact_content => is!(Violation::Read(_, ReadFault::Content { .. }));
        another_revision => is!(Violation::Read(_, ReadFault::NotAsked { .. }));
        read_beyond => is!(Violation::Read(_, ReadFault::Beyond { .. }));
        read_from_the_future => is!(Violation::Time(_, TimeFault::Future { .. }));
        travel_in_time => is!(Violation::Time(_, TimeFault::Backwards { .. }));
        swap_stale_reads => is!(Violation::Time(_, TimeFault::ReplicaBackwards { .. }));
        deny_success => is!(Violation::Write(_, WriteFault::DespiteFailure { .. }));
        refuse_success => is!(Violation::Write(_, WriteFault::DespiteRefusal { .. }));
        same_revision_twice => is!(Violation::Write(_, WriteFault::DuplicateRevision { .. }));
        wrong_revisions => is!(Violation::Write(_, WriteFault::Told { .. }));
        acknowledge_nothing => is!(Violation::Write(_, WriteFault::Lost { .. }));
        answer_otherwise => is!(Violation::Write(_, WriteFault::AnsweredOtherwise { .. }));
        refuse_for_another_guard => is!(Violation::Write(_, WriteFault::WrongGuard { .. }));
        lose_in_the_end => is!(Violation::Sequence(SequenceFault::Final { .. }));
        forget_change => is!(Violation::Sequence(SequenceFault::Gap { .. }));
    }
}

mod wrong_stores {
    use super::*;

    #[test]
    fn loses_an_acknowledged_write() {
        wrong_store(Bug::Lose, is!(Violation::Write(_, WriteFault::Lost { .. })));
    }

    #[test]
    fn applies_half_a_transaction() {
        wrong_store(Bug::Half, is!(Violation::Write(_, WriteFault::Half { .. })));
    }

    #[test]
    fn applies_twice() {
        wrong_store(
            Bug::Twice,
            is!(Violation::Write(_, WriteFault::Twice { .. })),
        );
    }

    #[test]
    fn applies_although_a_guard_does_not_hold() {
        wrong_store(
            Bug::IgnoreGuards,
            is!(Violation::Write(_, WriteFault::DespiteGuard { .. })),
        );
    }

    #[test]
    fn refuses_although_all_guards_hold() {
        wrong_store(
            Bug::RefuseInVain,
            is!(Violation::Write(_, WriteFault::RefusedInVain { .. })),
        );
    }

    #[test]
    fn forgets_its_requests() {
        wrong_store(
            Bug::ForgetRequests,
            is!(
                Violation::Write(_, WriteFault::Twice { .. } | WriteFault::Elsewhere { .. })
                    | Violation::Sequence(SequenceFault::Unexplained { .. })
            ),
        );
    }

    #[test]
    fn reads_stale_state() {
        wrong_store(
            Bug::StaleRead,
            is!(Violation::Time(_, TimeFault::Backwards { .. })),
        );
    }

    #[test]
    fn reads_torn_state() {
        wrong_store(
            Bug::TornRead,
            is!(Violation::Read(_, ReadFault::Torn { .. })),
        );
    }

    #[test]
    fn invents_changes() {
        wrong_store(
            Bug::Invent,
            is!(Violation::Sequence(SequenceFault::Unexplained { .. })),
        );
    }
}

#[cfg(debug_assertions)]
const CALLS: usize = 60_000;
#[cfg(not(debug_assertions))]
const CALLS: usize = 1_000_000;

/// A large history takes time in proportion: quadratic judging would not end within the test.
#[test]
fn large_histories_are_judged_at_once() {
    let plan = Plan {
        seed: 7,
        bug: Bug::None,
        clients: 64,
        calls: CALLS,
        keys: 5_000,
        unknown_percent: 2,
        watches: 4,
    };
    let run = simulate(plan);
    judge(&run.history).unwrap_or_else(|violations| panic!("{}", told(&violations)));
}

#[test]
fn a_report_names_the_operations() {
    let mut run = simulate(Plan::small(3, Bug::None));
    mutate::acknowledge_nothing(&mut run).unwrap();
    let violations = judge(&run.history).unwrap_err();
    let report = told(&violations[..1]);
    let (name, rest) = report.split_once(" was acknowledged at revision ").unwrap();
    assert!(
        name.starts_with("\n  transaction #") && name.contains(" of client "),
        "{report}"
    );
    assert!(rest.ends_with(", and its change is lost"), "{report}");
}

#[test]
fn nothing_is_a_good_history() {
    assert_eq!(judge(&History::default()), Ok(Summary::default()));
}
