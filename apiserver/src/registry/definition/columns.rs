//! Printer columns, subresources and selectable fields of a version.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{path, string};
use crate::status::Cause;

/// Most selectable fields of a version, as upstream.
const SELECTABLE_MAX: usize = 8;

const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];

const FORMATS: [&str; 8] = [
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];

fn entries<'v>(version: &'v Value, list: &str) -> &'v [Value] {
    version[list].as_array().map_or(&[][..], Vec::as_slice)
}

/// Checks the columns and subresources of a version.
pub(super) fn check(version: &Value, place: &str, causes: &mut Vec<Cause>) {
    for (n, column) in entries(version, "additionalPrinterColumns")
        .iter()
        .enumerate()
    {
        self::column(
            column,
            &format!("{place}.additionalPrinterColumns[{n}]"),
            causes,
        );
    }
    let scale = version
        .pointer("/subresources/scale")
        .filter(|scale| !scale.is_null());
    if let Some(scale) = scale {
        self::scale(scale, &format!("{place}.subresources.scale"), causes);
    }
}

fn column(column: &Value, place: &str, causes: &mut Vec<Cause>) {
    if string(column, "/name").is_empty() {
        causes.push(Cause::required(format!("{place}.name"), ""));
    }
    let (kind, format) = (string(column, "/type"), string(column, "/format"));
    let text = format!("must be one of {}", TYPES.join(","));
    if kind.is_empty() {
        causes.push(Cause::required(format!("{place}.type"), &text));
    } else if !TYPES.contains(&kind.as_str()) {
        causes.push(Cause::invalid(format!("{place}.type"), &kind.into(), &text));
    }
    if !format.is_empty() && !FORMATS.contains(&format.as_str()) {
        let text = format!("must be one of {}", FORMATS.join(","));
        causes.push(Cause::invalid(
            format!("{place}.format"),
            &format.into(),
            &text,
        ));
    }
    let path = string(column, "/jsonPath");
    let place = format!("{place}.JSONPath");
    if path.is_empty() {
        causes.push(Cause::required(place, ""));
    } else if !simple(&path, &place, causes) {
        // Said already.
    } else if let Err(problem) = crate::jsonpath::Path::parse(&path) {
        causes.push(Cause::invalid(place, &path.into(), &problem));
    }
}

fn simple(path: &str, place: &str, causes: &mut Vec<Cause>) -> bool {
    let starts = path.starts_with('.');
    if !starts {
        let text = "must be a simple json path starting with .";
        causes.push(Cause::invalid(place, &path.into(), text));
    }
    starts
}

fn scale(scale: &Value, place: &str, causes: &mut Vec<Cause>) {
    let paths = [
        (
            "specReplicasPath",
            &[".spec."][..],
            "should be a json path under .spec",
        ),
        (
            "statusReplicasPath",
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (name, prefixes, text) in paths {
        let path = string(scale, &format!("/{name}"));
        let place = format!("{place}.{name}");
        if path.is_empty() {
            if name != "labelSelectorPath" {
                causes.push(Cause::required(place, ""));
            }
        } else if simple(&path, &place, causes) && !prefixes.iter().any(|p| path.starts_with(p)) {
            causes.push(Cause::invalid(place, &path.into(), text));
        }
    }
}

/// Checks the selectable fields of a version against its schema.
pub(super) fn selectable(version: &Value, schema: &Value, place: &str, causes: &mut Vec<Cause>) {
    let place = format!("{place}.selectableFields");
    let mut seen = BTreeSet::new();
    for (n, entry) in entries(version, "selectableFields").iter().enumerate() {
        let path = string(entry, "/jsonPath");
        let place = format!("{place}[{n}].jsonPath");
        if path.is_empty() {
            causes.push(Cause::required(place, ""));
            continue;
        }
        let found = match path::resolve(schema, &path, false) {
            Ok(found) => found,
            Err(problem) => {
                let text = format!("is an invalid path: {problem}");
                causes.push(Cause::invalid(place, &path.into(), &text));
                continue;
            }
        };
        if path == ".metadata" || path.starts_with(".metadata.") {
            const TEXT: &str = "must not point to fields in metadata";
            causes.push(Cause::invalid(&place, &path.as_str().into(), TEXT));
        }
        if !matches!(
            string(found, "/type").as_str(),
            "string" | "boolean" | "integer"
        ) {
            const TEXT: &str = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.push(Cause::invalid(&place, &path.as_str().into(), TEXT));
        }
        if !seen.insert(path.clone()) {
            causes.push(Cause::of(place, format!("Duplicate value: {path:?}")));
        }
    }
    if seen.len() > SELECTABLE_MAX {
        let text = format!(
            "Too many: {}: must have at most {SELECTABLE_MAX} items",
            seen.len()
        );
        causes.push(Cause::of(place, text));
    }
}
