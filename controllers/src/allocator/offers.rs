//! The life of an offer: made, opened, accepted or declined or withdrawn, settled, removed.

use manifests::kinds::{API_VERSION, Launched, OfferPhase};
use serde_json::{Value, json};

use super::Allocator;
use super::book::{Entry, Phase};
use crate::effect::{Lane, Refusal, Token, Write};
use crate::model::{Key, Name, Offer};
use crate::ops;
use crate::world::{Delta, World};

/// An offer nobody answered is not made again at once, so that others have their turn.
const UNANSWERED_MS: u64 = 1_000;

/// A framework whose offers the server refuses (its namespace is going, say) is left alone so long.
const REST_MS: u64 = 250;

impl Allocator {
    /// An offer changed in the world.
    pub fn observe_offer(
        &mut self,
        world: &World,
        delta: &Delta<Offer>,
        now_ms: u64,
    ) -> Vec<Write> {
        match (&delta.new, &delta.old) {
            (Some(offer), _) => self.seen(world, offer, now_ms),
            (None, Some(offer)) => self.vanished(world, &offer.key),
            (None, None) => Vec::new(),
        }
    }

    fn seen(&mut self, world: &World, offer: &Offer, now_ms: u64) -> Vec<Write> {
        if self.book.get(&offer.key).is_none() {
            if offer.key.name.starts_with(&self.prefix) {
                // One of ours that is over; the stream of offers is behind.
                return Vec::new();
            }
            self.inherit(offer);
        }
        let Some(entry) = self.book.get_mut(&offer.key) else {
            return Vec::new();
        };
        entry.uid.clone_from(&offer.meta.uid);
        entry.version = entry.version.max(offer.meta.version);
        let mut writes = match (offer.phase, entry.may_be_accepted()) {
            (OfferPhase::Open, true) => self.opened(world, &offer.key),
            (OfferPhase::Accepted, true) => self.accepted(
                world,
                &offer.key,
                &offer.launched,
                offer.meta.version,
                offer.refuse_ms,
                now_ms,
            ),
            (OfferPhase::Declined, true) => self.declined(world, offer, now_ms),
            // Already settled or on its way out: an older event, or news we had from the answer.
            (OfferPhase::Open | OfferPhase::Accepted | OfferPhase::Declined, false) => Vec::new(),
        };
        writes.extend(self.recharge(world, &offer.key));
        self.reopen(world, &offer.agent);
        writes
    }

    /// An offer of an earlier term: charged in full, and withdrawn before its agent is used.
    fn inherit(&mut self, offer: &Offer) {
        self.book.insert(Entry {
            key: offer.key.clone(),
            uid: offer.meta.uid.clone(),
            version: offer.meta.version,
            framework: offer.framework.clone(),
            pool: offer.pool.clone(),
            agent: offer.agent.clone(),
            source: offer.reservation.clone(),
            resources: offer.resources.clone(),
            phase: Phase::Open,
            builtin: false,
            ours: false,
            intended: Vec::new(),
            bundle: 0,
            gang: false,
            expires_ms: 0,
            doomed: true,
            removing: false,
            early: std::collections::BTreeMap::new(),
            buried: std::collections::BTreeSet::new(),
            charged: manifests::resources::Resources::default(),
        });
    }

    /// Proposed → Open: the scheduler's, if built in; withdrawn, if it is not wanted any more.
    fn opened(&mut self, world: &World, key: &Key) -> Vec<Write> {
        let Some(entry) = self.book.get_mut(key) else {
            return Vec::new();
        };
        if entry.phase == Phase::Proposed {
            entry.phase = Phase::Open;
            if entry.builtin && !entry.doomed {
                self.opened.insert(key.clone());
            }
        }
        if self
            .book
            .get(key)
            .is_some_and(|e| e.doomed && e.phase == Phase::Open)
        {
            return self.withdraw(world, key).into_iter().collect();
        }
        Vec::new()
    }

    /// Open, Accepting or Withdrawing → Accepted.
    fn accepted(
        &mut self,
        world: &World,
        key: &Key,
        launched: &[Launched],
        version: u64,
        refuse_ms: u64,
        now_ms: u64,
    ) -> Vec<Write> {
        self.opened.remove(key);
        let touched = self.book.accept(key, version, launched);
        if let Some(entry) = self.book.get(key).filter(|entry| !entry.builtin) {
            let rest = entry.remainder(world);
            self.filters
                .refuse(&entry.framework, &entry.agent, rest, now_ms + refuse_ms);
        }
        touched
            .iter()
            .filter_map(|offer| self.recharge(world, offer))
            .collect()
    }

    /// Open or Withdrawing → Gone.
    fn declined(&mut self, world: &World, offer: &Offer, now_ms: u64) -> Vec<Write> {
        let until = now_ms + offer.refuse_ms;
        self.filters.refuse(
            &offer.framework,
            &offer.agent,
            offer.resources.clone(),
            until,
        );
        let write = Write::cold(
            Token::Withdraw(offer.key.clone()),
            vec![ops::delete("offers", &offer.key, &offer.meta.uid, None)],
        );
        self.end(world, &offer.key);
        vec![write]
    }

