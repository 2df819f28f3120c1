//! The log proxy, with an agent that is only a socket.

use std::sync::Arc;

use apiserver::pki::{self, Subject};
use kube::api::{Api, Patch, PatchParams, PostParams};
use manifests::kinds::{Agent, Framework, Task};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::rig::{Rig, framework, now_s, raw, task};

/// Answers one request over mutual TLS with `answer`; yields the request's first line.
async fn agent(rig: &Rig, listener: TcpListener, answer: &'static str) -> String {
    let authority = rig.authority();
    let names = ["stoa-agent".to_owned()];
    let pair = authority
        .issue(&Subject::Agent("a1".into()), &names, now_s())
        .unwrap();
    // Only servers may ask an agent for logs.
    let acceptor = TlsAcceptor::from(Arc::new(pki::peer_server(&authority, &pair).unwrap()));
    let (tcp, _) = listener.accept().await.unwrap();
    let mut tls = acceptor.accept(tcp).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await.unwrap());
    }
    tls.write_all(answer.as_bytes()).await.unwrap();
    tls.shutdown().await.unwrap();
    String::from_utf8(head)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_from_the_agent() {
    let rig = Rig::start().await;
    let (admin, controllers) = (rig.admin().await, rig.handle.client());
    let frameworks: Api<Framework> = Api::namespaced(admin.clone(), "default");
    let framework = serde_json::from_value(framework()).unwrap();
    frameworks
        .create(&PostParams::default(), &framework)
        .await
        .unwrap();
    let tasks: Api<Task> = Api::namespaced(controllers.clone(), "default");
    let created = serde_json::from_value(task("t")).unwrap();
    let created = tasks
        .create(&PostParams::default(), &created)
        .await
        .unwrap();
    const LOG: &str = "/apis/stoa.dev/v1/namespaces/default/tasks/t/log?follow=true&tailLines=3";
    let (code, waiting) = raw(&admin, "GET", LOG, &[], "").await;
    assert_eq!(code, 400);
    assert!(
        waiting["message"]
            .as_str()
            .unwrap()
            .contains("waiting to start"),
        "{waiting}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let agents: Api<Agent> = Api::all(controllers);
    let machine = json!({"apiVersion": "stoa.dev/v1", "kind": "Agent", "metadata": {"name": "a1"}, "spec": {}});
    let machine = serde_json::from_value(machine).unwrap();
    agents
        .create(&PostParams::default(), &machine)
        .await
        .unwrap();
    let merge = |value| Patch::Merge(value);
    let params = PatchParams::default();
    let status = merge(json!({"status": {"address": address}}));
    agents.patch_status("a1", &params, &status).await.unwrap();
    tasks
        .patch("t", &params, &merge(json!({"spec": {"agent": "a1"}})))
        .await
        .unwrap();
    let status = merge(json!({"status": {"state": "Staging", "agent": "a1"}}));
    tasks.patch_status("t", &params, &status).await.unwrap();

    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\n\r\n";
    let (line, (code, text)) = tokio::join!(
        agent(&rig, listener, chunked),
        raw(&admin, "GET", LOG, &[], "")
    );
    assert_eq!((code, text), (200, json!("hello\n")));
    let uid = created.metadata.uid.unwrap();
    assert_eq!(
        line,
        format!("GET /v1/tasks/{uid}/0/log?follow=true&tailLines=3 HTTP/1.1")
    );
    rig.stop().await;
}
