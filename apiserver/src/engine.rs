//! The engine: every verb but watch, on every kind, over the store.
//!
//! A write reads the local view, computes what follows, and commits under guards on everything it
//! read. A refused guard means that the view was stale or somebody was faster: it is computed again.
//! So any replica computes, and only the leader orders.

pub mod commit;

pub mod ending;

pub mod settled;

mod shown;

pub mod served;

pub mod sealed;

pub mod hooked;

pub mod granted;

pub mod revocations;

pub mod shelves;

mod gather;

mod naming;

pub mod rounds;

pub mod turns;

pub mod tally;

use std::sync::Arc;
use std::time::Duration;

use store::{Store, View};

use crate::admission::hooks::Desk;
use crate::authn::revoked::Revoked;
use crate::authorize::{Authorizer, Policy};
use crate::body::{self, Input};
use crate::call::{Body, Call, Reply, TransactionCall, Verb};
use crate::edge::webhooks::Caller;
use crate::ids::{self, Ids};
use crate::keys;
use crate::managed::author::Author;
use crate::object::Form;
use crate::params::{FieldValidation, Params};
use crate::read::{self, At};
use crate::registry::{Descriptor, Registry};
use crate::selector::Selector;
use crate::status::Failure;
use crate::vault::Vault;
use crate::verbs::{
    Action, Context, Write, apply, check_own, collection, delete, patch, scale, transaction,
};

/// Longest wait for a revision of the future, as Kubernetes.
const WAIT: Duration = Duration::from_secs(3);

/// How often a write is begun again because its kind was defined anew.
const REDEFINED: usize = 4;

/// Largest body of one object.
pub const BODY_BYTES_MAX: usize = 3 << 20;

/// Largest body of a transaction.
pub const TRANSACTION_BYTES_MAX: usize = 16 << 20;

/// Answers calls. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Store,
    policy: Policy,
    served: Arc<served::Served>,
    vault: Arc<Vault>,
    hooked: Arc<hooked::Hooked>,
    granted: Arc<granted::Granted>,
    revocations: Arc<revocations::Revocations>,
    shelves: Arc<shelves::Shelves>,
    turns: Arc<turns::Turns>,
    webhooks: Caller,
}

impl Engine {
    /// An engine over a store.
    #[must_use]
    pub fn new(store: Store, policy: Policy) -> Self {
        Self {
            store,
            policy,
            served: Arc::default(),
            vault: Arc::default(),
            hooked: Arc::default(),
            granted: Arc::default(),
            revocations: Arc::default(),
            shelves: Arc::default(),
            turns: Arc::default(),
            webhooks: Caller::default(),
        }
    }

    /// The engine with what seals and opens Secrets; without, they are stored as they are.
    #[must_use]
    pub fn with_vault(self, vault: Arc<Vault>) -> Self {
        Self { vault, ..self }
    }

