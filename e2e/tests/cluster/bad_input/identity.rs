//! Certificates that are out of date or of another house, and no certificate at all.

use e2e::{Cluster, Outcome, connect, forge};
use kube::Client;

const TASKS: &str = "/apis/stoa.dev/v1/tasks";

/// Years in which a certificate is good, and ones that are over.
const GOOD: (i32, i32) = (2024, 2040);
const OVER: (i32, i32) = (2020, 2021);

/// None of them learns anything but the version.
pub(super) async fn refused(cluster: &Cluster) -> Outcome<()> {
    let (own, root) = (cluster.pki_dir(), cluster.root());
    let foreign = root.join("foreign-pki");
    forge::foreign_authority(&foreign)?;
    let kubeconfig = cluster.kubeconfig("s1");
    let identity = async |authority, folder: &str, years| {
        let (certificate, key) = forge::administrator(authority, &root.join(folder), years)?;
        connect::with_identity(&kubeconfig, &certificate, &key).await
    };
    // The forge works: what it signs with the right CA for the right time is accepted.
    let honest = identity(&own, "honest", GOOD).await?;
    assert_eq!(connect::get(&honest, TASKS).await?.status, 200);

    assert_refused(
        &identity(&own, "expired", OVER).await?,
        "an expired certificate",
    )
    .await;
    assert_refused(
        &identity(&foreign, "forged", GOOD).await?,
        "a forged certificate",
    )
    .await;

    let stranger = connect::stranger(&kubeconfig).await?;
    assert_eq!(connect::get(&stranger, TASKS).await?.status, 401);
    assert_eq!(
        connect::get(&stranger, "/api/v1/secrets").await?.status,
        401
    );
    assert_eq!(connect::get(&stranger, "/version").await?.status, 200);
    let token = http::Request::get(TASKS).header("authorization", "Bearer stoa.agent.1.x.y.z");
    assert_eq!(
        connect::send(&stranger, token.body(Vec::new())?)
            .await?
            .status,
        401
    );
    Ok(())
}

/// The handshake fails, or the answer is 401.
async fn assert_refused(client: &Client, what: &str) {
    match connect::get(client, TASKS).await {
        Ok(answer) => assert_eq!(answer.status, 401, "{what}: {}", answer.text()),
        Err(fault) => {
            let said = fault.to_string().to_lowercase();
            let by_tls = ["certificate", "alert", "reset", "closed"]
                .iter()
                .any(|w| said.contains(w));
            assert!(by_tls, "{what}: refused for another reason: {said}");
        }
    }
}
