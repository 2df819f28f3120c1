//! Quotas by tables: what is charged, what is refused, and in which words.

use super::measure::ONE;
use super::*;

#[test]
fn names_of_entries() {
    let text = String::from;
    for (name, measure) in [
        (
            "count/tasks.stoa.dev",
            Some(Measure::Count(text("stoa.dev"), text("tasks"))),
        ),
        (
            "count/configmaps",
            Some(Measure::Count(text(""), text("configmaps"))),
        ),
        ("secrets", Some(Measure::Count(text(""), text("secrets")))),
        ("tasks", Some(Measure::Tasks)),
        ("cpu", Some(Measure::Requests(text("cpus")))),
        ("requests.memory", Some(Measure::Requests(text("mem")))),
        ("limits.mem", Some(Measure::Limits(text("mem")))),
        (
            "requests.example.com/fpga",
            Some(Measure::Requests(text("example.com/fpga"))),
        ),
        ("services.nodeports", Some(Measure::Nothing)),
        ("count/", None),
        ("limits.", None),
        ("fridges", None),
    ] {
        assert_eq!(Measure::of(name), measure, "{name}");
    }
}

#[test]
fn amounts_of_entries() {
    let count = Measure::of("count/tasks.stoa.dev").unwrap();
    for (measure, value, expected) in [
        (&count, json!("10"), Ok(10_000)),
        (&count, json!(3), Ok(3_000)),
        (&count, json!("1500m"), Err("must be an integer")),
        (
            &count,
            json!("-1"),
            Err("must be greater than or equal to 0"),
        ),
        (&Measure::of("cpus").unwrap(), json!("500m"), Ok(500)),
    ] {
        let found = measure.amount(&value).map(Milli::get);
        assert_eq!(found, expected.map_err(str::to_owned), "{value}");
    }
}

fn quota(hard: &Value, used: &Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
}

fn task(resources: &Value, state: &str) -> Value {
    json!({"spec": {"resources": resources}, "status": {"state": state}})
}

fn outcome(quota: &Value, old: Option<&Value>, new: &Value) -> Result<Value, String> {
    let change = Change {
        group: GROUP,
        plural: "tasks",
        namespace: "default",
        old,
        new,
    };
    let usage = Usage::of(new);
    let before = old.map(Usage::of);
    let wanted = requested(quota, &change, Some(&usage), before.as_ref())?;
    charged(quota, &wanted).map(|charged| charged["status"]["used"].clone())
}

#[test]
fn charges() {
    let hard = json!({"count/tasks.stoa.dev": "2", "cpus": "1", "mem": "1Gi"});
    let used = json!({"count/tasks.stoa.dev": "1", "cpus": "0.5", "mem": "512Mi"});
    let own = quota(&hard, &used);
    let asks = |cpus: &str, mem: &str| task(&json!({"cpus": cpus, "mem": mem}), "Pending");
    for (old, new, expected) in [
        (
            None,
            asks("500m", "512Mi"),
            Ok(json!({"count/tasks.stoa.dev": "2", "cpus": "1", "mem": "1Gi"})),
        ),
        (
            None,
            asks("501m", "1Gi"),
            Err(
                "exceeded quota: q, requested: cpus=0.501,mem=1Gi, used: cpus=0.5,mem=512Mi, \
                 limited: cpus=1,mem=1Gi",
            ),
        ),
        (
            None,
            task(&json!({"cpus": 1}), "Pending"),
            Err("failed quota: q: must specify mem"),
        ),
        (
            Some(asks("250m", "512Mi")),
            asks("500m", "512Mi"),
            Ok(json!({"count/tasks.stoa.dev": "1", "cpus": "0.75", "mem": "512Mi"})),
        ),
        (Some(asks("2", "1Gi")), asks("1", "1Gi"), Ok(used.clone())),
    ] {
        let found = outcome(&own, old.as_ref(), &new);
        assert_eq!(found, expected.map_err(str::to_owned), "{new}");
    }
}

#[test]
fn what_has_ended_takes_nothing() {
    let ended = Usage::of(&task(&json!({"cpus": 4}), "Finished"));
    let measure = Measure::of("cpus").unwrap();
    assert_eq!(measure.taken(GROUP, "tasks", Some(&ended)), Milli::ZERO);
    let counted = Measure::of("count/tasks.stoa.dev").unwrap();
    assert_eq!(counted.taken(GROUP, "tasks", Some(&ended)), ONE);
    let running = Usage::of(&task(&json!({"mem": "1Gi"}), "Running"));
    let limits = Measure::of("limits.mem").unwrap();
    assert_eq!(
        limits.text(limits.taken(GROUP, "tasks", Some(&running))),
        "1Gi"
    );
}

#[test]
fn what_was_used_beyond_the_limit_blocks_but_does_not_overflow() {
    let over = quota(
        &json!({"count/tasks.stoa.dev": "1"}),
        &json!({"count/tasks.stoa.dev": "5"}),
    );
    let failure = outcome(&over, None, &task(&json!({}), "Pending")).unwrap_err();
    assert_eq!(
        failure,
        "exceeded quota: q, requested: count/tasks.stoa.dev=1, used: count/tasks.stoa.dev=5, \
         limited: count/tasks.stoa.dev=1"
    );
}