    /// What seals and opens Secrets.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// The resources served at this moment, by what this replica has seen of the definitions.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        self.served.at(&self.store.view())
    }

    /// Who may do what at this moment.
    #[must_use]
    pub fn authorizer(&self) -> Authorizer {
        match self.policy {
            Policy::Open => Authorizer::open(),
            Policy::Closed => Authorizer::at(Arc::clone(&self.granted), self.store.view()),
        }
    }

    /// Which credentials are revoked at this moment.
    #[must_use]
    pub fn revoked(&self) -> Arc<Revoked> {
        self.revocations.at(&self.store.view())
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers one call.
    ///
    /// # Errors
    /// Whatever the client did wrong, or what kept us from answering.
    pub async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let mut reply = self.answer(&call).await?;
        if let (Reply::Object { warnings, .. }, Some(text)) =
            (&mut reply, &call.resource.deprecation)
        {
            warnings.push(text.clone());
        }
        Ok(reply)
    }

    async fn answer(&self, call: &Call) -> Result<Reply, Failure> {
        match call.verb {
            Verb::Get => self.get(call).await,
            Verb::List => self.list(call).await,
            Verb::DeleteCollection => self.delete_collection(call).await,
            Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => self.write(call).await,
        }
    }

    async fn get(&self, call: &Call) -> Result<Reply, Failure> {
        let (resource, name) = (&call.resource, call.name.as_deref().unwrap_or_default());
        if !resource.serves("get") {
            return Err(Failure::method_not_allowed(&resource.gr(), "get"));
        }
        let view = self.view(read::at(&call.params)?).await?;
        let item = view.get(&keys::of(resource, call.namespace.as_deref(), name));
        let item = item.ok_or_else(|| Failure::not_found(&resource.gr(), name))?;
        let object = Form::Stored(self.vault.open(item));
        if call.user.is_in(crate::user::AGENTS) {
            check_own(&self.authorizer(), &call.user, resource, &object.to_value())?;
        }
        let object = match object {
            Form::Stored(item) if resource.family.is_some() => {
                let shown = self.show(resource, vec![item]).await?.pop();
                Form::Stored(shown.ok_or_else(|| Failure::internal("an object was lost"))?)
            }
            other @ (Form::Stored(_) | Form::Value(_)) => other,
        };
        let object = match call.subresource.as_deref().unwrap_or_default() {
            "" => object,
            sub @ ("status" | "approval") if resource.has_subresource(sub) => object,
            "scale" => Form::Value(scale::read(resource, &object.to_value())?),
            other if resource.has_subresource(other) => {
                return Err(Failure::method_not_allowed(&resource.gr(), "get"));
            }
            _ => return Err(Failure::no_such_resource()),
        };
        Ok(Reply::Object {
            code: 200,
            object,
            warnings: Vec::new(),
        })
    }

    async fn list(&self, call: &Call) -> Result<Reply, Failure> {
        let resource = &call.resource;
        if !resource.serves("list") {
            return Err(Failure::method_not_allowed(&resource.gr(), "list"));
        }
        let params = &call.params;
        let selector = Selector::parse(&params.label_selector, &params.field_selector, resource)?;
        let wanted = read::wanted(params)?;
        let view = match self.view(wanted.at).await {
            Err(failure) if wanted.continued && failure.code() == 410 => {
                return Err(Failure::expired_continue(read::token(None, &wanted.start)));
            }
            other => other?,
        };
        let place = (&**resource, call.namespace.as_deref());
        let among = self.candidates(&view, place, &selector);
        let opened = (&view, &*self.vault);
        let mut list = read::list(opened, place, &selector, &wanted, among.as_deref());
        list.items = self.show(resource, list.items).await?;
        Ok(Reply::List(list))
    }

    /// The view a read wants, waited for if need be.
    ///
    /// # Errors
    /// 410 when it is past, 504 when it lies in the future, 503 without a leader.
    pub async fn view(&self, at: At) -> Result<View, Failure> {
        match at {
            At::Any => Ok(self.store.view()),
            At::Latest => {
                self.store.barrier().await?;
                Ok(self.store.view())
            }
            At::NotOlderThan(revision) => self.reach(revision).await,
            At::Exact(revision) => {
                self.reach(revision).await?;
                let view = self.store.view_at(revision);
                view.map_err(|compacted| Failure::expired(revision, compacted.oldest))
            }
        }
    }

    async fn reach(&self, revision: u64) -> Result<View, Failure> {
        let view = self.store.wait_revision(revision, WAIT).await;
        view.map_err(|too_new| Failure::timeout_too_new(revision, too_new.current))
    }

    /// Writes; a kind that is defined anew meanwhile is looked up again.
    async fn write(&self, call: &Call) -> Result<Reply, Failure> {
        let mut write = parse(call)?;
        for _ in 0..REDEFINED {
            match self.write_as(call, &write).await {
                Err(failure) if failure.is_redefined() => {}
                outcome => return outcome,
            }
            let Descriptor {
                group,
                version,
                plural,
                ..
            } = &*write.resource;
            let found = self.registry().lookup(group, version, plural);
            write.resource = found.ok_or_else(Failure::no_such_resource)?;
        }
        Err(Failure::redefined())
    }

    async fn write_as(&self, call: &Call, write: &Write) -> Result<Reply, Failure> {
        let registry = self.registry();
        let dry_run = call.params.dry_run || is_dry_run(&write.action);
        let request = commit::Request {
            ids: Ids::new(call.seed),
            now: call.now,
            dry_run,
            named: false,
        };
        let docket = self.docket(dry_run, &call.annotations);
        let plan = |world: &mut crate::world::World| {
            let mut context = self.context(call, &registry, docket.desk());
            crate::verbs::run(world, write, &mut context).map(|answer| vec![answer])
        };
        let writes = std::slice::from_ref(write);
        let mut settled = self.admit(&docket, writes, plan, &request).await?.answers;
        let one = settled
            .pop()
            .ok_or_else(|| Failure::internal("a write has no answer"))?;
        Ok(one.reply())
    }

    async fn delete_collection(&self, call: &Call) -> Result<Reply, Failure> {
        let params = &call.params;
        let resource = Arc::clone(&call.resource);
        let input = parse_body(&call.body, BODY_BYTES_MAX)?;
        let wanted = collection::Collection {
            selector: Selector::parse(&params.label_selector, &params.field_selector, &resource)?,
            options: delete::Options::of(&input.value, params)?,
            namespace: call.namespace.clone(),
            resource,
        };
        let registry = self.registry();
        let dry_run = params.dry_run || wanted.options.is_dry_run();
        let request = commit::Request {
            ids: Ids::new(call.seed),
            now: call.now,
            dry_run,
            named: false,
        };
        let docket = self.docket(dry_run, &call.annotations);
        let plan = |world: &mut crate::world::World| {
            let context = self.context(call, &registry, docket.desk());
            collection::run(world, &wanted, &context)
        };
        let settled = self.admit(&docket, &[], plan, &request).await?;
        Ok(settled.list(&wanted.resource))
    }

    /// Answers a transaction.
    ///
    /// # Errors
    /// As `call`; `details.causes[].field` names the operation or guard.
    pub async fn transaction(&self, call: TransactionCall) -> Result<Reply, Failure> {
        let input = parse_body(&call.body, TRANSACTION_BYTES_MAX)?;
        let bundle: manifests::bundle::Transaction = body::shaped(input.value, "a transaction")?;
        let request_id = bundle.request_id.as_deref();
        let named = request_id.map(|id| ids::seed_of(&call.user.name, id));
        let registry = self.registry();
        let validation = call.params.field_validation;
        let plan = transaction::plan(
            bundle,
            &registry,
            validation,
            &call.user,
            &self.authorizer(),
        )?;
        let ids = Ids::new(named.unwrap_or(call.seed));
        let dry_run = call.params.dry_run;
        let request = commit::Request {
            ids: ids.clone(),
            now: call.now,
            dry_run,
            named: named.is_some(),
        };
        let docket = self.docket(dry_run, &call.annotations);
        let compute = |world: &mut crate::world::World| {
            let mut context = Context {
                user: &call.user,
                authorizer: self.authorizer(),
                now: call.now,
                ids: ids.clone(),
                registry: &registry,
                author: Author::of(&call.user, &call.params),
                desk: docket.desk(),
            };
            transaction::run(world, &plan, &mut context)
        };
        Ok(self
            .admit(&docket, &plan.writes, compute, &request)
            .await?
            .transaction_result())
    }

    fn context<'a>(&self, call: &'a Call, registry: &'a Registry, desk: Desk<'a>) -> Context<'a> {
        let ids = Ids::new(call.seed);
        Context {
            user: &call.user,
            authorizer: self.authorizer(),
            now: call.now,
            ids,
            registry,
            author: Author::of(&call.user, &call.params),
            desk,
        }
    }
}

