//! Named formats: `format.dns1123Label().validate(x)`, none when it is valid.

use std::sync::Arc;

use super::Outcome;
use crate::cel::kinds::{Special, Url};
use crate::cel::value::Value;
use crate::names;

/// What the formats are called.
const NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

/// Functions.
pub(super) fn function<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    let made = |name: &'static str| Value::Special(Arc::new(Special::Format(name)));
    match (name, args) {
        ("format.named", [Value::String(name)]) => {
            let known = NAMES.iter().find(|own| ***own == **name);
            let format = known.map(|name| Arc::new(made(name)));
            Some(Ok(Value::Optional(format)))
        }
        (name, []) => {
            let name = name.strip_prefix("format.")?;
            let known = NAMES.iter().find(|own| **own == name)?;
            Some(Ok(made(known)))
        }
        _ => None,
    }
}

/// Methods.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    let ("validate", [Value::Special(special), Value::String(text)]) = (name, args) else {
        return None;
    };
    let Special::Format(format) = &**special else {
        return None;
    };
    let problem = problem(format, text);
    let list = problem.map(|problem| {
        let problem: Value<'a> = problem.into();
        Arc::new(Value::from(vec![problem]))
    });
    Some(Ok(Value::Optional(list)))
}

fn problem(format: &str, text: &str) -> Option<String> {
    use manifests::schema::has_format;
    let other = |format: &str, says: &str| (!has_format(format, text)).then(|| says.to_owned());
    match format {
        "dns1123Label" => names::dns_label(text),
        "dns1123Subdomain" => names::dns_subdomain(text),
        "dns1035Label" => names::dns1035_label(text),
        "dns1123LabelPrefix" => names::dns_label(&masked(text)),
        "dns1123SubdomainPrefix" => names::dns_subdomain(&masked(text)),
        "dns1035LabelPrefix" => names::dns1035_label(&masked(text)),
        "qualifiedName" => names::label_key(text),
        "labelValue" => names::label_value(text),
        "uri" => Url::parse(text)
            .is_none()
            .then(|| format!("parse {text:?}: invalid URI for request")),
        "uuid" => other("uuid", "does not match the UUID format"),
        "byte" => other("byte", "invalid base64"),
        "date" => other("date", "invalid date"),
        "datetime" => other("date-time", "invalid datetime"),
        _ => None,
    }
}

/// A prefix may end in a dash, as something will follow.
fn masked(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if text.len() > 1 => format!("{rest}a"),
        Some(_) | None => text.to_owned(),
    }
}
