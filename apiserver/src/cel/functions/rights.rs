//! Questions about rights, put together step by step.

use std::sync::Arc;

use super::{Outcome, text_of};
use crate::cel::eval::{Error, Meter};
use crate::cel::kinds::Special;
use crate::cel::kinds::rights::{Decision, Right, Subject};
use crate::cel::value::Value;
use crate::names;
use crate::user::Attributes;

/// What one check costs, so that an expression may have two: upstream's number.
const CHECK_COST: usize = 350_000;

fn right<'a>(right: Right) -> Value<'a> {
    Value::Special(Arc::new(Special::Right(right)))
}

/// Methods.
pub(super) fn method<'a>(name: &str, args: &[Value<'a>], meter: &Meter) -> Option<Outcome<'a>> {
    let [Value::Special(own), rest @ ..] = args else {
        return None;
    };
    let Special::Right(own) = &**own else {
        return None;
    };
    match (own, rest) {
        (Right::Authorizer(subject), [Value::String(word)]) => of_subject(name, subject, word),
        (Right::Authorizer(subject), [Value::String(namespace), Value::String(account)]) => {
            (name == "serviceAccount").then(|| service_account(subject, namespace, account))
        }
        (Right::GroupCheck(subject, group), [Value::String(word)]) => {
            (name == "resource").then(|| resource(subject, group, word))
        }
        (Right::ResourceCheck(subject, asked), [Value::String(word)]) => match name {
            "check" => Some(checked(meter, || subject.check(asked, word))),
            _ => narrowed(name, asked, word).map(|asked| {
                Ok(right(Right::ResourceCheck(
                    Arc::clone(subject),
                    Arc::new(asked),
                )))
            }),
        },
        (Right::PathCheck(subject, path), [Value::String(verb)]) => {
            (name == "check").then(|| checked(meter, || subject.check_path(path, verb)))
        }
        (Right::Decision(decision), []) => of_decision(name, decision).map(Ok),
        _ => None,
    }
}

fn of_subject<'a>(name: &str, subject: &Arc<Subject>, word: &str) -> Option<Outcome<'a>> {
    let subject = Arc::clone(subject);
    Some(match name {
        "path" if word.trim().is_empty() => Err(Error::text("path must not be empty")),
        "path" => Ok(right(Right::PathCheck(subject, word.into()))),
        "group" => Ok(right(Right::GroupCheck(subject, word.into()))),
        _ => return None,
    })
}

fn service_account<'a>(subject: &Subject, namespace: &str, name: &str) -> Outcome<'a> {
    if names::dns_subdomain(name).is_some() {
        return Err(Error::text("Invalid service account name"));
    }
    if names::dns_label(namespace).is_some() {
        return Err(Error::text("Invalid service account namespace"));
    }
    let account = subject.service_account(namespace, name);
    Ok(right(Right::Authorizer(Arc::new(account))))
}

fn resource<'a>(subject: &Arc<Subject>, group: &str, plural: &str) -> Outcome<'a> {
    if plural.trim().is_empty() {
        return Err(Error::text("resource must not be empty"));
    }
    let asked = Attributes {
        group: group.to_owned(),
        version: "*".to_owned(),
        resource: plural.to_owned(),
        ..Attributes::default()
    };
    Ok(right(Right::ResourceCheck(
        Arc::clone(subject),
        Arc::new(asked),
    )))
}

/// The question, about less.
fn narrowed(name: &str, asked: &Attributes, word: &str) -> Option<Attributes> {
    let mut asked = asked.clone();
    match name {
        "subresource" => word.clone_into(&mut asked.subresource),
        "namespace" => word.clone_into(&mut asked.namespace),
        "name" => word.clone_into(&mut asked.name),
        // No role is narrowed by fields or labels.
        "fieldSelector" | "labelSelector" => {}
        _ => return None,
    }
    Some(asked)
}

fn checked<'a>(meter: &Meter, decide: impl FnOnce() -> Decision) -> Outcome<'a> {
    meter.charge(CHECK_COST)?;
    Ok(right(Right::Decision(decide())))
}

