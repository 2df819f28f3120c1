//! The audit log of a real server: who did what, how fully, and that nothing is missing at the end.

use std::time::Duration;

use apiserver::AuditOptions;
use apiserver::audit::Policy;
use serde_json::{Value, json};

use crate::rig::{Rig, raw};

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, userGroups: ['stoa:controllers', 'stoa:servers']}
- {level: RequestResponse, verbs: [create], resources: [{resources: [configmaps]}]}
- {level: Request, verbs: [patch], resources: [{resources: [configmaps]}]}
- {level: None, verbs: [list], resources: [{resources: [configmaps]}]}
- {level: Metadata}
";

#[tokio::test(flavor = "multi_thread")]
async fn notes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit/log.json");
    let audit = AuditOptions {
        path: path.clone(),
        policy: Policy::parse(POLICY).unwrap(),
        file_bytes: 1 << 20,
        backups: 1,
        age: Duration::ZERO,
    };
    let rig = Rig::with(dir, |options| options.audit = Some(audit)).await;
    let admin = rig.admin().await;
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let body = json!({"metadata": {"name": "x"}, "data": {"a": "b"}}).to_string();
    let id = [("audit-id", "mine"), ("user-agent", "tester/1")];
    assert_eq!(raw(&admin, "POST", MAPS, &id, body).await.0, 201);
    let merge = [("content-type", "application/merge-patch+json")];
    let one = format!("{MAPS}/x?fieldManager=me");
    let patched = raw(&admin, "PATCH", &one, &merge, "{\"data\":{\"a\":\"c\"}}").await;
    assert_eq!(patched.0, 200);
    assert_eq!(raw(&admin, "GET", MAPS, &[], "").await.0, 200);
    assert_eq!(raw(&admin, "GET", "/version", &[], "").await.0, 200);
    assert_eq!(
        raw(&admin, "DELETE", &format!("{MAPS}/none"), &[], "")
            .await
            .0,
        404
    );
    let watch = format!("{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0");
    assert_eq!(raw(&admin, "GET", &watch, &[], "").await.0, 200);
    drop(admin);
    let _dir = rig.stop().await;

    let text = std::fs::read_to_string(&path).unwrap();
    let notes: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<String> = notes
        .iter()
        .map(|note| {
            let word = |key: &str| note[key].as_str().unwrap_or("-").to_owned();
            let body = |key: &str| if note[key].is_null() { "" } else { " +body" };
            let (stage, verb, level) = (word("stage"), word("verb"), word("level"));
            let (sent, answered) = (body("requestObject"), body("responseObject"));
            let code = &note["responseStatus"]["code"];
            format!("{stage} {verb} {level} {code}{sent}{answered}")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "ResponseComplete create RequestResponse 201 +body +body",
            "ResponseComplete patch Request 200 +body",
            "ResponseComplete get Metadata 200",
            "ResponseComplete delete Metadata 404",
            "ResponseStarted watch Metadata 200",
            "ResponseComplete watch Metadata 200",
        ]
    );
    let first = &notes[0];
    assert_eq!(first["auditID"], "mine");
    assert_eq!(first["userAgent"], "tester/1");
    assert_eq!(first["sourceIPs"], json!(["127.0.0.1"]));
    assert_eq!(first["user"]["username"], "admin");
    assert_eq!(first["responseObject"]["metadata"]["name"], "x");
    let reference = json!({"resource": "configmaps", "namespace": "default", "apiVersion": "v1"});
    assert_eq!(first["objectRef"], reference);
}
