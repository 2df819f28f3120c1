//! One row for each way to answer wrongly, in upstream's words.

use super::*;

fn foo(version: &str, metadata: &Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Foo", "metadata": metadata})
}

fn answer(response: &Value) -> Result<Vec<Value>, String> {
    let sent = [foo(
        "v1",
        &json!({"name": "x", "uid": "1", "labels": {"a": "b"}, "generation": 7}),
    )];
    let review = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
                        "response": response});
    read(review.to_string().as_bytes(), "u", &sent, "example.com/v2")
        .map_err(|failure| failure.message().to_owned())
}

fn converted(object: &Value) -> Result<Vec<Value>, String> {
    answer(&json!({"uid": "u", "result": {"status": "Success"}, "convertedObjects": [object]}))
}

#[test]
fn what_is_refused() {
    const WHO: &str = "conversion webhook for example.com/v1, Kind=Foo ";
    let ok = json!({"name": "x", "uid": "1"});
    for (found, text) in [
        (answer(&Value::Null), "failed: no response provided"),
        (
            answer(&json!({"uid": "v"})),
            "failed: expected response.uid=\"u\", got \"v\"",
        ),
        (
            answer(&json!({"uid": "u", "result": {"status": "Failed", "message": "no idea"}})),
            "failed: no idea",
        ),
        (
            answer(&json!({"uid": "u", "result": {}})),
            "failed: response.result.status was '', not 'Success'",
        ),
        (
            answer(&json!({"uid": "u", "result": {"status": "Success"}})),
            "returned 0 objects, expected 1",
        ),
        (
            converted(&foo("v1", &ok)),
            "returned invalid object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v1)",
        ),
        (
            converted(&json!({"apiVersion": "example.com/v2", "kind": "Bar", "metadata": ok})),
            "returned invalid object at index 0: invalid kind (expected Foo, received Bar)",
        ),
        (
            converted(&foo("v2", &json!({"name": "y", "uid": "1"}))),
            "returned invalid object: must have the same name: x != y",
        ),
        (
            converted(&foo("v2", &json!({"name": "x", "uid": "2"}))),
            "returned invalid object: must have the same UID: 1 != 2",
        ),
        (
            converted(&foo(
                "v2",
                &json!({"name": "x", "uid": "1", "labels": {"a": 1}}),
            )),
            "returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
        ),
        (
            converted(&foo(
                "v2",
                &json!({"name": "x", "uid": "1", "annotations": []}),
            )),
            "returned invalid metadata: invalid metadata.annotations of type []interface {} in converted object",
        ),
    ] {
        assert_eq!(found, Err(format!("{WHO}{text}")));
    }
    let odd = converted(&foo(
        "v2",
        &json!({"name": "x", "uid": "1", "labels": {"a": "-"}}),
    ))
    .unwrap_err();
    assert!(
        odd.contains("returned invalid metadata: metadata.labels: Invalid value: \"-\": "),
        "{odd}"
    );
}

#[test]
fn labels_and_annotations_change_and_nothing_else_of_the_metadata() {
    let metadata = json!({"name": "x", "uid": "1", "annotations": {"c": "d"}, "generation": 9,
                          "finalizers": ["mine"]});
    let found = converted(&foo("v2", &metadata)).unwrap();
    let expected = json!({"name": "x", "uid": "1", "annotations": {"c": "d"}, "generation": 7});
    assert_eq!(found, [foo("v2", &expected)]);
}

#[test]
fn nonsense_is_no_answer() {
    let sent = [foo("v1", &json!({"name": "x"}))];
    for bytes in [
        &b""[..],
        b"\x00",
        b"{}",
        b"[]",
        b"{\"kind\":\"ConversionReview\"}",
    ] {
        assert!(read(bytes, "u", &sent, "example.com/v2").is_err());
    }
    assert_eq!(
        read(b"", "u", &[], "example.com/v2").unwrap(),
        [Value::Null; 0]
    );
}
