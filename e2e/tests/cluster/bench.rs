//! The benchmark runs; its figures are judged by people, not by a test on a shared machine.

use e2e::bench::api::{self, Part};
use e2e::{bench, machine};

#[test]
fn the_benchmark_measures_a_small_cluster() {
    machine::alone(async || {
        let options = bench::Options {
            replicas: 3,
            agents: 1,
            backlog: 40,
            singles: 10,
            kills: 1,
        };
        let figures = bench::run(&options).await?;
        for figure in &figures {
            println!("{figure}");
            assert!(figure.value > 0.0, "{figure}");
        }
        assert_eq!(figures.len(), 12);
        Ok(())
    });
}

#[test]
fn the_benchmark_of_the_api_measures_every_part() {
    machine::alone(async || {
        let options = api::Options {
            parts: vec![Part::Limits, Part::Objects, Part::Fan, Part::Agents],
            objects: 110,
            requests: 100,
            lists: 1,
            fans: [(3, 20), (5, 10)],
            agents: 6,
            agent_connections: vec![6, 2],
            updates_per_s: 50,
            agents_s: 1,
            limit_rounds: 10,
            ..api::Options::default()
        };
        let mut figures = api::limits(&options).await?;
        figures.extend(api::measure(&options, 3, &mut |line| println!("{line}")).await?);
        let rows = api::rows(&[api::Figures::new(), figures], &Default::default());
        for row in &rows {
            println!("{row}");
            assert!(row.ours[1].is_some(), "{row}");
        }
        assert_eq!(rows.len(), 39);
        Ok(())
    });
}
