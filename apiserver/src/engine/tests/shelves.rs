//! Lists by the value of a field, from shelves: whatever has happened before and meanwhile, they show
//! what a look at everything shows.

use bytes::Bytes;
use serde_json::json;
use store::{Op, Txn, View};

use super::rig::Rig;
use crate::keys;
use crate::object;
use crate::params::Params;
use crate::read;
use crate::selector::Selector;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn put(n: u64, agent: u64) -> Op<Bytes> {
    let (namespace, name) = (format!("n{}", n % 3), format!("t{n}"));
    let key = keys::object("stoa.dev", "tasks", Some(&namespace), &name);
    let mut task = json!({
        "kind": "Task", "apiVersion": "stoa.dev/v1",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"agent": format!("a{agent}")},
    });
    if agent == 0 {
        task["spec"] = json!({});
    }
    let value = object::encode(&task);
    Op::Put { key, value }
}

async fn write(rig: &Rig, ops: Vec<Op<Bytes>>) {
    let txn = Txn {
        request_id: 0,
        stamp_ms: 0,
        guards: Vec::new(),
        ops,
    };
    rig.engine.store().txn(txn).await.unwrap();
}

/// Both ways show the same; answers how many objects the shelf named.
fn agree(rig: &Rig, view: &View, query: (&str, Option<&str>), page: u64) -> Option<usize> {
    let (fields, namespace) = query;
    let engine = &rig.engine;
    let resource = engine.registry().by_plural("stoa.dev", "tasks").unwrap();
    let selector = Selector::parse("", fields, &resource).unwrap();
    let mut wanted = read::wanted(&Params::parse(&format!("limit={page}")).unwrap()).unwrap();
    let place = (&*resource, namespace);
    let among = engine.candidates(view, place, &selector);
    let opened = (view, &**engine.vault());
    loop {
        let all = read::list(opened, place, &selector, &wanted, None);
        let some = read::list(opened, place, &selector, &wanted, among.as_deref());
        let names = |list: &crate::call::List| {
            let keys = list.items.iter().map(|item| item.key.clone());
            keys.collect::<Vec<_>>()
        };
        assert_eq!(
            names(&all),
            names(&some),
            "{query:?} at {}",
            view.revision()
        );
        assert_eq!(all.continue_, some.continue_);
        let Some(token) = all.continue_ else { break };
        let next = Params::parse(&format!("limit={page}&continue={token}")).unwrap();
        wanted = read::wanted(&next).unwrap();
    }
    among.map(|keys| keys.len())
}

#[tokio::test]
async fn a_shelf_shows_what_a_look_at_everything_shows() {
    let rig = Rig::start().await;
    let mut dice = Dice(7);
    assert_eq!(
        agree(&rig, &rig.engine.store().view(), ("spec.agent=a1", None), 0),
        None
    );
    for chunk in 0..6 {
        let ops = (0..100).map(|n| put(chunk * 100 + n, dice.roll(40)));
        write(&rig, ops.collect()).await;
    }
    let mut views = vec![rig.engine.store().view()];
    for _ in 0..300 {
        let n = dice.roll(600);
        let op = match dice.roll(4) {
            0 => match put(n, 0) {
                Op::Put { key, .. } => Op::Delete { key },
                other => other,
            },
            _ => put(n, dice.roll(40)),
        };
        write(&rig, vec![op]).await;
        views.push(rig.engine.store().view());
        // Mostly what is newest, sometimes what was.
        let back = match dice.roll(3) {
            0 => dice.roll(views.len() as u64) as usize,
            _ => 0,
        };
        let view = &views[views.len() - 1 - back];
        let fields = match dice.roll(8) {
            0 => "spec.agent=".to_owned(),
            1 => format!("metadata.name=t{n},spec.agent=a1"),
            2 => format!("metadata.name=t{n}"),
            3 => format!("metadata.name=t{n},metadata.namespace=n1"),
            _ => format!("spec.agent=a{}", dice.roll(45)),
        };
        let namespaces = [None, None, Some("n0"), Some("n1"), Some("none")];
        let namespace = namespaces[dice.roll(5) as usize];
        let named = agree(&rig, view, (&fields, namespace), dice.roll(3) * 5);
        if fields.starts_with("spec.agent=a") {
            let few = 60 + back;
            assert!(
                named.is_some_and(|named| named < few),
                "{fields}: {named:?}"
            );
        }
    }
}
