//! Every ordeal once, small: the promises are held to, the times are not, since tests run on
//! machines that are busy with other things.

use std::time::Duration;

use e2e::command;
use e2e::fault;
use e2e::machine::alone;
use e2e::nemesis;
use e2e::ordeal::linear::{self, Trouble};
use e2e::ordeal::mutants::{Mutant, hunt};
use e2e::ordeal::{catchup, full, kills, power, rolling, rot, votes};

#[test]
fn kills_of_the_leader_lose_nothing() {
    alone(async || {
        let options = kills::Options {
            kills: 4,
            rate: 200,
            seed: 1,
        };
        kills::run(&options).await.map(drop)
    });
}

#[test]
fn a_rolling_restart_fails_nobody() {
    alone(async || {
        let options = rolling::Options {
            rounds: 1,
            rate: 200,
        };
        rolling::run(&options).await.map(drop)
    });
}

#[test]
fn flipped_bits_are_found_or_harmless() {
    alone(async || {
        let options = rot::Options { flips: 60, seed: 1 };
        rot::run(&options).await.map(drop)
    });
}

#[test]
fn acknowledged_writes_outlive_the_power() {
    if let Some(obstacle) = nemesis::obstacle() {
        return command::skipped(&obstacle);
    }
    alone(async || {
        let options = power::Options {
            trials: 4,
            nodes: power::Hit::Both,
            rate: 200,
            faults: String::new(),
            seed: 1,
        };
        power::run(&options).await.map(drop)
    });
}

#[test]
fn full_disks_lose_nothing_and_recover() {
    if let Some(obstacle) = nemesis::obstacle() {
        println!("SKIPPED: {obstacle}");
        return;
    }
    alone(async || {
        let options = full::Options {
            rounds: 2,
            rate: 500,
        };
        full::run(&options).await.map(drop)
    });
}

#[test]
fn a_wiped_replica_catches_up_under_load() {
    alone(async || {
        let options = catchup::Options {
            items: 5_000,
            value: 256,
            rate: 200,
            quiet: Duration::from_secs(1),
        };
        catchup::run(&options).await.map(drop)
    });
}

#[test]
fn votes_are_not_forgotten() {
    alone(async || {
        let options = votes::Options {
            elections: 2,
            faults: String::new(),
        };
        votes::run(&options).await.map(drop)
    });
}

#[test]
fn a_random_history_is_linearizable() {
    alone(async || {
        let options = linear::Options {
            seed: 1,
            seconds: 10,
            trouble: Trouble::Everything,
            faults: String::new(),
        };
        linear::run(&options).await.map(drop)
    });
}

#[test]
fn bugs_that_are_put_in_are_caught() {
    if let Some(obstacle) = nemesis::obstacle() {
        return command::skipped(&obstacle);
    }
    alone(async || {
        for mutant in Mutant::ALL {
            let fate = hunt(mutant, 1, 3).await?;
            println!("{fate}");
            fault::ensure(fate.violation.is_some(), || fate.to_string())?;
        }
        Ok(())
    });
}