    /// Any → Gone: charged no more, and the tasks it was sized for wait again.
    fn end(&mut self, world: &World, key: &Key) {
        self.opened.remove(key);
        if let Some(entry) = self.book.get_mut(key) {
            entry.phase = Phase::Gone;
            self.spared.append(&mut entry.intended);
            self.recharge(world, key);
        }
    }

    /// Accepted, and every task was seen: the object has done its duty.
    pub(super) fn finish(&mut self, key: &Key) -> Option<Write> {
        let entry = self.book.get_mut(key).filter(|entry| !entry.removing)?;
        entry.removing = true;
        let operation = ops::delete("offers", key, &entry.uid, None);
        Some(Write::cold(Token::Withdraw(key.clone()), vec![operation]))
    }

    /// The watch says that the object is gone.
    fn vanished(&mut self, world: &World, key: &Key) -> Vec<Write> {
        let Some(entry) = self.book.get_mut(key) else {
            return Vec::new();
        };
        let unsettled = matches!(entry.phase, Phase::Accepted(_)) && !entry.due(world).1;
        if unsettled {
            // Somebody else deleted it: it stays charged, by its own rule, until settled.
            entry.uid = String::new();
            return Vec::new();
        }
        let agent = entry.agent.clone();
        self.end(world, key);
        self.strike(key);
        self.reopen(world, &agent);
        Vec::new()
    }

    pub(super) fn strike(&mut self, key: &Key) {
        self.opened.remove(key);
        self.book.remove(key);
    }

    /// Marks offers as not wanted and withdraws those that stand.
    pub(super) fn doom(&mut self, world: &World, unwanted: impl Fn(&Entry) -> bool) -> Vec<Write> {
        let standing = |entry: &&Entry| entry.may_be_accepted() && unwanted(entry);
        let keys: Vec<Key> = self
            .book
            .iter()
            .filter(standing)
            .map(|e| e.key.clone())
            .collect();
        keys.iter()
            .filter_map(|key| {
                if let Some(entry) = self.book.get_mut(key) {
                    entry.doomed = true;
                }
                self.withdraw(world, key)
            })
            .collect()
    }

    /// Open → Withdrawing: deleted if it is still as we know it.
    pub(super) fn withdraw(&mut self, _world: &World, key: &Key) -> Option<Write> {
        let entry = self
            .book
            .get_mut(key)
            .filter(|entry| entry.phase == Phase::Open)?;
        entry.phase = Phase::Withdrawing;
        let version = Some(entry.version).filter(|version| *version > 0);
        let operation = ops::delete("offers", key, &entry.uid, version);
        self.opened.remove(key);
        Some(Write::cold(Token::Withdraw(key.clone()), vec![operation]))
    }

    /// Withdraws what has expired, and what is inherited.
    pub fn expire(&mut self, world: &World, now_ms: u64) -> Vec<Write> {
        let over = |e: &&Entry| e.phase == Phase::Open && (e.expires_ms <= now_ms || e.doomed);
        let over: Vec<Key> = self
            .book
            .iter()
            .filter(over)
            .map(|e| e.key.clone())
            .collect();
        for key in &over {
            let Some(entry) = self
                .book
                .get(key)
                .filter(|e| e.ours && !e.builtin && !e.doomed)
            else {
                continue;
            };
            let (framework, agent) = (entry.framework.clone(), entry.agent.clone());
            let resources = entry.resources.clone();
            self.filters
                .refuse(&framework, &agent, resources, now_ms + UNANSWERED_MS);
        }
        if self.filters.expire(now_ms) {
            self.freed = true;
        }
        let resting = self.resting.len();
        self.resting.retain(|_, until| *until > now_ms);
        self.freed |= self.resting.len() < resting;
        over.iter()
            .filter_map(|key| self.withdraw(world, key))
            .collect()
    }

    /// A list of offers is complete: what we thought to be on its way out and is not there, is out.
    pub fn offers_listed(&mut self, world: &World) {
        let out = |e: &&Entry| e.phase == Phase::Gone && world.offers.get(&e.key).is_none();
        let out: Vec<Key> = self
            .book
            .iter()
            .filter(out)
            .map(|e| e.key.clone())
            .collect();
        for key in &out {
            self.strike(key);
        }
    }

    /// A creation was answered.
    pub fn created(
        &mut self,
        world: &World,
        key: &Key,
        result: &Result<Vec<Value>, Refusal>,
        now_ms: u64,
    ) -> Vec<Write> {
        match result {
            Ok(objects) => {
                let newest = objects.last();
                if let (Some(entry), Some(object)) = (self.book.get_mut(key), newest) {
                    let meta = &object["metadata"];
                    entry.uid = meta["uid"].as_str().unwrap_or_default().to_owned();
                    entry.version = entry.version.max(version(object));
                }
                self.opened(world, key)
            }
            Err(refusal) => {
                tracing::debug!(offer = %key, code = refusal.code, message = refusal.message, "offer refused");
                let Some(entry) = self.book.get(key) else {
                    return Vec::new();
                };
                self.resting
                    .insert(entry.framework.clone(), now_ms + REST_MS);
                self.end(world, key);
                self.strike(key);
                Vec::new()
            }
        }
    }

