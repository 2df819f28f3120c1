//! Whatever is killed or lost, every task runs exactly once.

use e2e::{campaign, machine};

#[test]
fn every_task_runs_exactly_once_whatever_is_killed() {
    machine::alone(async || {
        let report = campaign::run(campaign::Options::default()).await?;
        assert_eq!(report.tasks, 300);
        println!("{report:#?}");
        Ok(())
    });
}
