//! The benchmark runs; its figures are judged by people, not by a test on a shared machine.

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
