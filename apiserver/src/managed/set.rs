//! A set of places in an object: a tree, sorted at every level (structured-merge-diff,
//! `fieldpath/set.go`). That a place is a member says nothing of what lies below it.

use super::element::Element;

/// A set of places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: Vec<Node>,
}

/// One place: a member itself, or above members, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The step that leads here.
    pub element: Element,
    /// True if the place itself is in the set.
    pub member: bool,
    /// What is in the set below.
    pub below: Set,
}

impl Set {
    /// True if nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The places one step away, in order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The place one step away.
    #[must_use]
    pub fn node(&self, element: &Element) -> Option<&Node> {
        self.find(element).ok().map(|at| &self.nodes[at])
    }

    /// True if the place one step away is a member.
    #[must_use]
    pub fn has(&self, element: &Element) -> bool {
        self.node(element).is_some_and(|node| node.member)
    }

    fn find(&self, element: &Element) -> Result<usize, usize> {
        // Nearly always built in order.
        match self.nodes.last() {
            Some(last) if last.element < *element => Err(self.nodes.len()),
            Some(_) | None => self
                .nodes
                .binary_search_by(|node| node.element.cmp(element)),
        }
    }

    /// Adds a place one step away and what lies below it; adds nothing if there is neither.
    pub fn add(&mut self, element: Element, member: bool, below: Self) {
        if !member && below.is_empty() {
            return;
        }
        match self.find(&element) {
            Ok(at) => {
                let node = &mut self.nodes[at];
                node.member |= member;
                node.below = std::mem::take(&mut node.below).union(below);
            }
            Err(at) => self.nodes.insert(
                at,
                Node {
                    element,
                    member,
                    below,
                },
            ),
        }
    }

    /// Adds a place by its whole path. The empty path is no place.
    pub fn insert(&mut self, path: &[Element]) {
        if let [first, rest @ ..] = path {
            let mut below = Self::default();
            below.insert(rest);
            self.add(first.clone(), rest.is_empty(), below);
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        for node in other.nodes {
            self.add(node.element, node.member, node.below);
        }
        self
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.pairwise(other, |node, other| match other {
            Some(other) => (
                node.member && other.member,
                node.below.intersection(&other.below),
            ),
            None => (false, Self::default()),
        })
    }

    /// What is in this one but not in the other. What lies below a member of the other stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.pairwise(other, |node, other| match other {
            Some(other) => (
                node.member && !other.member,
                node.below.difference(&other.below),
            ),
            None => (node.member, node.below.clone()),
        })
    }

    fn pairwise(&self, other: &Self, keep: impl Fn(&Node, Option<&Node>) -> (bool, Self)) -> Self {
        let mut kept = Self::default();
        let mut others = other.nodes.iter().peekable();
        for node in &self.nodes {
            while others
                .next_if(|other| other.element < node.element)
                .is_some()
            {}
            let twin = others.peek().filter(|other| other.element == node.element);
            let (member, below) = keep(node, twin.copied());
            if member || !below.is_empty() {
                kept.nodes.push(Node {
                    element: node.element.clone(),
                    member,
                    below,
                });
            }
        }
        kept
    }

    /// The members that have no members below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let leaf = |node: &Node| Node {
            element: node.element.clone(),
            member: node.member && node.below.is_empty(),
            below: node.below.leaves(),
        };
        Self {
            nodes: self.nodes.iter().map(leaf).collect(),
        }
    }

    /// Keeps only what `keep` says of the places one step away.
    pub fn retain(&mut self, keep: impl Fn(&Element) -> bool) {
        self.nodes.retain(|node| keep(&node.element));
    }

    /// The path of every member, in upstream's order: at each level the members first, then what
    /// lies below.
    pub fn for_each(&self, visit: &mut impl FnMut(&[&Element])) {
        self.walk(&mut Vec::new(), visit);
    }

    fn walk<'a>(&'a self, path: &mut Vec<&'a Element>, visit: &mut impl FnMut(&[&Element])) {
        for node in self.nodes.iter().filter(|node| node.member) {
            path.push(&node.element);
            visit(path);
            path.pop();
        }
        for node in &self.nodes {
            path.push(&node.element);
            node.below.walk(path, visit);
            path.pop();
        }
    }

    /// True if the place is a member.
    #[must_use]
    pub fn contains(&self, path: &[&Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has(last),
            [first, rest @ ..] => self
                .node(first)
                .is_some_and(|node| node.below.contains(rest)),
        }
    }

    /// Every member as conflicts show it, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        self.for_each(&mut |path| texts.push(text(path)));
        texts
    }
}

/// A path as conflicts show it: `.spec.list[name="x"].image`.
#[must_use]
pub fn text(path: &[&Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a.b c` is the set of `.a.b` and `.c`.
    fn set(text: &str) -> Set {
        let mut set = Set::default();
        for path in text.split_whitespace() {
            let path: Vec<Element> = path.split('.').map(Element::field).collect();
            set.insert(&path);
        }
        set
    }

    #[test]
    fn algebra() {
        for (a, b, union, intersection, difference) in [
            ("", "", "", "", ""),
            ("a", "", "a", "", "a"),
            ("a b.c", "b.c d", "a b.c d", "b.c", "a"),
            // A parent and its child are two things.
            ("a", "a.b", "a a.b", "", "a"),
            ("a.b", "a", "a a.b", "", "a.b"),
            ("a a.b a.c", "a a.c", "a a.b a.c", "a a.c", "a.b"),
            ("a.b.c a.d", "a.b.c", "a.b.c a.d", "a.b.c", "a.d"),
        ] {
            let (a, b) = (set(a), set(b));
            assert_eq!(a.clone().union(b.clone()), set(union));
            assert_eq!(b.clone().union(a.clone()), set(union));
            assert_eq!(a.intersection(&b), set(intersection));
            assert_eq!(a.difference(&b), set(difference));
        }
    }

    #[test]
    fn order_and_membership() {
        let set = set("b.x a.y a c");
        assert_eq!(set.texts(), [".a", ".c", ".a.y", ".b.x"]);
        let (a, y, b) = (
            Element::field("a"),
            Element::field("y"),
            Element::field("b"),
        );
        assert!(set.contains(&[&a]) && set.contains(&[&a, &y]));
        assert!(!set.contains(&[&b]) && !set.contains(&[&b, &y]) && !set.contains(&[]));
        assert_eq!(set.leaves().texts(), [".c", ".a.y", ".b.x"]);
    }
}
