//! The benchmark beside etcd runs to its end; its figures are judged by people, not by a test on a
//! shared machine.

use std::time::Duration;

use e2e::bench::store::{Options, Wire, compare, cost, facts, memory};
use e2e::machine::alone;
use e2e::{command, peer};

#[test]
fn both_systems_are_measured() {
    if !command::is_installed(peer::PROGRAM) {
        return command::skipped(peer::NOT_INSTALLED);
    }
    alone(async || {
        let options = Options {
            wire: Wire::Grpc,
            root: std::env::temp_dir(),
            rounds: 1,
            warm_up: Duration::from_millis(200),
            window: Duration::from_millis(300),
            keys: 500,
            floor_rounds: 20,
        };
        println!("{}", facts::lines(&options).await?.join("\n"));
        let mut progress = |line: &str| println!("{line}");
        let clients = compare(&options, &mut progress).await?;
        let filled = memory::measure(&options, &mut progress).await?;
        for row in clients.iter().chain(&filled) {
            println!("{row}");
            // Whatever is fast is fast within a tick of the processor's clock.
            let counted = row.unit != "µs/op";
            assert!(!counted || row.values.etcd * row.values.stoa > 0.0, "{row}");
        }
        for row in cost::measure(&options).await? {
            println!("{row}");
            assert!(row.is_good(), "{row}");
        }
        Ok(())
    });
}
