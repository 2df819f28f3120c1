//! A user's definition, by kubectl: versions, defaults, rules, columns, scale, selectable fields,
//! and the texts of what is refused.

use crate::kubectl::Kubectl;
use crate::rig::Rig;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    selectableFields: [{jsonPath: .spec.image}]
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec, description: When it runs}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [cronSpec]
            x-kubernetes-validations:
            - rule: self.minReplicas <= self.replicas
              messageExpression: "'%d replicas are fewer than %d'.format([self.replicas, self.minReplicas])"
              fieldPath: .replicas
            - rule: self.image.startsWith('example.com/')
            properties:
              cronSpec: {type: string, minLength: 9, pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$', description: When it runs.}
              image:
                type: string
                default: example.com/cron
                x-kubernetes-validations:
                - {rule: self == oldSelf, message: image is immutable, reason: FieldValueForbidden}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 2}
              minReplicas: {type: integer, default: 1}
          status:
            type: object
            properties:
              replicas: {type: integer}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
"#;

const CRONTAB: &str = r"
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: nightly}
spec: {cronSpec: '0 3 * * *'}
";

/// What a person does with it, and what kubectl must say.
const DAY: &str = r#"
wait crd/crontabs.stable.example.com --for=condition=established --timeout=10s => condition met
get crontabs                                            =>
api-resources --api-group=stable.example.com            => crontabs; ct; CronTab
explain crontab.spec --recursive                        => cronSpec; -required-; replicas; minReplicas
explain crontab.spec.cronSpec                           => When it runs.
apply -f -                                              => crontab.stable.example.com/nightly created
apply -f -                                              => crontab.stable.example.com/nightly unchanged
get ct                                                  => NAME; SPEC; REPLICAS; AGE; nightly; 0 3 * * *; 2
get ct -o wide                                          => IMAGE; example.com/cron
get ct --field-selector spec.image=example.com/cron -o name => crontab.stable.example.com/nightly
get crontabs.v1beta1.stable.example.com nightly -o yaml => apiVersion: stable.example.com/v1beta1; image: example.com/cron
scale ct/nightly --replicas=5                           => scaled
get ct nightly -o jsonpath={.spec.replicas}/{.metadata.generation} => 5/2
"#;

/// What is refused, and in which words.
const REFUSALS: [(&str, &str); 5] = [
    (
        r#"patch ct nightly --type=merge -p {"spec":{"image":"example.com/other"}}"#,
        r#"The CronTab "nightly" is invalid: spec.image: Forbidden: image is immutable"#,
    ),
    (
        r#"patch ct nightly --type=merge -p {"spec":{"minReplicas":7}}"#,
        r#"The CronTab "nightly" is invalid: spec.replicas: Invalid value: 5 replicas are fewer than 7"#,
    ),
    (
        r#"patch ct nightly --type=merge -p {"spec":{"cronSpec":"x"}}"#,
        "spec.cronSpec: Invalid value: \"x\": spec.cronSpec in body should be at least 9 chars long",
    ),
    (
        r#"patch ct nightly --type=merge -p {"spec":{"replicas":11}}"#,
        "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
    ),
    (
        r#"patch ct nightly --type=merge -p {"spec":{"cronSpec":null}}"#,
        "spec.cronSpec: Required value",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_users_kind_behaves_as_in_kubernetes() {
    let rig = Rig::start().await;
    let kubeconfig = rig.handle.kubeconfig_path();
    let kubectl = Kubectl {
        kubeconfig: &kubeconfig,
        home: rig.dir.path(),
    };
    if kubectl.is_missing().await {
        return rig.stop().await.close().unwrap();
    }
    kubectl
        .says_to(
            "create -f -",
            DEFINITION,
            &["crontabs.stable.example.com created"],
        )
        .await;
    for line in DAY.lines().filter(|line| !line.is_empty()) {
        let (words, expected) = line.split_once("=>").unwrap();
        let expected: Vec<&str> = expected.split("; ").map(str::trim).collect();
        kubectl.says_to(words, CRONTAB, &expected).await;
    }
    for (words, text) in REFUSALS {
        kubectl.fails(words, "", text).await;
    }
    let typo = CRONTAB.replace("cronSpec", "cronspec");
    kubectl
        .fails("apply -f -", &typo, "unknown field \"spec.cronspec\"")
        .await;
    let broken = DEFINITION.replace("self.image.startsWith", "self.imag.startsWith");
    kubectl
        .fails("apply -f -", &broken, "undefined field 'imag'")
        .await;
    kubectl
        .says("delete crd crontabs.stable.example.com", &["deleted"])
        .await;
    kubectl.fails("get crontabs", "", "(NotFound)").await;
    rig.stop().await;
}
