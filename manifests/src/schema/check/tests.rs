//! One row for each keyword: schema of `spec.x`, value, expected texts.

use super::*;
use serde_json::json;

fn texts(schema: &Value, value: &Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"x": schema}}}});
    let errors = validate(&schema, &json!({"spec": {"x": value}}));
    errors.iter().map(ToString::to_string).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, one row for each rule")]
fn each_keyword_has_its_text() {
    let table = [
        (
            json!({"type": "integer"}),
            json!("string"),
            r#"spec.x: Invalid value: "string": spec.x in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "integer"}),
            json!(1.5),
            r#"spec.x: Invalid value: "number": spec.x in body must be of type integer: "number""#,
        ),
        (
            json!({"type": "string"}),
            json!(null),
            r#"spec.x: Invalid value: "null": spec.x in body must be of type string: "null""#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "string", "enum": ["A", "B"]}),
            json!("X"),
            r#"spec.x: Unsupported value: "X": supported values: "A", "B""#,
        ),
        (
            json!({"type": "integer", "minimum": 1.0}),
            json!(0),
            "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "number", "minimum": 0.001}),
            json!(-2.5),
            "spec.x: Invalid value: -2.5: spec.x in body should be greater than or equal to 0.001",
        ),
        (
            json!({"type": "integer", "maximum": 5, "exclusiveMaximum": true}),
            json!(5),
            "spec.x: Invalid value: 5: spec.x in body should be less than 5",
        ),
        (
            json!({"type": "integer", "multipleOf": 2}),
            json!(3),
            "spec.x: Invalid value: 3: spec.x in body should be a multiple of 2",
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_u64),
            "spec.x: Invalid value: 3000000000: spec.x in body must be of type int32: 3000000000",
        ),
        (
            json!({"type": "string", "minLength": 3}),
            json!("é"),
            r#"spec.x: Invalid value: "é": spec.x in body should be at least 3 chars long"#,
        ),
        (
            json!({"type": "string", "maxLength": 3}),
            json!("abcd"),
            "spec.x: Too long: may not be more than 3 bytes",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            r#"spec.x: Invalid value: "b": spec.x in body should match '^a+$'"#,
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("today"),
            r#"spec.x: Invalid value: "today": spec.x in body must be of type date-time: "today""#,
        ),
        (
            json!({"type": "array", "minItems": 1}),
            json!([]),
            "spec.x: Invalid value: []: spec.x in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "maxItems": 1}),
            json!([1, 2]),
            "spec.x: Too many: 2: must have at most 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 2]),
            r#"spec.x[1]: Invalid value: "integer": spec.x[1] in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set"}),
            json!(["a", "b", "a"]),
            r#"spec.x[2]: Duplicate value: "a""#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["t"]}),
            json!([{"t": 1, "v": 1}, {"t": 1, "v": 2}]),
            r#"spec.x[1]: Duplicate value: {"t":1}"#,
        ),
        (
            json!({"type": "object", "required": ["a"]}),
            json!({}),
            "spec.x.a: Required value",
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            json!({}),
            "spec.x: Invalid value: {}: spec.x in body should have at least 1 properties",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"A": 1}),
            r#"spec.x.A: Invalid value: "integer": spec.x.A in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}),
            json!(3),
            "spec.x: Invalid value: 3: spec.x in body must validate at least one schema (anyOf)",
        ),
        (
            json!({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}),
            json!(3),
            "spec.x: Invalid value: 3: spec.x in body must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
        (
            json!({"type": "integer", "not": {"minimum": 1}}),
            json!(3),
            "spec.x: Invalid value: 3: spec.x in body must not validate the schema (not)",
        ),
        (
            json!({"type": "integer", "allOf": [{"minimum": 5}]}),
            json!(3),
            "spec.x: Invalid value: 3: spec.x in body should be greater than or equal to 5",
        ),
    ];
    for (schema, value, expected) in table {
        assert_eq!(texts(&schema, &value), [expected], "{schema}");
    }
}

#[test]
fn what_is_allowed_is_let_through() {
    let table = [
        (json!({"type": "integer"}), json!(2.0)),
        (json!({"type": "number"}), json!(2)),
        (
            json!({"type": "string", "nullable": true, "enum": ["A"]}),
            json!(null),
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "pattern": "^[0-9]+s$"}),
            json!(3),
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "pattern": "^[0-9]+s$"}),
            json!("3s"),
        ),
        (
            json!({"x-kubernetes-preserve-unknown-fields": true}),
            json!({"a": [null]}),
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("2026-01-02T03:04:05.000006Z"),
        ),
        (json!({"type": "string", "pattern": "("}), json!("anything")),
        (
            json!({"type": "string", "format": "no-such-format"}),
            json!("anything"),
        ),
    ];
    for (schema, value) in table {
        assert_eq!(texts(&schema, &value), [""; 0], "{schema}");
    }
}

