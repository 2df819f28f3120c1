//! Bodies as kubectl 1.32 sends them, byte by byte; what no kubectl sends; and garbage.

use serde_json::json;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// What kubectl writes for commands of `create` and `auth`, and what it means.
fn captured() -> Vec<(&'static str, Value)> {
    vec![
        // create configmap game --from-literal=a=b --from-literal=c=
        (
            "6b3873000a0f0a0276311209436f6e6669674d6170122c0a1b0a0467616d6512001a0764656661756c742200\
             2a0032003800420012060a016112016212050a016312001a002200",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b", "c": ""},
                   "metadata": {"name": "game", "namespace": "default"}}),
        ),
        // create namespace team
        (
            "6b3873000a0f0a02763112094e616d657370616365121c0a140a047465616d12001a0022002a003200380042\
             0012001a020a001a002200",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"},
                   "spec": {}, "status": {}}),
        ),
        // create secret generic keys --from-literal=a=b
        (
            "6b3873000a0c0a027631120653656372657412200a140a046b65797312001a0022002a003200380042001206\
             0a01611201621a001a002200",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
                   "data": {"a": "Yg=="}}),
        ),
        // create quota q --hard=pods=2,cpu=500m
        (
            "6b3873000a130a027631120d5265736f7572636551756f746112330a110a017112001a0022002a0032003800\
             4200121c0a0d0a0363707512060a043530306d0a0b0a04706f647312030a01321a001a002200",
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
                   "spec": {"hard": {"cpu": "500m", "pods": "2"}}, "status": {}}),
        ),
        // create rolebinding b --role=r --user=u --serviceaccount=ns:sa
        (
            "6b3873000a2b0a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f7631120b526f6c654269\
             6e64696e67127d0a110a016212001a0022002a0032003800420012260a04557365721219726261632e617574\
             686f72697a6174696f6e2e6b38732e696f1a01752200121a0a0e536572766963654163636f756e7412001a02\
             736122026e731a240a19726261632e617574686f72697a6174696f6e2e6b38732e696f1204526f6c651a0172\
             1a002200",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "b"},
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"},
                             {"kind": "ServiceAccount", "name": "sa", "namespace": "ns"}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            }),
        ),
        // create token robot --duration=1h --audience=x
        (
            "6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e5265717565\
             737412200a100a0012001a0022002a0032003800420012060a017820901c1a040a0012001a002200",
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
                   "spec": {"audiences": ["x"], "expirationSeconds": 3600}, "status": {"token": ""}}),
        ),
        // auth can-i '*' '*'
        (
            "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a656374\
             41636365737352657669657712370a100a0012001a0022002a0032003800420012190a170a0764656661756c\
             7412012a1a0022002a012a32003a001a08080012001a0020001a002200",
            json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "metadata": {}, "status": {"allowed": false},
                "spec": {"resourceAttributes": {"namespace": "default", "verb": "*", "resource": "*"}},
            }),
        ),
        // auth whoami
        (
            "6b3873000a2d0a1861757468656e7469636174696f6e2e6b38732e696f2f7631121153656c665375626a6563\
             74526576696577121a0a100a0012001a0022002a0032003800420012060a040a0012001a002200",
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
                   "metadata": {}, "status": {"userInfo": {}}}),
        ),
    ]
}

#[test]
fn what_kubectl_sends() {
    for (hex, expected) in captured() {
        assert_eq!(decode(&bytes(hex)).unwrap(), expected);
    }
}

/// A field of bytes.
fn field(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [
        varint(number << 3 | 2),
        varint(value.len() as u64),
        value.to_vec(),
    ]
    .concat()
}

fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_ = [field(1, api_version), field(2, kind)].concat();
    [MAGIC.to_vec(), field(1, type_), field(2, raw)].concat()
}

fn read(api_version: &str, kind: &str, raw: &[u8]) -> Result<Value, String> {
    let read = decode(&body(api_version, kind, raw));
    read.map_err(|failure| format!("{} {}", failure.code(), failure.message()))
}

