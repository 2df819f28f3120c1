//! Stories with known ends.

use super::language::check;

#[test]
fn a_task_is_offered_accepted_and_bound_and_its_offer_goes() {
    check(
        "pool p
         agent n1 cpus=4 mem=8Gi
         framework f pool=p
         task t framework=f cpus=1
         show tasks
         show offers",
        "t Staging n1",
    );
}

#[test]
fn shares_settle_at_the_weights() {
    check(
        "pool a weight=1
         pool b weight=3
         agent n1 cpus=8
         agent n2 cpus=8
         framework fa pool=a
         framework fb pool=b
         task ta count=30 framework=fa cpus=1
         task tb count=30 framework=fb cpus=1
         show shares",
        "fa 4
         fb 12",
    );
}

#[test]
fn nested_pools_share_what_their_parent_has() {
    check(
        "pool eng weight=1
         pool eng.a weight=1
         pool eng.b weight=1
         pool ops weight=1
         agent n1 cpus=12
         framework a pool=eng.a
         framework b pool=eng.b
         framework o pool=ops
         task ta count=20 framework=a cpus=1
         task tb count=20 framework=b cpus=1
         task to count=20 framework=o cpus=1
         show shares",
        "a 3
         b 3
         o 6",
    );
}

#[test]
fn a_limit_holds_for_the_children_together() {
    check(
        "pool eng limits=cpus:3
         pool eng.a
         pool eng.b
         agent n1 cpus=12
         framework a pool=eng.a
         framework b pool=eng.b
         task ta count=5 framework=a cpus=1
         task tb count=5 framework=b cpus=1
         pass 1000
         show shares
         finish ta-1
         show shares",
        "a 2
         b 1
         a 2
         b 1",
    );
}

#[test]
fn a_guarantee_is_held_back() {
    check(
        "pool big
         pool small guarantees=cpus:4
         agent n1 cpus=10
         framework b pool=big
         framework s pool=small
         task tb count=10 framework=b cpus=1
         show shares
         task ts count=4 framework=s cpus=1
         show shares",
        "b 6
         b 6
         s 4",
    );
}

#[test]
fn a_reservation_is_kept_for_its_pool_and_why_says_so() {
    check(
        "pool a
         pool b
         agent n1 cpus=4
         reservation r pool=a cpus=3
         show status kind=reservations name=r fields=phase,agents
         framework fa pool=a
         framework fb pool=b
         task tb count=2 framework=fb cpus=1
         pass 2000
         show shares
         show why
         task ta count=3 framework=fa cpus=1
         show shares",
        "\"Bound\" [\"n1\"]
         fb 1
         tb-2: the only agent cannot take it now: reservation default/r holds resources for pool a
         fa 3
         fb 1",
    );
}

#[test]
fn what_is_reserved_is_used_first() {
    check(
        "pool a
         agent n1 cpus=4
         agent n2 cpus=8
         reservation r pool=a cpus=2
         framework fa pool=a
         show offers
         task t count=3 framework=fa cpus=1
         show tasks",
        "t-1 Staging n1
         t-2 Staging n1
         t-3 Staging n2",
    );
}

#[test]
fn an_exclusive_reservation_waits_for_an_empty_agent() {
    check(
        "pool a
         pool b
         agent n1 cpus=4
         framework fb pool=b
         task tb framework=fb cpus=1
         show tasks
         reservation r pool=a cpus=1 exclusive
         show status kind=reservations name=r fields=phase
         finish tb
         show status kind=reservations name=r fields=phase
         task tc framework=fb cpus=1
         pass 1000
         show tasks",
        "tb Staging n1
         \"Pending\"
         \"Bound\"
         tb Finished n1
         tc Pending -",
    );
}

#[test]
fn priority_leaves_a_priority_queue_first_and_a_large_task_holds_up_nobody() {
    check(
        "pool p policy=Priority
         agent n1 cpus=2
         framework f pool=p
         task huge framework=f cpus=100 priority=9
         task low framework=f cpus=1
         task high framework=f cpus=2 priority=5
         show tasks",
        "high Staging n1
         huge Pending -
         low Pending -",
    );
}

#[test]
fn constraints_are_met_or_explained() {
    check(
        "pool p
         agent n1 cpus=4 rack=r1
         agent n2 cpus=4 rack=r2
         framework f pool=p
         task here framework=f cpus=1 constraint=rack:r2
         task nowhere framework=f cpus=1 constraint=rack:r9
         task homeless framework=g cpus=1
         task vast framework=f cpus=1k
         pass 1000
         show tasks
         show why",
        "here Staging n2
         homeless Pending -
         nowhere Pending -
         vast Pending -
         homeless: framework g does not exist
         nowhere: none of 2 agents can take it now: wants rack In [r9]
         vast: none of 2 agents can take it now: needs 1000 cpus, 4 in all",
    );
}