#[test]
fn every_error_is_reported() {
    let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
        "c": {"type": "string"}, "d": {"type": "array", "items": {"type": "integer"}}}});
    let errors = validate(&schema, &json!({"c": 1, "d": ["x", "y"]}));
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "c", "d[0]", "d[1]"]);
}

/// Of each format some texts that have it, and some that have not.
const FORMATS: [(&str, &[&str], &[&str]); 18] = [
    (
        "hostname",
        &["a", "example.com", "1-2.example", "a.b-c.d1"],
        &["", "-a", "a_b.com", "a..b", "a b", "example.c"],
    ),
    (
        "ipv4",
        &["1.2.3.4", "::ffff:1.2.3.4"],
        &["::1", "1.2.3", "1.2.3.04", "1.2.3.4/8"],
    ),
    (
        "ipv6",
        &["::1", "fe80::1", "::ffff:1.2.3.4"],
        &["1.2.3.4", ":::", "::1/8", "fe80::1%e"],
    ),
    (
        "cidr",
        &["10.0.0.0/8", "10.1.2.3/0", "::/128"],
        &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "x/1", "::/129"],
    ),
    (
        "uri",
        &[
            "https://example.com/a?b#c",
            "/a",
            "mailto:a@b",
            "http://[::1]:80/",
        ],
        &["", "a", "../a", "http://a b/", "http://a:b/", "/%zz"],
    ),
    (
        "mac",
        &[
            "00:00:5e:00:53:01",
            "00-00-5e-00-53-01",
            "0000.5e00.5301",
            "02:00:5e:10:00:00:00:01",
        ],
        &[
            "",
            "00:00:5e:00:53",
            "00:00:5e:00:53:0g",
            "00:00-5e:00:53:01",
        ],
    ),
    (
        "email",
        &[
            "a@b",
            "a.b+c@example.com",
            "A B <a@b.c>",
            "\"a b\"@c",
            "a@[127.0.0.1]",
        ],
        &["", "a", "a@", "@b", "a b@c", "a@b@c", ".a@b", "<a@b"],
    ),
    (
        "duration",
        &["1h30m", "-1.5s", "0", "3 days", "2w", "10 Hours"],
        &["", "1", "h", "1 fortnight"],
    ),
    (
        "date",
        &["2024-02-29"],
        &["2023-02-29", "2024-2-9", "20240229", ""],
    ),
    (
        "date-time",
        &["2024-02-29T23:59:59Z", "2024-02-29t00:00:00.5+01:00"],
        &[
            "2024-02-29",
            "2024-02-29T24:00:00Z",
            "2024-02-29 00:00:00Z",
            "2024-02-29T00:00:00",
        ],
    ),
    ("byte", &["", "YQ==", "YWI="], &["YQ", "Y===", "Y-=="]),
    (
        "uuid",
        &[
            "123e4567-e89b-12d3-a456-426614174000",
            "123E4567E89B12D3A456426614174000",
        ],
        &["123e4567", "123e4567-e89b-12d3-a456-42661417400g"],
    ),
    (
        "uuid4",
        &["123e4567-e89b-42d3-a456-426614174000"],
        &["123e4567-e89b-12d3-a456-426614174000"],
    ),
    ("hexcolor", &["#fff", "00ff00"], &["#ffff", "#ggg"]),
    (
        "rgbcolor",
        &["rgb(0, 1,255)"],
        &["rgb(0,1)", "rgb(0,1,256)"],
    ),
    (
        "isbn",
        &["0-306-40615-2", "978-0-306-40615-7", "080442957X"],
        &["0-306-40615-3", "9780306406158"],
    ),
    (
        "creditcard",
        &["4111 1111 1111 1111"],
        &["4111 1111 1111 1112", "1"],
    ),
    ("ssn", &["078-05-1120"], &["078-05-112"]),
];

#[test]
fn formats() {
    for (format, good, bad) in FORMATS {
        let schema = json!({"type": "string", "format": format});
        for text in good {
            assert_eq!(texts(&schema, &json!(text)), [""; 0], "{format} {text:?}");
        }
        for text in bad {
            let expected = format!("spec.x in body must be of type {format}: {text:?}");
            let found = texts(&schema, &json!(text));
            assert!(
                found.len() == 1 && found[0].ends_with(&expected),
                "{format} {text:?} {found:?}"
            );
        }
    }
}
