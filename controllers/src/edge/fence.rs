//! The fence of one run: a Lease that every run writes before it reads anything, and whose version
//! every transaction of the run names.
//!
//! The epoch alone tells runs of different leaderships apart. Within one, controllers may fail and
//! be started again, while transactions of the run before are still on their way. Such a one either
//! is applied before the Lease was written, and the new run's lists, which come later, show it; or
//! it comes after, finds the Lease at another version, and is refused.

use kube::Client;
use manifests::bundle::{Guard, Operation, Target, Verb};
use serde_json::json;

use super::send::{Deposed, submit};
use crate::effect::Answer;

const NAME: &str = "stoa-controllers";
const NAMESPACE: &str = "kube-system";

/// What every write of a run is guarded by.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    guards: Vec<Guard>,
}

/// Why there is no fence.
#[derive(Debug)]
pub(super) enum Failed {
    Deposed,
    /// The server does not take the Lease: its words.
    Refused(String),
}

impl Fence {
    /// Puts the fence up: from here on no earlier run can write.
    pub(super) async fn raise(
        client: &Client,
        epoch: u64,
        request_id: String,
        now: &str,
    ) -> Result<Self, Failed> {
        let target = Target {
            api_version: "coordination.k8s.io/v1".to_owned(),
            resource: "leases".to_owned(),
            namespace: Some(NAMESPACE.to_owned()),
            name: NAME.to_owned(),
        };
        let body = json!({
            "apiVersion": target.api_version,
            "kind": "Lease",
            "metadata": { "name": NAME, "namespace": NAMESPACE },
            "spec": { "holderIdentity": format!("epoch-{epoch}-{request_id}"), "acquireTime": now },
        });
        let operation = Operation {
            target: target.clone(),
            subresource: None,
            verb: Verb::Apply,
            body,
        };
        let epoch = Guard::Epoch(epoch);
        let answer = submit(
            client,
            std::slice::from_ref(&epoch),
            request_id,
            vec![operation],
        );
        let results = match answer.await {
            Ok(Answer::Applied(results)) => results,
            Ok(Answer::Refused(refusal)) => return Err(Failed::Refused(refusal.message)),
            Err(Deposed) => return Err(Failed::Deposed),
        };
        let version = results.first().and_then(|lease| {
            let version = lease["metadata"]["resourceVersion"].as_str()?;
            Some(version.to_owned())
        });
        let version =
            version.ok_or_else(|| Failed::Refused("the Lease has no version".to_owned()))?;
        Ok(Self {
            guards: vec![epoch, Guard::Exists(target, Some(version))],
        })
    }

    /// What every transaction of the run is guarded by.
    pub(super) fn guards(&self) -> &[Guard] {
        &self.guards
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    /// A server that keeps what it is sent and gives the Lease version 7.
    fn server(seen: &Arc<Mutex<Vec<Value>>>, code: u16, answer: Value) -> Client {
        let seen = Arc::clone(seen);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (seen, answer) = (Arc::clone(&seen), answer.to_string());
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                seen.lock()
                    .unwrap()
                    .push(serde_json::from_slice(&body).unwrap());
                let response = Response::builder().status(code);
                Ok::<_, std::io::Error>(response.body(Body::from(answer.into_bytes())).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn refused(field: &str) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409,
            "reason": "Conflict", "message": "no",
            "details": { "causes": [{ "reason": "x", "message": "x", "field": field }] },
        })
    }

    #[tokio::test]
    async fn every_write_of_a_run_names_the_epoch_and_the_version_of_its_lease() {
        let seen = Arc::default();
        let lease = json!({ "metadata": { "resourceVersion": "7" } });
        let result = json!({
            "apiVersion": "stoa.dev/v1", "kind": "TransactionResult", "revision": "7",
            "results": [lease],
        });
        let client = server(&seen, 200, result);
        let fence = Fence::raise(&client, 4, "id".to_owned(), "now")
            .await
            .unwrap();
        let sent = submit(&client, fence.guards(), "other".to_owned(), Vec::new()).await;
        assert!(sent.is_ok());
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0]["guards"], json!([{ "epoch": 4 }]));
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "resource": "leases",
            "namespace": "kube-system", "name": "stoa-controllers",
        });
        let both = json!([{ "epoch": 4 }, { "exists": [lease, "7"] }]);
        assert_eq!(seen[1]["guards"], both);
    }

    #[tokio::test]
    async fn a_run_whose_lease_was_written_by_another_ends() {
        let seen = Arc::default();
        let client = server(&seen, 409, refused("guards[1]"));
        let sent = submit(&client, &[], "id".to_owned(), Vec::new()).await;
        assert_eq!(sent, Err(Deposed));
        let client = server(&seen, 409, refused("operations[0]"));
        assert!(
            submit(&client, &[], "id".to_owned(), Vec::new())
                .await
                .is_ok()
        );
    }
}