#[test]
fn a_silent_agent_loses_its_offers_and_its_tasks_are_unreachable() {
    check(
        "pool p
         agent n1 cpus=8
         framework f pool=p
         framework e pool=p external
         task t framework=f cpus=1
         beat n1
         show tasks
         silence n1
         show tasks
         show offers
         beat n1
         run t
         show tasks
         delete n1 kind=agents
         show tasks",
        "t Staging n1
         t Unreachable n1
         t Running n1
         t GoneByOperator n1",
    );
}

#[test]
fn a_registering_agent_is_ready_once_heard() {
    check(
        "pool p
         agent n1 cpus=8 phase=Registering
         framework f pool=p
         task t framework=f cpus=1
         show tasks
         beat n1
         show tasks",
        "t Pending -
         t Staging n1",
    );
}

#[test]
fn a_failed_task_is_retried_after_its_pause() {
    check(
        "pool p
         agent n1 cpus=8
         framework f pool=p
         task t framework=f cpus=1 restart=OnFailure
         show tasks
         fail t
         show tasks
         pass 800
         show why
         pass 3000
         show tasks
         show status kind=tasks name=t fields=attempt",
        "t Staging n1
         t Pending -
         t: its next run begins not before 1970-01-01T00:16:41Z
         t Staging n1
         1",
    );
}

#[test]
fn a_deleted_task_is_let_go_when_it_is_over() {
    check(
        "pool p
         agent n1 cpus=8
         framework f pool=p
         task t framework=f cpus=1
         show tasks
         delete t
         show tasks
         finish t
         show tasks",
        "t Staging n1
         t Staging n1",
    );
}

#[test]
fn the_next_leader_withdraws_old_offers_and_carries_on() {
    check(
        "pool p
         agent n1 cpus=8
         framework e pool=p external
         framework f pool=p
         show offers
         leader 2
         task t framework=f cpus=1
         show tasks
         show offers",
        "e on n1: cpus 8 Open
         t Staging n1
         e on n1: cpus 7 Open",
    );
}

#[test]
fn figures_are_written() {
    check(
        "pool p
         pool p.q
         agent n1 cpus=4
         framework f pool=p.q
         task t count=5 framework=f cpus=1
         pass 2000
         show status kind=resourcepools name=p fields=dominantShare,running,waiting,allocated
         show status kind=frameworks name=f fields=running,waiting",
        "\"1.000\" 4 1 {\"cpus\":\"4\"}
         4 1",
    );
}

#[test]
fn a_task_tells_its_life() {
    check(
        "pool p
         agent n1 cpus=1
         framework f pool=p
         task t framework=f cpus=1 restart=OnFailure
         task u framework=f cpus=1
         show tasks
         run t
         pass 300
         fail t
         pass 2000
         show events",
        "t Staging n1
         u Pending -
         t Scheduled x1: run 1 bound to agent n1
         t Started x1: run 1 runs on agent n1
         t Failed x1: run 1 failed on agent n1
         t Retried x1: run 1 ended as Failed; run 2 begins not before 1970-01-01T00:16:42Z
         u Scheduled x1: run 1 bound to agent n1",
    );
}

#[test]
fn a_long_wait_is_told_once() {
    check(
        "pool p limits=cpus:2
         agent n1 cpus=4
         framework f pool=p
         task t count=2 framework=f cpus=2
         pass 2900
         show events
         pass 60000
         leader 2
         pass 5000
         show events",
        "t-1 Scheduled x1: run 1 bound to agent n1
         t-1 Scheduled x1: run 1 bound to agent n1
         t-2 Waiting x1: pool p uses 2 of at most 2 cpus, and this asks for 2 more; waits for tasks of pool p to end, or its limit to be raised",
    );
}

#[test]
fn thousands_of_tasks_are_told_as_a_sum() {
    let shown = super::language::run(
        "pool p
         agent n1 cpus=4000
         framework f pool=p
         task t count=1000 framework=f cpus=1
         pass 11000
         show events",
    );
    let (sums, each): (Vec<&str>, Vec<&str>) = shown
        .lines()
        .partition(|line| line.starts_with("f ManyTasks"));
    assert!(each.len() < 400, "{}", each.len());
    let told = sums.iter().filter_map(|line| {
        let (_, counts) = line.rsplit_once(": ")?;
        counts.split(' ').next()?.parse::<usize>().ok()
    });
    assert_eq!(told.sum::<usize>() + each.len(), 1_000, "{sums:?}");
}
