//! Annotated documents and what is said of them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn problems(text: &str) -> Vec<String> {
    decode(text.as_bytes())
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// A pool of this name, as a document.
fn pool(name: &str) -> String {
    format!(
        "---\napiVersion: stoa.dev/v1\nkind: ResourcePool\nmetadata: {{name: {name}}}\nspec: {{}}\n"
    )
}

fn names(decoded: &Decoded) -> Vec<&str> {
    decoded
        .documents
        .iter()
        .map(|d| d.object["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_bad_document_hides_no_good_one() {
    let bad = [
        "---\na: [1, 2\nb: 3\n",
        "---\na:\n\tx: 1\n",
        "---\na: b: c\n",
        "---\n@\n",
        "---\n\"unfinished\n",
        "---\n%nonsense\na\n",
    ];
    for bad in bad {
        let text = format!("{}{bad}{}", pool("one"), pool("two"));
        let decoded = decode(text.as_bytes());
        assert_eq!(names(&decoded), ["one", "two"], "{bad}");
        assert_eq!(decoded.problems.len(), 1, "{bad}");
        let problem = &decoded.problems[0];
        assert_eq!(problem.document, 2, "{bad}");
        assert!((6..=9).contains(&problem.line), "{bad}: {problem}");
        assert_eq!(
            (
                decoded.documents[1].index,
                decoded.documents[1].object["spec"].clone()
            ),
            (3, json!({}))
        );
    }
    let mut bytes = pool("one").into_bytes();
    bytes.extend(b"---\nkind: X\nname: \xff\xfe\n");
    bytes.extend(pool("two").bytes());
    let decoded = decode(&bytes);
    assert_eq!(names(&decoded), ["one", "two"]);
    assert_eq!(
        decoded.problems[0].to_string(),
        "document 2, line 8: is not UTF-8 text"
    );
}

#[test]
fn each_problem_has_its_place_and_text() {
    let head = "apiVersion: stoa.dev/v1\nkind: Task\nmetadata: {name: a}\n";
    let table = [
        (
            "spec:\n  a: 1\n  b: 2\n  a: 3\n",
            vec![r#"document 1, line 7: spec.a: the key "a" is given twice, first on line 5"#],
        ),
        (
            "spec: {a: 1, a: 2}\n",
            vec![r#"document 1, line 4: spec.a: the key "a" is given twice, first on line 4"#],
        ),
        (
            "spec:\n  a: *nowhere\n",
            vec!["document 1, line 5: spec.a: *nowhere refers to no anchor before it"],
        ),
        (
            "spec: &s\n  a: [*s]\n",
            vec!["document 1, line 5: spec.a[0]: an alias refers to what contains it"],
        ),
        (
            "spec:\n  - .nan\n",
            vec![
                "document 1, line 5: spec[0]: .nan is no number an object can hold; quote it if it is a text",
            ],
        ),
        (
            "spec:\n  a: !mine x\n",
            vec!["document 1, line 5: spec.a: the tag !mine means nothing here"],
        ),
        (
            "spec: {[a]: 1}\n",
            vec!["document 1, line 4: spec: a key is a text, not a list or a mapping"],
        ),
        (
            "spec: {<<: 1}\n",
            vec![
                "document 1, line 4: spec: << takes a mapping, or a list of mappings, usually as an alias",
            ],
        ),
        (
            "spec: {mode: 0644}\n",
            vec![
                "document 1, line 4: spec.mode: 0644 is read as 644, decimal; write 0o644 for octal, or quote it",
            ],
        ),
        (
            "spec:\n  a: 1\n  a: 2\n  b: *x\n",
            vec![
                r#"document 1, line 6: spec.a: the key "a" is given twice, first on line 5"#,
                "document 1, line 7: spec.b: *x refers to no anchor before it",
            ],
        ),
    ];
    for (body, expected) in table {
        assert_eq!(problems(&format!("{head}{body}")), expected, "{body}");
    }
    assert_eq!(
        problems("- 1\n---\nkind: Task\n"),
        [
            "document 1, line 1: is no object; a manifest has the fields apiVersion, kind, metadata and spec",
            "document 2, line 3: apiVersion: Required value: write for example apiVersion: stoa.dev/v1",
            "document 2, line 3: metadata.name: Required value: an object needs a name, a non-empty string",
        ]
    );
}

#[test]
fn a_warning_keeps_the_document() {
    let decoded = decode(format!("{}mode: 010\n", pool("a")).as_bytes());
    assert_eq!((decoded.documents.len(), decoded.problems.len()), (1, 1));
    assert!(decoded.problems[0].warning);
}

#[test]
fn an_object_written_twice_is_refused_the_second_time() {
    let text = format!("{}{}{}", pool("a"), pool("b"), pool("a"));
    let decoded = decode(text.as_bytes());
    assert_eq!(names(&decoded), ["a", "b"]);
    let expected = r#"document 3, line 14: metadata.name: ResourcePool "a" is written twice in this file, first in document 1, line 2"#;
    assert_eq!(decoded.problems[0].to_string(), expected);
}

#[test]
fn empty_documents_and_comments_do_not_count() {
    let text = format!(
        "# a comment\n---\n# another\n{}---\n\n{}...\n",
        pool("a"),
        pool("b")
    );
    let decoded = decode(text.as_bytes());
    assert_eq!(decoded.problems, []);
    let places: Vec<_> = decoded
        .documents
        .iter()
        .map(|d| (d.index, d.line))
        .collect();
    assert_eq!(places, [(1, 5), (2, 12)]);
    assert_eq!(decode(b""), Decoded::default());
    assert_eq!(decode(b"\xef\xbb\xbf# only this\r\n"), Decoded::default());
}

#[test]
fn a_marker_within_a_text_is_no_marker() {
    let text = format!("{}note: |\n  ---\n  still text\n", pool("a"));
    let decoded = decode(text.as_bytes());
    assert_eq!(decoded.problems, []);
    assert_eq!(decoded.documents[0].object["note"], "---\nstill text\n");
    let text = format!("%YAML 1.2\n{}", pool("b"));
    assert_eq!(names(&decode(text.as_bytes())), ["b"]);
}

#[test]
fn lines_are_those_of_the_file() {
    let text = "# intro\n---\napiVersion: stoa.dev/v1\nkind: TaskGroup\nmetadata:\n  name: g\nspec:\n  tasks:\n  - name: a\n    spec:\n      command: [x,\n        y]\n";
    let decoded = decode(text.as_bytes());
    let document = &decoded.documents[0];
    let table = [
        ("metadata.name", 6),
        ("spec.tasks", 8),
        ("spec.tasks[0]", 9),
        ("spec.tasks[0].spec.command[1]", 12),
        ("spec.tasks[0].spec.framework", 10),
        ("spec.tasks[3].name", 8),
        ("status", 3),
    ];
    for (path, line) in table {
        assert_eq!(document.line_of(path), line, "{path}");
    }
}

#[test]
fn anchors_and_merge_keys_do_what_people_expect() {
    let text = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nbase: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\n\
                one: {<<: *base, b: 5}\ntwo: {<<: [*base, *more]}\nthree: *base\nfour: {b: 6, \"<<\": 1}\n";
    let decoded = decode(text.as_bytes());
    assert_eq!(decoded.problems, []);
    let object = &decoded.documents[0].object;
    assert_eq!(object["one"], json!({"a": 1, "b": 5}));
    assert_eq!(object["two"], json!({"a": 1, "b": 2, "c": 4}));
    assert_eq!(object["three"], json!({"a": 1, "b": 2}));
    assert_eq!(object["four"], json!({"b": 6, "<<": 1}));
}

#[test]
fn lists_are_their_items() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n\
                - apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n- kind: ConfigMap\n";
    let decoded = decode(text.as_bytes());
    assert_eq!(names(&decoded), ["a", "b"]);
    assert_eq!(decoded.documents[1].line_of("metadata.name"), 9);
    assert_eq!(decoded.problems.len(), 2);
    assert!(
        decoded.problems.iter().all(|p| p.line == 10),
        "{:?}",
        decoded.problems
    );
}

#[test]
fn json_is_read_alone_and_in_a_row() {
    let one = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"\ud83d\ude00 \/ \t"}}"#;
    let decoded = decode(one.as_bytes());
    assert_eq!(decoded.problems, []);
    assert_eq!(
        decoded.documents[0].object,
        serde_json::from_str::<Value>(one).unwrap()
    );
    let two = format!("{one}\n\n{}", one.replace("\"a\"", "\"b\""));
    let decoded = decode(two.as_bytes());
    assert_eq!(names(&decoded), ["a", "b"]);
    assert_eq!(decoded.documents[1].line, 3);
    let tabs = serde_json::to_string_pretty(&decoded.documents[0].object)
        .unwrap()
        .replace("  ", "\t");
    assert_eq!(
        decode(tabs.as_bytes()).documents[0].object,
        decoded.documents[0].object,
        "{tabs}"
    );
}

#[test]
fn bombs_are_refused() {
    let mut laughs =
        "apiVersion: v1\nkind: X\nmetadata: {name: a}\nl0: &l0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*l{}", level - 1);
        laughs.push_str(&format!(
            "l{level}: &l{level} [{}]\n",
            [before.as_str(); 10].join(",")
        ));
    }
    let told = problems(&laughs);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("aliases add more than"), "{told:?}");

    let mut tower = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nl0: &l0 [x]\n".to_owned();
    for level in 1..200 {
        tower.push_str(&format!("l{level}: &l{level} [*l{}]\n", level - 1));
    }
    assert!(
        problems(&tower)[0].contains("nest deeper than 100"),
        "{:?}",
        problems(&tower)
    );

    for deep in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(5_000),
    ] {
        assert_eq!(problems(&deep).len(), 1);
    }
    let wide = vec![b' '; DOCUMENT_BYTES_MAX + 1];
    assert_eq!(decode(&wide), Decoded::default());
    let wide = vec![b'x'; DOCUMENT_BYTES_MAX + 1];
    assert_eq!(decode(&wide).problems.len(), 1);
}

