//! Differences between two texts, as `diff -u` prints them.

use serde_json::Value;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// Texts with more lines than this are compared from both ends only.
const LINES_MAX: usize = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Keep,
    Remove,
    Add,
}

/// A unified diff; none if the texts are equal.
pub(crate) fn unified(old: &str, new: &str, label: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let steps = steps(&a, &b);
    let mut out = format!("--- live/{label}\n+++ merged/{label}\n");
    for (from, to) in hunks(&steps) {
        hunk(&mut out, &a, &b, &steps, from, to);
    }
    Some(out)
}

/// Hides the values of a Secret's two states, and still shows which of them differ.
pub(crate) fn mask(old: &mut Value, new: &mut Value) {
    for field in ["data", "stringData"] {
        let (was, is) = (old[field].clone(), new[field].clone());
        for (object, other, word) in [(&mut *old, &is, "before"), (&mut *new, &was, "after")] {
            for (key, value) in object
                .get_mut(field)
                .and_then(Value::as_object_mut)
                .into_iter()
                .flatten()
            {
                let same = other[key.as_str()] == *value;
                *value = if same {
                    "***".into()
                } else {
                    format!("*** ({word})").into()
                };
            }
        }
    }
}

/// The shortest way from `a` to `b`, by longest common subsequence between what both ends share.
fn steps(a: &[&str], b: &[&str]) -> Vec<Step> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev());
    let tail = tail.take_while(|(x, y)| x == y).count();
    let (mid_a, mid_b) = (
        &rest_a[..rest_a.len() - tail],
        &rest_b[..rest_b.len() - tail],
    );
    let mut steps = vec![Step::Keep; head];
    if mid_a.len() > LINES_MAX || mid_b.len() > LINES_MAX {
        steps.extend(std::iter::repeat_n(Step::Remove, mid_a.len()));
        steps.extend(std::iter::repeat_n(Step::Add, mid_b.len()));
    } else {
        steps.extend(middle(mid_a, mid_b));
    }
    steps.extend(std::iter::repeat_n(Step::Keep, tail));
    steps
}

fn middle(a: &[&str], b: &[&str]) -> Vec<Step> {
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            steps.push(Step::Keep);
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]
        {
            steps.push(Step::Remove);
            i += 1;
        } else {
            steps.push(Step::Add);
            j += 1;
        }
    }
    steps
}

/// Ranges of steps with changes and their context; what touches is one.
fn hunks(steps: &[Step]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        if *step == Step::Keep {
            continue;
        }
        let (from, to) = (
            n.saturating_sub(CONTEXT),
            (n + 1 + CONTEXT).min(steps.len()),
        );
        match hunks.last_mut() {
            Some(last) if last.1 >= from => last.1 = to,
            Some(_) | None => hunks.push((from, to)),
        }
    }
    hunks
}

fn hunk(out: &mut String, a: &[&str], b: &[&str], steps: &[Step], from: usize, to: usize) {
    let count = |steps: &[Step], not: Step| steps.iter().filter(|step| **step != not).count();
    let (mut i, mut j) = (
        count(&steps[..from], Step::Add),
        count(&steps[..from], Step::Remove),
    );
    let (old, new) = (
        count(&steps[from..to], Step::Add),
        count(&steps[from..to], Step::Remove),
    );
    let first = |at: usize, lines: usize| if lines == 0 { at } else { at + 1 };
    out.push_str(&format!(
        "@@ -{},{old} +{},{new} @@\n",
        first(i, old),
        first(j, new)
    ));
    for step in &steps[from..to] {
        let (sign, line) = match step {
            Step::Keep => (' ', a[i]),
            Step::Remove => ('-', a[i]),
            Step::Add => ('+', b[j]),
        };
        i += usize::from(*step != Step::Add);
        j += usize::from(*step != Step::Remove);
        out.push(sign);
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        assert_eq!(unified("a\nb\n", "a\nb\n", "x"), None);
        for (old, new, expected) in [
            ("", "a\n", "@@ -0,0 +1,1 @@\n+a\n"),
            ("a\n", "", "@@ -1,1 +0,0 @@\n-a\n"),
            (
                "a\nb\nc\n",
                "a\nx\nc\n",
                "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n",
            ),
            (
                "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                "1\n2\n3\n4\n5\n6\n7\n8\nx\n9\n",
                "@@ -6,4 +6,5 @@\n 6\n 7\n 8\n+x\n 9\n",
            ),
            (
                "a\n1\n2\n3\n4\n5\n6\n7\nb\n",
                "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
                "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n",
            ),
        ] {
            let shown = unified(old, new, "x").unwrap();
            let body = shown.strip_prefix("--- live/x\n+++ merged/x\n").unwrap();
            assert_eq!(body, expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn secrets_stay_secret() {
        use serde_json::json;
        let mut old = json!({"data": {"a": "c2VjcmV0", "b": "c2VjcmV0"}});
        let mut new = json!({"data": {"a": "c2VjcmV0", "b": "eA==", "c": "eQ=="}});
        mask(&mut old, &mut new);
        assert_eq!(old["data"], json!({"a": "***", "b": "*** (before)"}));
        assert_eq!(
            new["data"],
            json!({"a": "***", "b": "*** (after)", "c": "*** (after)"})
        );
    }
}
