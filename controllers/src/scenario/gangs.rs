//! Stories of task groups.

use super::language::check;

#[test]
fn a_gang_starts_whole_or_not_at_all() {
    check(
        "pool p
         agent n1 cpus=3
         agent n2 cpus=3
         framework f pool=p
         task x framework=f cpus=2
         group g framework=f size=3 cpus=2
         show tasks
         finish x
         show tasks
         agent n3 cpus=3
         show tasks
         pass 1000
         show status kind=taskgroups name=g fields=phase,running",
        "g-1 Pending -
         g-2 Pending -
         g-3 Pending -
         x Staging n1
         g-1 Pending -
         g-2 Pending -
         g-3 Pending -
         x Finished n1
         g-1 Staging n1
         g-2 Staging n2
         g-3 Staging n3
         x Finished n1
         \"Running\" 3",
    );
}

#[test]
fn a_gang_may_have_to_be_together() {
    check(
        "pool p
         agent n1 cpus=3
         agent n2 cpus=5
         framework f pool=p
         group g framework=f size=2 cpus=2 same
         show tasks",
        "g-1 Staging n2
         g-2 Staging n2",
    );
}

#[test]
fn members_go_with_their_group() {
    check(
        "pool p
         agent n1 cpus=8
         framework f pool=p
         group g framework=f size=2 cpus=100
         show tasks
         delete g kind=taskgroups
         show tasks",
        "g-1 Pending -
         g-2 Pending -",
    );
}

#[test]
fn a_group_whose_members_were_deleted_does_not_run_again() {
    check(
        "pool p
         agent n1 cpus=4
         framework f pool=p
         group g framework=f size=2 cpus=1
         show tasks
         finish g-1
         finish g-2
         show status kind=taskgroups name=g fields=phase
         delete g-1
         delete g-2
         show tasks
         pass 5000
         show tasks",
        "g-1 Staging n1
         g-2 Staging n1
         \"Finished\"",
    );
}
