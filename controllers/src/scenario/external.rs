//! Stories of external frameworks.

use super::language::check;

#[test]
fn an_external_framework_is_offered_agents_and_accepts() {
    check(
        "pool p
         agent n1 cpus=4
         agent n2 cpus=4
         framework e pool=p external
         show offers
         accept n1 tasks=x,y cpus=1
         show tasks
         show offers
         pass 5000
         show offers",
        "e on n1: cpus 4 Open
         e on n2: cpus 4 Open
         x Staging n1
         y Staging n1
         e on n2: cpus 4 Open
         e on n2: cpus 4 Open
         e on n1: cpus 2 Open",
    );
}

#[test]
fn a_declined_offer_is_not_made_again_before_its_time() {
    check(
        "pool p
         agent n1 cpus=4
         framework e pool=p external
         decline n1 refuse=10
         show offers
         pass 9999
         show offers
         pass 1
         show offers",
        "e on n1: cpus 4 Open",
    );
}

#[test]
fn an_external_framework_gets_its_part_beside_builtin_demand() {
    check(
        "pool a
         pool b
         agent n1 cpus=8
         framework e pool=a external
         show offers
         framework f pool=b
         task t count=20 framework=f cpus=1
         show shares
         show offers",
        "e on n1: cpus 8 Open
         f 4
         e on n1: cpus 4 Open",
    );
}

#[test]
fn demand_bounds_what_is_offered() {
    check(
        "pool p
         agent n1 cpus=8
         agent n2 cpus=8
         framework e pool=p external total=cpus:10
         show offers
         framework s pool=p external suppressed
         show offers",
        "e on n1: cpus 8 Open
         e on n2: cpus 2 Open
         e on n1: cpus 8 Open
         e on n2: cpus 2 Open",
    );
}

#[test]
fn an_unanswered_offer_expires() {
    check(
        "pool p
         agent n1 cpus=8
         framework e pool=p external
         show offers
         pass 30000
         show offers
         pass 1000
         show offers",
        "e on n1: cpus 8 Open
         e on n1: cpus 8 Open",
    );
}

#[test]
fn an_agent_that_shrinks_takes_its_offers_back() {
    check(
        "pool p
         agent n1 cpus=8
         framework e pool=p external
         show offers
         agent n1 cpus=4
         show offers",
        "e on n1: cpus 8 Open
         e on n1: cpus 4 Open",
    );
}