#[test]
fn pointers_times_and_numbers() {
    let micro = [number(1, 1_700_000_000), number(2, 5_000)].concat();
    let spec = [
        field(1, ""),
        number(2, 15),
        field(3, micro),
        field(4, ""),
        number(5, 0),
    ];
    let lease = field(2, spec.concat());
    let found = read("coordination.k8s.io/v1", "Lease", &lease).unwrap();
    let expected = json!({
        "holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 0,
        "acquireTime": "2023-11-14T22:13:20.000005Z",
    });
    assert_eq!(
        found["spec"], expected,
        "a released lease names an empty holder"
    );

    let options = [number(1, 0), number(3, 0), field(2, field(1, "u"))].concat();
    let found = read("apps/v1", "DeleteOptions", &options).unwrap();
    let expected = json!({
        "apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "orphanDependents": false, "preconditions": {"uid": "u"},
    });
    assert_eq!(found, expected, "whatever the group");

    let meta = [
        field(8, number(1, 0)),
        number(10, -30_i64 as u64),
        number(7, 0),
        field(17, field(7, field(1, r#"{"f:a":{}}"#))),
        field(11, [field(1, "a"), field(2, "b")].concat()),
        field(11, field(1, "c")),
    ];
    let found = read("v1", "Namespace", &field(1, meta.concat())).unwrap();
    let expected = json!({
        "creationTimestamp": "1970-01-01T00:00:00Z", "deletionGracePeriodSeconds": -30,
        "managedFields": [{"fieldsV1": {"f:a": {}}}], "labels": {"a": "b", "c": ""},
    });
    assert_eq!(found["metadata"], expected);
}

#[test]
fn inline_messages_and_repetitions() {
    let rule = [field(1, ""), field(2, "v1"), field(3, "tasks")].concat();
    let with_operations = [field(1, "CREATE"), field(2, rule)].concat();
    let named = [field(1, "x"), field(2, with_operations)].concat();
    let raw = field(2, field(2, field(3, named)));
    let found = read(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        &raw,
    );
    let expected = json!([{
        "resourceNames": ["x"], "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
        "resources": ["tasks"],
    }]);
    assert_eq!(
        found.unwrap()["spec"]["matchConstraints"]["resourceRules"],
        expected
    );

    // Messages said twice are one; of words the last counts; unknown fields are skipped.
    let twice = [
        field(1, field(1, "a")),
        field(1, [field(1, "b"), field(3, "n")].concat()),
        number(99, 7),
    ];
    let found = read("v1", "Namespace", &twice.concat()).unwrap();
    assert_eq!(found["metadata"], json!({"name": "b", "namespace": "n"}));

    let words = field(1, "x");
    let extra = [field(1, "k"), field(2, [words.clone(), words].concat())].concat();
    let raw = field(2, field(5, extra));
    let found = read("authorization.k8s.io/v1", "SubjectAccessReview", &raw).unwrap();
    assert_eq!(found["spec"]["extra"], json!({"k": ["x", "x"]}));

    let port = [
        number(3, 80),
        field(4, [number(1, 1), field(3, "http")].concat()),
    ]
    .concat();
    let ports = [field(1, port), field(1, field(4, number(2, 8080)))].concat();
    let found = read("v1", "Service", &field(2, ports)).unwrap();
    let expected = json!([{"port": 80, "targetPort": "http"}, {"targetPort": 8080}]);
    assert_eq!(found["spec"]["ports"], expected);
}

fn double(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

/// A schema with everything that is written in a way of its own.
fn schema() -> Vec<u8> {
    let property = |name: &str, schema: &[Vec<u8>]| {
        let entry = [field(1, name), field(2, schema.concat())].concat();
        field(29, entry)
    };
    let string = || field(5, "string");
    let share = [
        field(5, "number"),
        double(9, 1.5),
        double(11, 0.0),
        field(8, field(1, "0.25")),
    ];
    let mode = [
        string(),
        field(20, field(1, "\"on\"")),
        field(20, field(1, "null")),
        number(37, 1),
        number(13, 0),
    ];
    let rule = [
        field(1, "self.all(x, x > 0)"),
        field(4, "FieldValueInvalid"),
        number(6, 0),
    ];
    let list = [
        field(5, "array"),
        field(24, field(1, field(5, "integer"))),
        field(42, "set"),
        field(44, rule.concat()),
    ];
    let either = [field(24, [field(2, string()), field(2, "")].concat())];
    let schema = [
        field(5, "object"),
        property("share", &share),
        property("mode", &mode),
        property("list", &list),
        property("either", &either),
        property("map", &[field(30, field(2, string()))]),
        property("open", &[field(30, number(1, 1)), number(38, 1)]),
        property("closed", &[field(30, "")]),
        field(23, "share"),
        field(32, [field(1, "mode"), field(2, field(2, "list"))].concat()),
        field(3, "#/definitions/x"),
    ];
    schema.concat()
}

/// What it means.
fn read_schema() -> Value {
    json!({
        "type": "object", "required": ["share"], "$ref": "#/definitions/x",
        "dependencies": {"mode": ["list"]},
        "properties": {
            "share": {"type": "number", "maximum": 1.5, "minimum": 0, "default": 0.25},
            "mode": {"type": "string", "enum": ["on", null], "nullable": true, "maxLength": 0},
            "list": {"type": "array", "items": {"type": "integer"},
                     "x-kubernetes-list-type": "set",
                     "x-kubernetes-validations": [{"rule": "self.all(x, x > 0)",
                         "reason": "FieldValueInvalid", "optionalOldSelf": false}]},
            "either": {"items": [{"type": "string"}, {}]},
            "map": {"additionalProperties": {"type": "string"}},
            "open": {"additionalProperties": true,
                     "x-kubernetes-preserve-unknown-fields": true},
            "closed": {"additionalProperties": false},
        },
    })
}

fn definition() -> Vec<u8> {
    let version = [
        field(1, "v1"),
        number(2, 1),
        number(3, 0),
        field(4, field(1, schema())),
        field(5, [field(1, ""), field(2, field(1, ".spec.n"))].concat()),
        field(
            6,
            [field(1, "N"), field(6, ".spec.n"), number(5, 1)].concat(),
        ),
        field(9, field(1, ".spec.mode")),
    ];
    let names = [field(1, "points"), field(4, "Point"), field(3, "pt")];
    let spec = [
        field(1, "example.com"),
        field(3, names.concat()),
        field(4, "Cluster"),
        field(7, version.concat()),
    ];
    field(2, spec.concat())
}

#[test]
fn definitions_with_their_schemas() {
    let found = read(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &definition(),
    );
    let expected = json!({
        "group": "example.com", "scope": "Cluster",
        "names": {"plural": "points", "kind": "Point", "shortNames": ["pt"]},
        "versions": [{
            "name": "v1", "served": true, "storage": false,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n"}},
            "additionalPrinterColumns": [{"name": "N", "jsonPath": ".spec.n", "priority": 1}],
            "selectableFields": [{"jsonPath": ".spec.mode"}],
            "schema": {"openAPIV3Schema": read_schema()},
        }],
    });
    assert_eq!(found.unwrap()["spec"], expected);
}

#[test]
fn refusals() {
    let deep = "[".repeat(126) + &"]".repeat(126);
    let fields = |json: &str| field(1, field(17, field(7, field(1, json))));
    for (api_version, kind, raw, expected) in [
        (
            "stoa.dev/v1",
            "Task",
            vec![],
            "415 the body of the request was in an unknown format",
        ),
        ("v2", "ConfigMap", vec![], "415"),
        (
            "v1",
            "ConfigMap",
            vec![0x0a],
            "400 the protobuf body does not decode: it breaks off",
        ),
        ("v1", "ConfigMap", vec![0x0a, 0x05, 0x00], "400"),
        ("v1", "ConfigMap", vec![0xff; 11], "400"),
        ("v1", "ConfigMap", vec![0x00], "400"),
        ("v1", "ConfigMap", vec![0x0b], "400"),
        ("v1", "ConfigMap", number(1, 1), "400"),
        ("v1", "ConfigMap", field(1, field(1, [0xff])), "400"),
        (
            "v1",
            "ConfigMap",
            field(1, field(8, number(1, 1 << 60))),
            "400",
        ),
        ("v1", "ConfigMap", fields("{"), "400"),
        ("v1", "ConfigMap", fields(&deep), "400"),
        ("v1", "Namespace", field(1, "").repeat(1 << 20), "400"),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            field(2, field(7, field(4, field(1, field(30, field(1, "")))))),
            "400 the protobuf body does not decode: additionalProperties",
        ),
    ] {
        let refused = read(api_version, kind, &raw).unwrap_err();
        assert!(refused.starts_with(expected), "{kind}: {refused}");
    }
    assert_eq!(decode(b"{}").unwrap_err().code(), 400);
    assert_eq!(decode(b"k8s\0").unwrap_err().code(), 415);
    let packed = [body("v1", "ConfigMap", &[]), field(3, "gzip")].concat();
    assert_eq!(decode(&packed).unwrap_err().code(), 415);
}

/// Numbers that look random and are the same every time (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

#[test]
fn garbage_is_refused_or_read_but_never_harms() {
    let mut dice = Dice(0x5701);
    let mut bodies: Vec<Vec<u8>> = captured().iter().map(|(hex, _)| bytes(hex)).collect();
    bodies.push(body(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &definition(),
    ));
    for _ in 0..20_000 {
        let mut garbled = bodies[dice.roll(bodies.len())].clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(garbled.len());
            match dice.roll(4) {
                0 => garbled[at] = dice.roll(256) as u8,
                1 => garbled.truncate(at.max(5)),
                2 => garbled.insert(at, dice.roll(256) as u8),
                _ => garbled.extend_from_within(at..),
            }
        }
        if let Ok(value) = decode(&garbled) {
            assert!(crate::body::depth(&value) <= crate::body::DEPTH_MAX);
        }
    }
    for length in 0..2_000 {
        let noise: Vec<u8> = (0..length % 64).map(|_| dice.roll(256) as u8).collect();
        drop(read("v1", "Event", &noise));
        drop(decode(&[MAGIC, &noise].concat()));
    }
}