fn is_dry_run(action: &Action) -> bool {
    match action {
        Action::Delete(options) => options.is_dry_run(),
        Action::Create | Action::Update | Action::Patch(_) | Action::Apply => false,
    }
}

fn parse_body(body: &Body, bytes_max: usize) -> Result<Input, Failure> {
    if body.bytes.len() > bytes_max {
        let text = format!("Request entity too large: limit is {bytes_max}");
        return Err(Failure::too_large(text));
    }
    body::parse(body)
}

fn parse(call: &Call) -> Result<Write, Failure> {
    let mut write = Write {
        action: Action::Create,
        resource: Arc::clone(&call.resource),
        namespace: call.namespace.clone().filter(|_| call.resource.namespaced),
        name: call.name.clone().unwrap_or_default(),
        subresource: call.subresource.clone().unwrap_or_default(),
        input: Input::default(),
        validation: call.params.field_validation,
    };
    if call.verb == Verb::Patch {
        patch::check_media(&write, call.body.media)?;
        apply::check_options(&call.params, call.body.media)?;
    }
    write.input = parse_body(&call.body, BODY_BYTES_MAX)?;
    write.action = action(call.verb, &call.body, &write.input, &call.params)?;
    if matches!(write.action, Action::Delete(_)) {
        write.validation = FieldValidation::Ignore;
    }
    Ok(write)
}

fn action(verb: Verb, body: &Body, input: &Input, params: &Params) -> Result<Action, Failure> {
    Ok(match verb {
        Verb::Update => Action::Update,
        Verb::Patch => Action::Patch(body.media),
        Verb::Delete => Action::Delete(delete::Options::of(&input.value, params)?),
        Verb::Create | Verb::Get | Verb::List | Verb::DeleteCollection => Action::Create,
    })
}

#[cfg(test)]
pub(crate) mod tests;