    /// The built-in scheduler's acceptance was answered.
    pub fn answered(
        &mut self,
        world: &World,
        keys: &[Key],
        result: &Result<Vec<Value>, Refusal>,
        now_ms: u64,
    ) -> Vec<Write> {
        let mut writes = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let Some(entry) = self.book.get_mut(key).filter(|e| e.may_be_accepted()) else {
                continue;
            };
            match result.as_ref().map(|objects| objects.get(index)) {
                Ok(Some(object)) => {
                    let launched = serde_json::from_value(object["status"]["launched"].clone());
                    let launched: Vec<Launched> = launched.unwrap_or_default();
                    writes.extend(self.accepted(world, key, &launched, version(object), 0, now_ms));
                }
                // The watch will say what became of it.
                Ok(None) => {}
                Err(refusal) => {
                    tracing::debug!(offer = %key, message = refusal.message, "acceptance refused");
                    entry.doomed = true;
                    if entry.phase == Phase::Accepting {
                        entry.phase = Phase::Open;
                    }
                    self.spared.append(&mut entry.intended);
                    writes.extend(self.withdraw(world, key));
                }
            }
        }
        writes
    }

    /// An open offer the scheduler has no use for.
    pub fn useless(&mut self, world: &World, key: &Key) -> Option<Write> {
        let entry = self.book.get_mut(key)?;
        entry.doomed = true;
        self.spared.append(&mut entry.intended);
        self.withdraw(world, key)
    }

    /// A withdrawal or removal was answered.
    pub fn withdrawn(
        &mut self,
        world: &World,
        key: &Key,
        result: &Result<Vec<Value>, Refusal>,
        now_ms: u64,
    ) {
        let Some(entry) = self.book.get_mut(key) else {
            return;
        };
        let out = match result {
            Ok(_) => true,
            Err(refusal) => refusal.code == 404,
        };
        match (&entry.phase, out) {
            (Phase::Withdrawing, true) => {
                entry.phase = Phase::Gone;
                self.spared.append(&mut entry.intended);
            }
            // It was answered meanwhile; the watch tells how. If it was not, it is tried again.
            (Phase::Withdrawing, false) => {
                entry.phase = Phase::Open;
                entry.doomed = false;
                entry.expires_ms = now_ms + UNANSWERED_MS;
            }
            (Phase::Accepted(_), true) => entry.phase = Phase::Gone,
            (Phase::Accepted(_), false) => entry.removing = false,
            (Phase::Proposed | Phase::Open | Phase::Accepting | Phase::Gone, _) => {}
        }
        let (agent, gone) = (entry.agent.clone(), entry.phase == Phase::Gone);
        self.recharge(world, key);
        // The object may have vanished from the watch before the answer came.
        if gone && world.offers.get(key).is_none() {
            self.strike(key);
        }
        self.reopen(world, &agent);
    }

    /// The write that makes an offer.
    pub(super) fn publish(&self, world: &World, key: &Key) -> Option<Write> {
        let entry = self.book.get(key)?;
        let attributes = world.agents.get(&entry.agent).map(|a| a.attributes.clone());
        let mut spec = json!({
            "framework": &*entry.framework.name,
            "pool": &*entry.pool,
            "agent": &*entry.agent,
            "resources": entry.resources.to_list(),
            "attributes": attributes.unwrap_or_default(),
            "expiresAt": ops::micro_time(entry.expires_ms),
        });
        if let Some(reservation) = &entry.source {
            spec["reservation"] = reservation.to_string().into();
        }
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": "Offer",
            "metadata": { "namespace": &*key.namespace, "name": &*key.name },
            "spec": spec,
        });
        let mut operations = vec![ops::create("offers", key, body)];
        if !entry.builtin {
            // For people and programs that look at the phase; ours know that it is Open.
            let open = json!({ "status": { "phase": "Open" } });
            operations.push(ops::patch_status("offers", key, open));
        }
        Some(Write {
            token: Token::Create(key.clone()),
            lane: Lane::Offer,
            operations,
        })
    }

    /// A name no other offer of any term has.
    pub(super) fn next_offer(&mut self, namespace: &Name) -> Key {
        self.sequence += 1;
        let name = format!("{}{}", self.prefix, self.sequence);
        Key {
            namespace: namespace.clone(),
            name: name.as_str().into(),
        }
    }

    /// When an offer made now to this framework ends.
    pub(super) fn expiry(&self, world: &World, framework: &Key, now_ms: u64) -> u64 {
        let own = world
            .frameworks
            .get(framework)
            .and_then(|f| f.offer_timeout_ms);
        now_ms.saturating_add(own.unwrap_or(self.offer_timeout_ms))
    }
}

fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.and_then(|v| v.parse().ok()).unwrap_or(0)
}
