//! What the leader keeps in order by itself: every namespace has the ServiceAccount `default` and the
//! ConfigMap `kube-root-ca.crt`, and an approved request for a client's certificate is signed.
//!
//! It looks at everything when its leadership begins, and then at what changes. Whoever leads next
//! does the same, so nothing is lost with a leader.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use store::View;
use tokio::sync::watch;

use super::Leadership;
use crate::call::{Annotations, Body, Call, Media, Verb};
use crate::edge::ambient;
use crate::engine::Engine;
use crate::keys;
use crate::metadata;
use crate::object;
use crate::params::Params;
use crate::pki::Authority;
use crate::special::csr;
use crate::status::Failure;
use crate::user::User;

/// After everything there was has been looked at.
const REST: Duration = Duration::from_millis(20);

const ACCOUNT: &str = "default";

const ROOT: &str = "kube-root-ca.crt";

#[derive(Debug)]
pub(super) struct Steward {
    pub(super) engine: Engine,
    pub(super) authority: Authority,
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    Namespace(String),
    Request(String),
}

impl Steward {
    /// Works whenever this replica leads, for ever.
    pub(super) async fn run(self, mut leadership: watch::Receiver<Leadership>) {
        loop {
            if leadership.wait_for(|now| now.local).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.reign() => {}
                ended = leadership.wait_for(|now| !now.local) => if ended.is_err() { return },
            }
        }
    }

    /// Looks at everything, and then at what changes, until history was replaced.
    async fn reign(&self) {
        let view = self.engine.store().view();
        let Ok(mut cursor) = self.engine.store().changes(view.revision()) else {
            return;
        };
        for look in everything(&view) {
            self.look(&look).await;
        }
        while let Ok(changes) = cursor.next().await {
            for change in changes {
                if let Some(look) = concerns(&change.key, change.new.is_some()) {
                    self.look(&look).await;
                }
            }
            // Most writes are no concern of this task: it looks at many at once.
            tokio::time::sleep(REST).await;
        }
    }

    async fn look(&self, look: &Look) {
        let done = match look {
            Look::Namespace(name) => self.furnish(name).await,
            Look::Request(name) => self.sign(name).await,
        };
        match done {
            Ok(()) => {}
            // Somebody else was faster, or it is going away: whatever changed is looked at next.
            Err(failure) if matches!(failure.code(), 403 | 404 | 409) => {
                tracing::debug!(?look, %failure, "left as it is");
            }
            Err(failure) => tracing::warn!(?look, %failure, "not put in order"),
        }
    }

    async fn furnish(&self, namespace: &str) -> Result<(), Failure> {
        let view = self.engine.store().view();
        let key = keys::object("", "namespaces", None, namespace);
        let stays = view
            .get(&key)
            .is_some_and(|item| !metadata::is_deleting(&object::decode(&item)));
        if !stays {
            return Ok(());
        }
        if view
            .get(&keys::object(
                "",
                "serviceaccounts",
                Some(namespace),
                ACCOUNT,
            ))
            .is_none()
        {
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT},
            });
            self.write(("", "serviceaccounts"), Some(namespace), None, &account)
                .await?;
        }
        let data = json!({"ca.crt": self.authority.certificate_pem()});
        let root = view.get(&keys::object("", "configmaps", Some(namespace), ROOT));
        let root = root.map(|item| object::decode(&self.engine.vault().open(item)));
        match root {
            Some(root) if root["data"] == data => Ok(()),
            Some(mut root) => {
                root["data"] = data;
                self.write(("", "configmaps"), Some(namespace), Some(("", ROOT)), &root)
                    .await
            }
            None => {
                let root = json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ROOT}, "data": data,
                });
                self.write(("", "configmaps"), Some(namespace), None, &root)
                    .await
            }
        }
    }

    async fn sign(&self, name: &str) -> Result<(), Failure> {
        let key = keys::object(csr::GROUP, csr::PLURAL, None, name);
        let Some(item) = self.engine.store().view().get(&key) else {
            return Ok(());
        };
        let request = object::decode(&item);
        let Some(asked) = csr::to_sign(&request) else {
            return Ok(());
        };
        let serial = u64::try_from(ambient::seed() >> 65).unwrap_or(1).max(1);
        let signed = asked.and_then(|(pem, lasts_s)| {
            let signed = self
                .authority
                .sign_client(&pem, lasts_s, ambient::now_s(), serial);
            signed.map_err(|error| error.to_string())
        });
        tracing::info!(
            name,
            ok = signed.is_ok(),
            "a request for a client's certificate was decided"
        );
        let body = csr::signed(&request, signed);
        self.write(
            (csr::GROUP, csr::PLURAL),
            None,
            Some(("status", name)),
            &body,
        )
        .await
    }

    /// Creates the object, or puts it in the place of the named one.
    async fn write(
        &self,
        (group, plural): (&str, &str),
        namespace: Option<&str>,
        named: Option<(&str, &str)>,
        body: &Value,
    ) -> Result<(), Failure> {
        let registry = self.engine.registry();
        let resource = registry
            .by_plural(group, plural)
            .ok_or_else(Failure::no_such_resource)?;
        let call = Call {
            verb: if named.is_some() {
                Verb::Update
            } else {
                Verb::Create
            },
            resource: Arc::clone(&resource),
            namespace: namespace.map(str::to_owned),
            name: named.map(|(_, name)| name.to_owned()),
            subresource: named
                .map(|(sub, _)| sub.to_owned())
                .filter(|sub| !sub.is_empty()),
            params: Params::default(),
            user: User::controllers(),
            body: Body {
                bytes: body.to_string().into(),
                media: Media::Json,
            },
            now: ambient::now(),
            seed: ambient::seed(),
            annotations: Annotations::default(),
        };
        let _reply = Box::pin(self.engine.call(call)).await?;
        Ok(())
    }
}