fn of_decision<'a>(name: &str, decision: &Decision) -> Option<Value<'a>> {
    Some(match name {
        "allowed" => Value::Bool(decision.allowed),
        "reason" => text_of(&decision.reason),
        "errored" => Value::Bool(false),
        "error" => text_of(""),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::authorize::Authorizer;
    use crate::cel::{Budget, Program};
    use crate::keys::Parts;
    use crate::rbac::piece::Piece;
    use crate::rbac::{GROUP, Rules};
    use crate::user::User;

    /// `ann` may get Secrets in namespace `a`, and the path `/status`; the robot of `a` may list
    /// Nodes; a role that `bob` is bound to is not there.
    fn authorizer() -> Authorizer {
        let piece = |plural: &str, namespace: Option<&str>, object: serde_json::Value| {
            let parts = Parts {
                group: GROUP,
                plural,
                namespace,
                name: object["metadata"]["name"].as_str().unwrap(),
            };
            Arc::new(Piece::read(&parts, &object).unwrap())
        };
        let bound = |role: &str, kind: &str, subject: &str, name: &str| {
            json!({
                "metadata": {"name": format!("{role}-binding")}, "roleRef": {"kind": kind, "name": role},
                "subjects": [{"kind": subject, "name": name, "namespace": "a"}],
            })
        };
        let rules = Rules::of(&[
            piece(
                "roles",
                Some("a"),
                json!({"metadata": {"name": "reader"}, "rules": [
                    {"apiGroups": [""], "resources": ["secrets", "secrets/x"], "verbs": ["get"], "resourceNames": ["s"]},
                ]}),
            ),
            piece(
                "clusterroles",
                None,
                json!({"metadata": {"name": "watcher"}, "rules": [
                    {"nonResourceURLs": ["/status"], "verbs": ["get"]},
                ]}),
            ),
            piece(
                "clusterroles",
                None,
                json!({"metadata": {"name": "lister"}, "rules": [
                    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
                ]}),
            ),
            piece(
                "rolebindings",
                Some("a"),
                bound("reader", "Role", "User", "ann"),
            ),
            piece(
                "clusterrolebindings",
                None,
                bound("watcher", "ClusterRole", "User", "ann"),
            ),
            piece(
                "clusterrolebindings",
                None,
                bound("lister", "ClusterRole", "ServiceAccount", "robot"),
            ),
            piece(
                "clusterrolebindings",
                None,
                bound("lost", "ClusterRole", "User", "bob"),
            ),
        ]);
        Authorizer::of(Arc::new(rules))
    }

    fn evaluate(user: &str, text: &str) -> Result<serde_json::Value, String> {
        let subject = Subject {
            user: User::new(user, "people"),
            authorizer: authorizer(),
        };
        let names = vec![("authorizer", right(Right::Authorizer(Arc::new(subject))))];
        let program = Program::compile(text, &["authorizer"]).unwrap();
        let value = Budget::default().run(|meter| program.run(&names, meter)?.to_json(meter));
        value.map_err(|error| error.to_string())
    }

    const SECRETS: &str = "authorizer.group('').resource('secrets')";

    const READS: &str =
        "RBAC: allowed by RoleBinding \"reader-binding/a\" of Role \"reader\" to User \"ann\"";

    const WATCHES: &str = "RBAC: allowed by ClusterRoleBinding \"watcher-binding\" of ClusterRole \"watcher\" to User \"ann\"";

    const LISTS: &str = "RBAC: allowed by ClusterRoleBinding \"lister-binding\" of ClusterRole \"lister\" \
                         to ServiceAccount \"robot/a\"";

    const LOST: &str = "RBAC: clusterrole.rbac.authorization.k8s.io \"lost\" not found";

    /// Who asks, what follows `authorizer`, and the reason, if it is allowed or there is one.
    const CHECKS: [(&str, &str, bool, &str); 14] = [
        (
            "ann",
            "group('').resource('secrets').namespace('a').name('s').check('get')",
            true,
            READS,
        ),
        (
            "ann",
            "group('').resource('secrets').namespace('a').name('t').check('get')",
            false,
            "",
        ),
        (
            "ann",
            "group('').resource('secrets').namespace('a').name('s').name('').check('get')",
            false,
            "",
        ),
        (
            "ann",
            "group('').resource('secrets').namespace('b').name('s').check('get')",
            false,
            "",
        ),
        (
            "ann",
            "group('').resource('secrets').name('s').check('get')",
            false,
            "",
        ),
        (
            "ann",
            "group('').resource('secrets').namespace('a').name('s').check('list')",
            false,
            "",
        ),
        (
            "ann",
            "group('x').resource('secrets').namespace('a').name('s').check('get')",
            false,
            "",
        ),
        (
            "ann",
            "group('').resource('secrets').subresource('x').namespace('a').name('s').check('get')",
            true,
            READS,
        ),
        (
            "ann",
            "group('').resource('secrets').fieldSelector('a=b').labelSelector('c').check('get')",
            false,
            "",
        ),
        ("ann", "path('/status').check('get')", true, WATCHES),
        ("ann", "path('/status').check('post')", false, ""),
        (
            "ann",
            "serviceAccount('a', 'robot').group('').resource('nodes').check('list')",
            true,
            LISTS,
        ),
        (
            "ann",
            "serviceAccount('b', 'robot').group('').resource('nodes').check('list')",
            false,
            "",
        ),
        (
            "bob",
            "group('').resource('nodes').check('list')",
            false,
            LOST,
        ),
    ];

    #[test]
    fn checks() {
        for (user, question, allowed, reason) in CHECKS {
            let decision = format!("authorizer.{question}");
            let text = format!("[dyn({decision}.allowed()), dyn({decision}.reason())]");
            let expected = json!([allowed, reason]);
            assert_eq!(evaluate(user, &text), Ok(expected), "{user} {question}");
            let failed = format!("{decision}.errored() || {decision}.error() != ''");
            assert_eq!(evaluate(user, &failed), Ok(json!(false)));
        }
    }

    #[test]
    fn what_cannot_be_asked() {
        let check = format!("{SECRETS}.check('get').allowed()");
        let spent = "operation cancelled: actual cost limit exceeded";
        for (text, problem) in [
            ("authorizer.path('')", "path must not be empty"),
            ("authorizer.path('  ')", "path must not be empty"),
            (
                "authorizer.group('').resource(' ')",
                "resource must not be empty",
            ),
            (
                "authorizer.serviceAccount('a', 'A')",
                "Invalid service account name",
            ),
            (
                "authorizer.serviceAccount('a.b', 'c')",
                "Invalid service account namespace",
            ),
            ("authorizer == authorizer", "no such overload"),
            ("string(dyn(authorizer))", "no such overload"),
            ("dyn(authorizer).check('get')", "no such overload"),
            (&*format!("{check} || {check} || {check}"), spent),
        ] {
            assert_eq!(evaluate("ann", text), Err(problem.to_owned()), "{text}");
        }
        assert_eq!(
            evaluate("ann", &format!("{check} || {check}")),
            Ok(json!(false))
        );
    }
}
