//! Quotas, limit ranges, policies and webhooks, as kubectl sets them up and runs into them.

use crate::kubectl::Kubectl;
use crate::rig::{PATIENCE, Rig};

const SETUP: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: default}
spec: {hard: {count/tasks.stoa.dev: 2, configmaps: \"1\", cpus: \"1\"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: r, namespace: default}
spec: {limits: [{type: Task, defaultRequest: {cpus: 100m}}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: modest}
spec:
  matchConstraints:
    resourceRules: [{operations: [CREATE, UPDATE], apiGroups: [stoa.dev], apiVersions: [v1], resources: [tasks]}]
  validations: [{expression: object.spec.priority < 5, message: stay modest}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: everywhere}
spec: {policyName: modest, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: nobody}
webhooks:
- name: nobody.example.com
  clientConfig: {url: https://127.0.0.1:1/x}
  rules: [{operations: [CREATE], apiGroups: [\"\"], apiVersions: [v1], resources: [secrets]}]
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 1
";

fn task(name: &str, priority: i64) -> String {
    format!(
        "apiVersion: stoa.dev/v1\nkind: Task\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{framework: f, command: [\"true\"], priority: {priority}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_meets_quotas_policies_and_webhooks() {
    let rig = Rig::start().await;
    let kubeconfig = rig.handle.kubeconfig_path();
    let kubectl = Kubectl {
        kubeconfig: &kubeconfig,
        home: rig.dir.path(),
    };
    if kubectl.is_missing().await {
        return rig.stop().await.close().unwrap();
    }
    let made = &[
        "resourcequota/q created",
        "limitrange/r created",
        "nobody created",
    ];
    kubectl.says_to("apply -f -", SETUP, made).await;
    kubectl
        .says_to(
            "apply -f -",
            SETUP,
            &["limitrange/r unchanged", "everywhere unchanged"],
        )
        .await;
    kubectl
        .says(
            "get quota",
            &["NAME", "REQUEST", "count/tasks.stoa.dev: 0/2"],
        )
        .await;
    kubectl
        .says(
            "describe quota q",
            &["count/tasks.stoa.dev", "Used", "Hard"],
        )
        .await;
    kubectl.says("describe limits r", &["Task", "100m"]).await;
    kubectl
        .says(
            "get validatingadmissionpolicies,validatingwebhookconfigurations",
            &["modest", "nobody"],
        )
        .await;
    writes(&kubectl).await;
    rig.stop().await;
}

/// What defaults, a policy, a quota and an unreachable webhook do to writes.
async fn writes(kubectl: &Kubectl<'_>) {
    kubectl
        .says_to("create -f -", &task("a", 1), &["a created"])
        .await;
    kubectl.says("get task a -o yaml", &["cpus: 100m"]).await;
    let denied =
        "ValidatingAdmissionPolicy 'modest' with binding 'everywhere' denied request: stay modest";
    kubectl.fails("create -f -", &task("b", 9), denied).await;
    kubectl
        .fails(
            "patch task a --type=merge -p {\"spec\":{\"priority\":9}}",
            "",
            denied,
        )
        .await;
    kubectl
        .says_to("create -f -", &task("b", 1), &["b created"])
        .await;
    let exceeded = "(Forbidden): error when creating \"STDIN\": tasks.stoa.dev \"c\" is forbidden: exceeded quota: q, \
                    requested: count/tasks.stoa.dev=1, used: count/tasks.stoa.dev=2, limited: count/tasks.stoa.dev=2";
    kubectl.fails("create -f -", &task("c", 1), exceeded).await;
    let unreachable = "(InternalError): error when creating \"STDIN\": Internal error occurred: failed calling webhook \
                       \"nobody.example.com\": failed to call webhook: Post \"https://127.0.0.1:1/x?timeout=1s\"";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    kubectl.fails("create -f -", secret, unreachable).await;
    kubectl.says("delete task a", &["deleted"]).await;
    let wait =
        "wait quota/q --for=jsonpath={.status.used.count/tasks\\.stoa\\.dev}=1 --timeout=20s";
    let released = tokio::time::timeout(PATIENCE, kubectl.says(wait, &["condition met"]));
    released.await.unwrap();
    kubectl
        .says_to("create -f -", &task("c", 1), &["c created"])
        .await;
}