fn everything(view: &View) -> Vec<Look> {
    let names = |group: &str, plural: &str, look: fn(String) -> Look| -> Vec<Look> {
        let prefix = keys::resource(group, plural);
        let found = view.prefix(&prefix).filter_map(|item| {
            let name = keys::parse(&item.key)?.name.to_owned();
            Some(look(name))
        });
        found.collect()
    };
    let mut all = names("", "namespaces", Look::Namespace);
    all.extend(names(csr::GROUP, csr::PLURAL, Look::Request));
    all
}

/// What has to be looked at after a change under this key.
fn concerns(key: &[u8], is_there: bool) -> Option<Look> {
    let parts = keys::parse(key)?;
    let namespace = || parts.namespace.map(|name| Look::Namespace(name.to_owned()));
    match (parts.group, parts.plural, parts.name) {
        ("", "namespaces", name) if is_there => Some(Look::Namespace(name.to_owned())),
        ("", "serviceaccounts", ACCOUNT) if !is_there => namespace(),
        ("", "configmaps", ROOT) => namespace(),
        (csr::GROUP, csr::PLURAL, name) if is_there => Some(Look::Request(name.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_it() {
        let namespace = || Some(Look::Namespace("a".into()));
        for (key, is_there, expected) in [
            ("/core/namespaces/-/a", true, namespace()),
            ("/core/namespaces/-/a", false, None),
            ("/core/serviceaccounts/a/default", false, namespace()),
            ("/core/serviceaccounts/a/default", true, None),
            ("/core/serviceaccounts/a/other", false, None),
            ("/core/configmaps/a/kube-root-ca.crt", true, namespace()),
            ("/core/configmaps/a/x", true, None),
            (
                "/certificates.k8s.io/certificatesigningrequests/-/r",
                true,
                Some(Look::Request("r".into())),
            ),
            ("/vault/data-keys", true, None),
        ] {
            assert_eq!(concerns(key.as_bytes(), is_there), expected, "{key}");
        }
    }
}
