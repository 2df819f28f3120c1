//! Hierarchical weighted DRF: whose turn it is. Level by level from the root, the pool with the
//! smallest dominant share per weight goes first (Ghodsi et al., NSDI 2011; Mesos' sorter).

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use manifests::resources::{Ratio, Resources};

use super::turn::Turn;
use super::usage::{Usage, lineage};
use crate::model::{Key, Name};
use crate::world::World;

/// The tree of those who want something.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    index: BTreeMap<Name, usize>,
    total: Resources,
}

#[derive(Debug)]
struct Node {
    name: Name,
    weight_milli: u64,
    priority: i32,
    share: Ratio,
    /// Share of the pool's own frameworks, which compete with its children (Mesos' leaf `.`).
    direct: Ratio,
    children: Vec<usize>,
    frameworks: BTreeMap<Key, Ratio>,
    /// Contenders here and below.
    alive: usize,
}

const ROOT: usize = 0;

impl Tree {
    /// The tree of these contenders, each a framework and its pool.
    pub(crate) fn new<'a>(
        world: &World,
        usage: &Usage,
        total: &Resources,
        contenders: impl IntoIterator<Item = (&'a Key, &'a Name)>,
    ) -> Self {
        let root = Node::new("".into(), None);
        let mut tree = Self {
            nodes: vec![root],
            index: BTreeMap::new(),
            total: total.clone(),
        };
        for (framework, pool) in contenders {
            let at = tree.ensure(world, pool);
            tree.nodes[at]
                .frameworks
                .insert(framework.clone(), Ratio::ZERO);
            tree.enliven(pool, true);
        }
        let pools: Vec<Name> = tree.index.keys().cloned().collect();
        for pool in pools {
            let frameworks: Vec<Key> = tree.nodes[tree.index[&pool]]
                .frameworks
                .keys()
                .cloned()
                .collect();
            tree.refresh_pool(usage, &pool);
            for framework in frameworks {
                tree.refresh(usage, &framework, &pool);
            }
        }
        tree
    }

    /// Whose turn it is.
    pub(crate) fn pick(&self) -> Option<Key> {
        let mut at = &self.nodes[ROOT];
        loop {
            let child = at
                .children
                .iter()
                .map(|c| &self.nodes[*c])
                .filter(|c| c.alive > 0)
                .min_by(precedence);
            let own = at
                .frameworks
                .iter()
                .min_by_key(|(key, share)| (**share, (*key).clone()));
            at = match (child, own) {
                (None, None) => return None,
                (None, Some((framework, _))) => return Some(framework.clone()),
                (Some(child), None) => child,
                // The pool's own frameworks weigh 1 among its children.
                (Some(child), Some((framework, _))) => {
                    let turn = child.share.per_weight(child.weight_milli);
                    if at.direct.per_weight(1_000) <= turn {
                        return Some(framework.clone());
                    }
                    child
                }
            };
        }
    }

    /// Who is served before the pool, at the highest level where anybody is.
    pub(crate) fn turn(&self, pool: &str) -> Turn {
        let mut path: Vec<&str> = lineage(pool).collect();
        path.reverse();
        let mut above = ROOT;
        let mut turn = Turn {
            who: (pool.into(), Ratio::ZERO),
            ahead: Vec::new(),
        };
        for name in path {
            let Some(at) = self.index.get(name).copied() else {
                break;
            };
            let own = &self.nodes[at];
            let siblings = self.nodes[above].children.iter();
            let mut ahead: Vec<&Node> = siblings
                .map(|sibling| &self.nodes[*sibling])
                .filter(|node| node.alive > 0 && precedence(node, &own).is_lt())
                .collect();
            ahead.sort_by(precedence);
            let share = |node: &Node| (node.name.clone(), node.share.per_weight(node.weight_milli));
            turn = Turn {
                who: share(own),
                ahead: ahead.into_iter().map(share).collect(),
            };
            if !turn.ahead.is_empty() {
                break;
            }
            above = at;
        }
        turn
    }

    /// The framework wants nothing more, or can have nothing more.
    pub(crate) fn retire(&mut self, framework: &Key, pool: &Name) {
        let Some(at) = self.index.get(pool) else {
            return;
        };
        if self.nodes[*at].frameworks.remove(framework).is_some() {
            self.enliven(pool, false);
        }
    }

    /// The framework was given something: it and its pools are reckoned anew.
    pub(crate) fn refresh(&mut self, usage: &Usage, framework: &Key, pool: &Name) {
        let share = self.share(&usage.framework(framework));
        if let Some(at) = self.index.get(pool)
            && let Some(known) = self.nodes[*at].frameworks.get_mut(framework)
        {
            *known = share;
        }
        self.refresh_pool(usage, pool);
    }

    fn refresh_pool(&mut self, usage: &Usage, pool: &Name) {
        for name in lineage(pool) {
            let (share, direct) = (
                self.share(&usage.subtree(name)),
                self.share(&usage.direct(name)),
            );
            if let Some(at) = self.index.get(name) {
                self.nodes[*at].share = share;
                self.nodes[*at].direct = direct;
            }
        }
    }

    fn share(&self, has: &Resources) -> Ratio {
        has.dominant_share(&self.total)
            .map_or(Ratio::ZERO, |(_, share)| share)
    }

    /// The node of a pool, made with all those above it. Pools in between need not exist.
    fn ensure(&mut self, world: &World, pool: &str) -> usize {
        if let Some(at) = self.index.get(pool) {
            return *at;
        }
        let parent = match pool.rsplit_once('.') {
            Some((parent, _)) => self.ensure(world, parent),
            None => ROOT,
        };
        let at = self.nodes.len();
        let known = world
            .pools
            .get(pool)
            .map(|pool| (pool.weight_milli, pool.priority));
        self.nodes.push(Node::new(pool.into(), known));
        self.nodes[parent].children.push(at);
        self.index.insert(pool.into(), at);
        at
    }

    fn enliven(&mut self, pool: &str, alive: bool) {
        for name in lineage(pool) {
            let Some(at) = self.index.get(name) else {
                continue;
            };
            let node = &mut self.nodes[*at];
            node.alive = if alive {
                node.alive + 1
            } else {
                node.alive.saturating_sub(1)
            };
        }
    }
}

impl Node {
    fn new(name: Name, known: Option<(u64, i32)>) -> Self {
        let (weight_milli, priority) = known.unwrap_or((1_000, 0));
        Self {
            name,
            weight_milli,
            priority,
            share: Ratio::ZERO,
            direct: Ratio::ZERO,
            children: Vec::new(),
            frameworks: BTreeMap::new(),
            alive: 0,
        }
    }
}

/// Smallest share per weight first; among equals the higher priority, then the name.
fn precedence(a: &&Node, b: &&Node) -> Ordering {
    let turn = |node: &Node| node.share.per_weight(node.weight_milli);
    turn(a)
        .cmp(&turn(b))
        .then_with(|| Reverse(a.priority).cmp(&Reverse(b.priority)))
        .then_with(|| a.name.cmp(&b.name))
}
