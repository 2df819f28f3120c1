//! Whom a bearer token speaks for, given the clock, the store and the file of static tokens; and the
//! reviews of authentication.k8s.io, which ask just that.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};
use store::View;
use tokio::time::Instant;

use super::ambient;
use super::context::Context;
use super::tokenfile::TokenFile;
use crate::authn::cache::{Cache, Hash};
use crate::authn::issuer::Issuer;
use crate::authn::{self, Verified, bootstrap};
use crate::metadata;
use crate::object;
use crate::pki::Authority;
use crate::status::Failure;
use crate::user::User;
use crate::vault::Vault;

/// Everything that turns a token into a user.
#[derive(Debug)]
pub(crate) struct Identities {
    /// Signs certificates and join tokens.
    pub(crate) authority: Authority,
    /// Issues and checks service accounts' tokens.
    pub(crate) issuer: Issuer,
    /// Static tokens, if there is a file of them.
    pub(crate) file: Option<TokenFile>,
    cache: Mutex<Cache>,
}

impl Identities {
    pub(crate) fn new(authority: Authority, issuer: Issuer, file: Option<TokenFile>) -> Self {
        Self {
            authority,
            issuer,
            file,
            cache: Mutex::default(),
        }
    }

    fn cached(&self, hash: Hash, now_s: u64, view: &View) -> Option<Verified> {
        let revision = |key: &Bytes| view.revision_of(key);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(hash, now_s, revision)
    }

    fn keep(&self, hash: Hash, verified: Verified) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(hash, verified);
    }
}

/// Why a token says nothing.
enum Mute {
    /// It is malformed, forged, expired or revoked.
    Bad(Failure),
    /// It is ours, but what it stands on is not there; perhaps only not yet.
    Unfounded,
}

impl From<Mute> for Failure {
    fn from(mute: Mute) -> Self {
        match mute {
            Mute::Bad(failure) => failure,
            Mute::Unfounded => Self::unauthorized(),
        }
    }
}

/// What the token says to one of these audiences; to this API if there are none. `audiences` of the
/// answer are those of both.
///
/// # Errors
/// 401 for a token that is malformed, forged, expired, revoked or meant for others; 503 without a
/// leader.
pub(crate) async fn verify(
    context: &Context,
    token: &str,
    audiences: &[String],
) -> Result<Verified, Failure> {
    let verified = match speaks(context, token) {
        // Perhaps the account was made at another replica a moment ago, and this one lags. Strangers
        // cannot make us ask: the signature is ours.
        Err(Mute::Unfounded) => {
            context.store().barrier().await?;
            speaks(context, token)?
        }
        other => other?,
    };
    addressed(context, verified, audiences)
}

/// Whom a token speaks for that spoke on this replica before: no news can be missing here.
///
/// # Errors
/// 401.
pub(crate) fn still(context: &Context, token: &str) -> Result<Verified, Failure> {
    addressed(context, speaks(context, token)?, &[])
}

fn addressed(
    context: &Context,
    mut verified: Verified,
    audiences: &[String],
) -> Result<Verified, Failure> {
    let own = context.identities.issuer.audience();
    if verified.audiences.is_empty() {
        verified.audiences.push(own.to_owned());
    }
    let asked = |one: &String| {
        if audiences.is_empty() {
            one == own
        } else {
            audiences.contains(one)
        }
    };
    verified.audiences.retain(asked);
    if verified.audiences.is_empty() {
        return Err(Failure::unauthorized());
    }
    Ok(verified)
}

fn speaks(context: &Context, token: &str) -> Result<Verified, Mute> {
    let verified = stands(context, token)?;
    let (id, user) = (verified.id.as_deref(), verified.user.name.as_str());
    match context.engine.revoked().token(id, user, verified.issued_s) {
        true => Err(Mute::Bad(revoked())),
        false => Ok(verified),
    }
}

/// A credential that would be good had it not been revoked.
pub(crate) fn revoked() -> Failure {
    Failure::unauthorized_text("this credential has been revoked: get a new one")
}

/// What the token says, as far as it tells by itself and by what it stands on.
fn stands(context: &Context, token: &str) -> Result<Verified, Mute> {
    let now_s = ambient::now_s();
    let identities = &context.identities;
    if let Some(verified) = authn::joiner(token, &context.authority, now_s) {
        return Ok(verified);
    }
    let file = identities.file.as_ref();
    if let Some(user) = file.and_then(|file| file.user(token, Instant::now())) {
        return Ok(Verified::of(user));
    }
    let hash = Hash::of(token);
    let view = context.store().view();
    if let Some(kept) = identities.cached(hash, now_s, &view) {
        return Ok(kept);
    }
    let verified = fresh(context, token, now_s, &view)?;
    identities.keep(hash, verified.clone());
    Ok(verified)
}

/// Looks at a token for the first time.
fn fresh(context: &Context, token: &str, now_s: u64, view: &View) -> Result<Verified, Mute> {
    let bad = || Mute::Bad(Failure::unauthorized());
    let vault = context.engine.vault();
    if let Some((id, secret)) = bootstrap::parts(token) {
        let key = bootstrap::key(id);
        let item = view.get(&key).ok_or_else(bad)?;
        let stored = object::decode(&vault.open(item.clone()));
        let mut found = bootstrap::verify(id, secret, &stored, now_s).ok_or_else(bad)?;
        found.witnesses.push((key, item.mod_revision));
        return Ok(found);
    }
    let claims = context.identities.issuer.claims(token, now_s);
    let claims = claims.ok_or_else(bad)?;
    Issuer::verified(&claims, |key| present((view, vault), key)).ok_or(Mute::Unfounded)
}

/// The uid and revision of an object that is there and not going away.
fn present((view, vault): (&View, &Vault), key: &Bytes) -> Option<(String, u64)> {
    let item = vault.open(view.get(key)?);
    let object = object::decode(&item);
    let stays = !metadata::is_deleting(&object);
    stays.then(|| (metadata::text(&object, "uid").to_owned(), item.mod_revision))
}

/// Status of a SelfSubjectReview.
pub(crate) fn own(user: &User) -> Value {
    json!({ "userInfo": authn::user_info(user) })
}

/// Status of a TokenReview. What cannot be answered at all is a failure, a bad token is not.
pub(crate) async fn review(context: &Context, object: &Value) -> Result<Value, Failure> {
    let spec = &object["spec"];
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        const TEXT: &str = "token is required for TokenReview in authentication";
        return Err(Failure::bad_request(TEXT));
    }
    let asked = spec["audiences"].as_array().into_iter().flatten();
    let asked: Vec<String> = asked.filter_map(Value::as_str).map(str::to_owned).collect();
    match verify(context, token, &asked).await {
        Ok(verified) => Ok(json!({
            "authenticated": true, "user": authn::user_info(&verified.user.authenticated()),
            "audiences": verified.audiences,
        })),
        Err(failure) if failure.code() == 401 => {
            Ok(json!({"user": {}, "error": "invalid bearer token"}))
        }
        Err(failure) => Err(failure),
    }
}