#[test]
fn our_kinds_are_judged_before_any_server_sees_them() {
    let text = "apiVersion: stoa.dev/v1\nkind: Task\nmetadata:\n  name: a\nspec:\n  framework: f\n  comand: [x]\n  command: [x]\n  \
                resources:\n    cpus: -1\n  restartPolicy: Sometimes\n  priority: high\n  killPolicy:\n    gracePeriod: soon\n";
    let decoded = decode(text.as_bytes());
    let told: Vec<_> = check(&decoded.documents[0])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            r#"document 1, line 7: spec.comand: unknown field "spec.comand"; did you mean "command"?"#,
            r#"document 1, line 10: spec.resources.cpus: Invalid value: -1: "-1" is negative; the least is 0"#,
            r#"document 1, line 11: spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Never", "OnFailure", "Always""#,
            r#"document 1, line 12: spec.priority: Invalid value: "string": spec.priority in body must be of type integer: "string""#,
            r#"document 1, line 14: spec.killPolicy.gracePeriod: Invalid value: "soon": "soon" is not a duration: a number is missing; write for example "30s", "1h30m" or "500ms""#,
        ]
    );
    let of = |version: &str, kind: &str| {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let decoded = decode(text.as_bytes());
        check(&decoded.documents[0])
            .iter()
            .map(|p| p.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("v1", "ConfigMap"), [""; 0]);
    assert_eq!(
        of("stoa.dev/v2", "Task"),
        [r#"Unsupported value: "stoa.dev/v2": supported values: "stoa.dev/v1""#]
    );
    assert!(
        of("stoa.dev/v1", "Tusk")[0]
            .starts_with(r#"unknown kind "Tusk"; the kinds of stoa.dev/v1 are ResourcePool,"#)
    );
}

#[test]
fn yaml_is_written_as_kubectl_does() {
    let object = json!({"kind": "Task", "apiVersion": "stoa.dev/v1", "metadata": {"name": "a", "labels": {}, "at": "2026-01-02T03:04:05Z"},
        "spec": {"command": ["/bin/sh", "-c", "a\nb\n"], "env": {"A": "yes", "B": "1", "C": "a: b", "D": "", "E": "x:y", "F": "-1", "G": "--- a", "H": "- a", "I": "--all"}, "num": 1, "list": [{"a": 1, "b": [2]}, []]}});
    let expected = "\
apiVersion: stoa.dev/v1
kind: Task
metadata:
  at: \"2026-01-02T03:04:05Z\"
  labels: {}
  name: a
spec:
  command:
  - /bin/sh
  - -c
  - |
    a
    b
  env:
    A: \"yes\"
    B: \"1\"
    C: \"a: b\"
    D: \"\"
    E: x:y
    F: \"-1\"
    G: \"--- a\"
    H: \"- a\"
    I: --all
  list:
  - a: 1
    b:
    - 2
  - []
  num: 1
";
    assert_eq!(to_yaml(&object), expected);
}

#[test]
fn every_example_is_good() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let decoded = decode(&std::fs::read(entry.path()).unwrap());
        let found: Vec<_> = decoded.documents.iter().flat_map(check).collect();
        assert_eq!(
            (decoded.problems, found),
            (vec![], vec![]),
            "{}",
            entry.path().display()
        );
        assert!(!decoded.documents.is_empty());
        count += 1;
    }
    assert!(count >= 7);
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        "[-+.0-9eExo_:TZ]{1,8}",
        "[ \\n\\ta-c#:-]{0,12}",
        Just("yes".to_owned()),
        Just("---".to_owned()),
        Just("null".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = prop_oneof!["[a-z]{1,4}", "\\PC{0,6}", any::<String>()];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn yaml_like_text_never_panics(text in "([a-c]|\\n|  |: |- |---\\n|[\\[\\]{},&*!|>'\"#%@<?~]|\\.\\.\\.\\n){0,60}") {
        let decoded = decode(text.as_bytes());
        decoded.documents.iter().for_each(|document| { let _ = check(document); });
    }

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let object = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "spec": value});
        let text = to_yaml(&object);
        let decoded = decode(text.as_bytes());
        prop_assert_eq!(&decoded.problems, &vec![], "{}", text);
        prop_assert_eq!(&decoded.documents[0].object, &object, "{}", text);
    }
}
