//! The answers to a write, once the commit has said which revision each object has.

use std::sync::Arc;

use manifests::kinds::API_VERSION;
use serde_json::{Value, json};
use store::{Op, View};

use crate::call::{List, Reply};
use crate::metadata;
use crate::object::Form;
use crate::registry::Descriptor;
use crate::render;
use crate::vault::Vault;
use crate::verbs::{Answer, Shown};
use crate::world::{Commit, World};

/// Most warnings of one answer: each becomes a header.
const WARNINGS_MAX: usize = 32;

/// Answers with everything the commit decided filled in.
#[derive(Debug)]
pub struct Settled {
    /// Store revision after the commit.
    pub revision: u64,
    /// In the order of the writes.
    pub answers: Vec<Final>,
}

/// One answer, final.
#[derive(Clone, Debug)]
pub struct Final {
    code: u16,
    form: Form,
    resource: Arc<Descriptor>,
    warnings: Vec<String>,
}

/// What a dry run answers.
#[must_use]
pub fn preview(world: &World, answers: Vec<Answer>) -> Settled {
    let finals = answers.into_iter().map(|answer| {
        let form = match answer.shown {
            Shown::Stored(key) => world.preview(&key),
            Shown::Removed(_, value) | Shown::Value(value) => Form::Value(value),
        };
        Final {
            code: answer.code,
            form,
            resource: answer.resource,
            warnings: answer.warnings,
        }
    });
    Settled {
        revision: world.view().revision(),
        answers: finals.collect(),
    }
}

/// What a commit answers.
#[must_use]
pub fn settle(
    commit: &Commit,
    ops: &[Op],
    answers: &[Answer],
    revisions: &[u64],
    revision: u64,
) -> Settled {
    let finals = answers.iter().map(|answer| {
        let form = match &answer.shown {
            Shown::Stored(key) => match commit.committed(ops, key, revisions) {
                Some(item) => Form::Stored(item),
                None => Form::Value(Value::Null),
            },
            Shown::Removed(key, value) => {
                let at = commit.revision(key, revisions);
                Form::Value(versioned(value.clone(), at))
            }
            Shown::Value(value) => Form::Value(value.clone()),
        };
        finish(answer, form)
    });
    Settled {
        revision,
        answers: finals.collect(),
    }
}

/// The answers of an earlier attempt, read from the state it left.
#[must_use]
pub fn recall((view, vault): (&View, &Vault), answers: &[Answer], revision: u64) -> Settled {
    let finals = answers.iter().map(|answer| {
        let form = match &answer.shown {
            Shown::Stored(key) => match view.get(key) {
                Some(item) => Form::Stored(vault.open(item)),
                None => Form::Value(Value::Null),
            },
            Shown::Removed(_, value) | Shown::Value(value) => Form::Value(value.clone()),
        };
        finish(answer, form)
    });
    Settled {
        revision,
        answers: finals.collect(),
    }
}

fn finish(answer: &Answer, form: Form) -> Final {
    let (resource, warnings) = (Arc::clone(&answer.resource), answer.warnings.clone());
    Final {
        code: answer.code,
        form,
        resource,
        warnings,
    }
}

fn versioned(mut object: Value, revision: Option<u64>) -> Value {
    if let Some(revision) = revision {
        metadata::map(&mut object).insert("resourceVersion".into(), revision.to_string().into());
    }
    object
}

impl Final {
    /// What was written to.
    #[must_use]
    pub fn resource(&self) -> &Descriptor {
        &self.resource
    }

    /// What was written to, to be kept.
    #[must_use]
    pub fn shared_resource(&self) -> Arc<Descriptor> {
        Arc::clone(&self.resource)
    }

    /// What is shown, in its form.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Shows this instead.
    pub fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// What is shown.
    #[must_use]
    pub fn object(&self) -> Value {
        self.form.to_value()
    }

    /// As the answer to a single write.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self.form {
            Form::Value(status) if status["kind"] == "Status" => Reply::Status {
                code: self.code,
                status,
            },
            Form::Value(_) | Form::Stored(_) => Reply::Object {
                code: self.code,
                object: self.form,
                warnings: self.warnings,
            },
        }
    }
}

impl Settled {
    /// As the answer to a deletecollection.
    #[must_use]
    pub fn list(self, resource: &Descriptor) -> Reply {
        let mut items = Vec::new();
        for answer in &self.answers {
            let mut item = answer.form.to_value();
            resource.to_shown(&mut item);
            items.push(item);
        }
        let head = List {
            revision: self.revision,
            ..List::default()
        };
        let list = json!({
            "kind": resource.list_kind, "apiVersion": resource.api_version(),
            "metadata": render::list_metadata(&head), "items": items,
        });
        Reply::Encoded {
            code: 200,
            json: list.to_string().into(),
            warnings: Vec::new(),
        }
    }

    /// As the answer to a transaction.
    #[must_use]
    pub fn transaction_result(self) -> Reply {
        let mut out = format!(
            "{{\"apiVersion\":\"{API_VERSION}\",\"kind\":\"TransactionResult\",\"revision\":\"{}\",\"results\":[",
            self.revision
        )
        .into_bytes();
        for (n, answer) in self.answers.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            render::append(&mut out, &answer.resource, &answer.form);
        }
        out.extend_from_slice(b"]}");
        let warnings = self.answers.into_iter().flat_map(|answer| answer.warnings);
        let warnings = warnings.take(WARNINGS_MAX).collect();
        Reply::Encoded {
            code: 200,
            json: out.into(),
            warnings,
        }
    }
}
