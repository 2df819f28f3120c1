//! Unmodified kubectl, with the kubeconfig the server wrote.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::rig::{PATIENCE, Rig};

const MANIFEST: &str = "
apiVersion: stoa.dev/v1
kind: ResourcePool
metadata: {name: eng}
spec: {weight: 2}
---
apiVersion: stoa.dev/v1
kind: Framework
metadata: {name: analytics, namespace: default}
spec: {pool: eng}
---
apiVersion: stoa.dev/v1
kind: Task
metadata: {name: count-words, namespace: default, labels: {app: demo}}
spec:
  framework: analytics
  command: [/bin/sh, -c, wc -w /etc/services]
  resources: {cpus: 500m, mem: 64Mi}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {a: b}
";

pub(crate) struct Kubectl<'a> {
    pub(crate) kubeconfig: &'a Path,
    pub(crate) home: &'a Path,
}

impl Kubectl<'_> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the client under test is a program"
    )]
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::from(std::process::Command::new("kubectl"));
        command
            .env("KUBECONFIG", self.kubeconfig)
            .env("HOME", self.home)
            .args(words.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// True when there is no kubectl, which standard error says: the harness keeps what macros print.
    pub(crate) async fn is_missing(&self) -> bool {
        let missing = self.command("version --client").status().await.is_err();
        if missing {
            let said = "SKIPPED: kubectl is not installed, so nothing was tested with it\n";
            std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
        }
        missing
    }

    pub(crate) async fn output(&self, words: &str, input: &str) -> Output {
        let mut child = self.command(words).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .unwrap()
            .unwrap()
    }

    /// Runs it, wants it to succeed and its output to hold every one of the words.
    pub(crate) async fn says(&self, words: &str, expected: &[&str]) {
        self.says_to(words, "", expected).await;
    }

    pub(crate) async fn says_to(&self, words: &str, input: &str, expected: &[&str]) {
        let output = self.output(words, input).await;
        let (out, err) = texts(&output);
        assert!(output.status.success(), "kubectl {words}\n{out}\n{err}");
        for one in expected {
            assert!(
                out.contains(one),
                "kubectl {words}: {one:?} is not in\n{out}\n{err}"
            );
        }
    }

    pub(crate) async fn fails(&self, words: &str, input: &str, expected: &str) {
        let output = self.output(words, input).await;
        let (out, err) = texts(&output);
        assert!(!output.status.success(), "kubectl {words}\n{out}");
        assert!(
            err.contains(expected),
            "kubectl {words}: {expected:?} is not in\n{err}"
        );
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What a person does in a day: words for kubectl, and what it must say.
const MORNING: &str = r#"
version                                                 => Server Version
api-resources                                           => tk; stoa.dev/v1; ResourcePool; ConfigMap
apply -f -                                              => eng created; analytics created; count-words created; settings created
apply -f -                                              => count-words unchanged; settings unchanged
diff -f -                                               =>
get tasks                                               => NAME; STATE; count-words; analytics
get tk -A -o wide                                       => NAMESPACE; REASON; default
get tasks -l app=demo -o name                           => task.stoa.dev/count-words
get tasks --field-selector spec.framework=analytics -o yaml => cpus: 500m
get all                                                 => count-words
get ns,cm                                               => namespace/default; configmap/settings
describe task count-words                               => Name:; count-words; Framework:
explain task.spec                                       => framework; command; FIELDS
explain task.metadata                                   => labels
get crd                                                 => tasks.stoa.dev
wait crd/tasks.stoa.dev --for=condition=established --timeout=10s => condition met
patch task count-words --type=merge -p {"spec":{"priority":9}} => patched
get task count-words -o jsonpath={.spec.priority}       => 9
label task count-words tier=web                         => labeled
annotate pool eng note=x                                => annotated
"#;

/// Commands whose bodies kubectl writes as protobuf.
const TYPED: &str = r#"
create namespace team                                   => namespace/team created
create configmap game --from-literal=a=b -n team        => configmap/game created
get configmap game -n team -o jsonpath={.data.a}        => b
create secret generic keys --from-literal=a=b -n team   => secret/keys created
get secret keys -n team -o jsonpath={.data.a}-{.type}   => Yg==-Opaque
create serviceaccount robot -n team                     => serviceaccount/robot created
get sa,cm,secrets -n team                               => robot; game; keys
delete configmap game -n team                           => deleted
patch sa robot -n team -p {"imagePullSecrets":[{"name":"a"}]} => patched
patch sa robot -n team -p {"imagePullSecrets":[{"name":"b"}]} => patched
get sa robot -n team -o jsonpath={.imagePullSecrets[*].name} => a b
create service clusterip web --tcp=80:8080 -n team      => service/web created
get svc -A                                              => kubernetes; web; ClusterIP
describe service web -n team                            => Port:; 80/TCP
cluster-info                                            => control plane
events -n team                                          =>
"#;

/// Rights, as an administrator hands them out.
const RIGHTS: &str = r#"
auth can-i delete tasks                                 => yes
auth can-i --list                                       => *.*
auth can-i create tasks --as=jane    ! no
create role reader --verb=get,list --resource=tasks     => created
create rolebinding jane --role=reader --user=jane       => created
create clusterrole looker --verb=get --resource=configmaps => created
create clusterrolebinding jane --clusterrole=looker --user=jane => created
auth can-i list tasks --as=jane                         => yes
auth can-i list tasks --as=jane -n kube-system          ! no
auth can-i --list --as=jane                             => tasks.stoa.dev; configmaps; [get list]
get tasks --as=jane                                     => count-words
get secrets --as=jane                                   ! secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "default"
get tasks --as=system:serviceaccount:default:robot      ! cannot list resource "tasks"
get roles,rolebindings -o wide                          => reader; Role/reader; jane
get clusterroles cluster-admin -o yaml                  => rbac-defaults
describe clusterrole view                               => tasks.stoa.dev
create rolebinding up --clusterrole=cluster-admin --user=jane --as=jane ! cannot create resource "rolebindings"
auth reconcile -f -                                     => reconciled
delete role/reader rolebinding/jane clusterrole/looker clusterrolebinding/jane => deleted
"#;

/// What `auth reconcile` is given.
const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [stoa.dev], resources: [frameworks], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: jane, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: joe}
";

const EVENING: &str = "
delete task count-words                                 => deleted
delete -f - --ignore-not-found                          => analytics; settings
";

async fn rights(kubectl: &Kubectl<'_>) {
    for line in RIGHTS.lines().filter(|line| !line.is_empty()) {
        let Some((words, expected)) = line.split_once(" => ") else {
            let (words, expected) = line.split_once(" ! ").unwrap();
            let output = kubectl.output(words, "").await;
            let (out, err) = texts(&output);
            let said = format!("{out}{err}");
            assert!(!output.status.success(), "kubectl {words}\n{said}");
            assert!(said.contains(expected.trim()), "kubectl {words}\n{said}");
            continue;
        };
        let expected: Vec<&str> = expected.split("; ").map(str::trim).collect();
        kubectl.says_to(words, ROLE, &expected).await;
    }
}

async fn script(kubectl: &Kubectl<'_>, script: &str) {
    for line in script.lines().filter(|line| !line.is_empty()) {
        let (words, expected) = line.split_once("=>").unwrap();
        let expected: Vec<&str> = expected.split("; ").map(str::trim).collect();
        kubectl.says_to(words, MANIFEST, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_does_its_everyday_work() {
    let rig = Rig::start().await;
    let kubeconfig = rig.handle.kubeconfig_path();
    let kubectl = Kubectl {
        kubeconfig: &kubeconfig,
        home: rig.dir.path(),
    };
    if kubectl.is_missing().await {
        return rig.stop().await.close().unwrap();
    }
    script(&kubectl, MORNING).await;
    changes(&kubectl).await;
    watches(&kubectl).await;
    refusals(&kubectl).await;
    rights(&kubectl).await;
    script(&kubectl, TYPED).await;
    script(&kubectl, EVENING).await;
    kubectl
        .fails("get task count-words", "", "(NotFound)")
        .await;
    rig.stop().await;
}

async fn changes(kubectl: &Kubectl<'_>) {
    let changed = MANIFEST.replace("500m", "250m").replace("a: b", "a: c");
    let dry = &["count-words configured (server dry run)"];
    kubectl
        .says_to("apply --dry-run=server -f -", &changed, dry)
        .await;
    let done = &["count-words configured", "settings configured"];
    kubectl.says_to("apply -f -", &changed, done).await;
}

async fn watches(kubectl: &Kubectl<'_>) {
    let mut child = kubectl.command("get tasks -w").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap_or_default()
    };
    assert!(next().await.starts_with("NAME"));
    assert!(next().await.starts_with("count-words"));
    kubectl
        .says(
            r#"patch task count-words --type=merge -p {"spec":{"priority":10}}"#,
            &["patched"],
        )
        .await;
    assert!(next().await.starts_with("count-words"));
    child.kill().await.unwrap();
    kubectl
        .says(
            "wait task/count-words --for=jsonpath={.spec.priority}=10 --timeout=20s",
            &["condition met"],
        )
        .await;
}

async fn refusals(kubectl: &Kubectl<'_>) {
    let unknown = MANIFEST.replace("command:", "comand:");
    kubectl
        .fails("apply -f -", &unknown, "unknown field \"spec.comand\"")
        .await;
    let negative = MANIFEST.replace("500m", "-1");
    kubectl
        .fails("apply -f -", &negative, "spec.resources")
        .await;
    kubectl
        .fails(
            r#"patch task count-words -p {"spec":{}}"#,
            "",
            "application/merge-patch+json",
        )
        .await;
    kubectl
        .says_to(
            "apply --server-side --force-conflicts -f -",
            MANIFEST,
            &["serverside-applied"],
        )
        .await;
    kubectl
        .fails(
            "create -f -",
            "apiVersion: stoa.dev/v1\nkind: Nothing\nmetadata: {name: x}\n",
            "no matches for kind",
        )
        .await;
}

/// One day with two people and one ConfigMap.
const SHARED: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {a: '1', b: '1'}\n";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_from_the_server_s_side() {
    let rig = Rig::start().await;
    let kubeconfig = rig.handle.kubeconfig_path();
    let kubectl = Kubectl {
        kubeconfig: &kubeconfig,
        home: rig.dir.path(),
    };
    if kubectl.is_missing().await {
        return rig.stop().await.close().unwrap();
    }
    shared(&kubectl).await;
    moved(&kubectl).await;
    custom(&kubectl).await;
    rig.stop().await;
}

async fn shared(kubectl: &Kubectl<'_>) {
    const APPLY: &str = "apply --server-side -f -";
    let other = SHARED.replace("a: '1', ", "").replace("b: '1'", "b: '2'");
    kubectl
        .says_to(APPLY, SHARED, &["serverside-applied"])
        .await;
    kubectl
        .says_to(APPLY, SHARED, &["serverside-applied"])
        .await;
    let as_bob = format!("{APPLY} --field-manager=bob");
    kubectl
        .fails(
            &as_bob,
            &other,
            "Apply failed with 1 conflict: conflict with \"kubectl\": .data.b",
        )
        .await;
    let dry = format!("{as_bob} --force-conflicts --dry-run=server -o jsonpath={{.data.b}}");
    kubectl.says_to(&dry, &other, &["2"]).await;
    kubectl
        .says("get cm shared -o jsonpath={.data.b}", &["1"])
        .await;
    let diff = "diff --server-side --field-manager=bob --force-conflicts -f -";
    let output = kubectl.output(diff, &other).await;
    assert_eq!(output.status.code(), Some(1), "{:?}", texts(&output));
    kubectl
        .says_to(
            &format!("{as_bob} --force-conflicts"),
            &other,
            &["serverside-applied"],
        )
        .await;
    let managers =
        "get cm shared --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}";
    kubectl.says(managers, &["kubectl", "bob"]).await;
    let less = SHARED.replace("a: '1', b: '1'", "b: '2'");
    kubectl.says_to(APPLY, &less, &["serverside-applied"]).await;
    kubectl
        .says("get cm shared -o jsonpath={.data}", &[r#"{"b":"2"}"#])
        .await;
}

/// From the client's side to the server's: fields that are left out then go.
async fn moved(kubectl: &Kubectl<'_>) {
    let mine = SHARED.replace("shared", "mine");
    kubectl.says_to("apply -f -", &mine, &["created"]).await;
    let less = mine.replace("a: '1', b: '1'", "b: '2'");
    kubectl
        .says_to("apply --server-side -f -", &less, &["serverside-applied"])
        .await;
    kubectl
        .says("get cm mine -o jsonpath={.data}", &[r#"{"b":"2"}"#])
        .await;
    let again = less.replace("b: '2'", "c: '3'");
    kubectl.says_to("apply -f -", &again, &["configured"]).await;
    kubectl
        .says("get cm mine -o jsonpath={.data}", &[r#"{"c":"3"}"#])
        .await;
}

async fn custom(kubectl: &Kubectl<'_>) {
    kubectl
        .says_to(
            "apply --server-side -f -",
            MANIFEST,
            &["count-words serverside-applied"],
        )
        .await;
    let unknown = MANIFEST.replace("command:", "comand:");
    kubectl
        .fails(
            "apply --server-side -f -",
            &unknown,
            ".spec.comand: field not declared in schema",
        )
        .await;
    kubectl
        .says("annotate task count-words x=y", &["annotated"])
        .await;
    let entries = "get task count-words --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}";
    kubectl
        .says(entries, &["kubectl", "kubectl-annotate"])
        .await;
}
