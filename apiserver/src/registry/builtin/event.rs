//! Events: core/v1, as they are stored, and events.k8s.io/v1, another view of the same.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::events::v1::Event as NewEvent;

use super::{base, column, parse, path, schema_of, wide};
use crate::registry::view::View;
use crate::registry::{Column, Descriptor, Source, Special};

/// Group of the newer view.
pub const GROUP: &str = "events.k8s.io";

/// Fields of events.k8s.io/v1 as core/v1 names them
/// (kubernetes/kubernetes `pkg/apis/events/v1/conversion.go`).
const RENAMES: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Fields of an object reference that selectors may name.
const REFERENCE: [&str; 7] = [
    "kind",
    "namespace",
    "name",
    "uid",
    "apiVersion",
    "resourceVersion",
    "fieldPath",
];

/// Both.
pub(super) fn descriptors() -> [Descriptor; 2] {
    let stored = core();
    let view = View {
        stored: Arc::new(stored.clone()),
        renames: RENAMES,
    };
    let newer = Descriptor {
        selectable: selectable("regarding", &["reason", "reportingController", "type"]),
        view: Some(view),
        ..described(base(GROUP, "Event", "events", schema_of::<NewEvent>()))
    };
    [stored, newer]
}

fn core() -> Descriptor {
    let others = [
        "reason",
        "reportingComponent",
        "source",
        "source.component",
        "type",
    ];
    Descriptor {
        selectable: selectable("involvedObject", &others),
        ..described(base("", "Event", "events", schema_of::<Event>()))
    }
}

fn selectable(reference: &str, others: &[&str]) -> Vec<String> {
    let involved = REFERENCE.iter().map(|field| format!("{reference}.{field}"));
    involved
        .chain(others.iter().map(ToString::to_string))
        .collect()
}

/// What both have in common. Columns are computed on stored objects.
fn described(event: Descriptor) -> Descriptor {
    Descriptor {
        short_names: vec!["ev".into()],
        columns: columns(),
        create_on_update: true,
        special: Special::Event,
        ..event
    }
}

fn columns() -> Vec<Column> {
    let last = [
        ".series.lastObservedTime",
        ".lastTimestamp",
        ".eventTime",
        ".metadata.creationTimestamp",
    ];
    let first = [
        ".firstTimestamp",
        ".eventTime",
        ".metadata.creationTimestamp",
    ];
    let first_of = |paths: &[&str]| Source::First(paths.iter().map(|path| parse(path)).collect());
    vec![
        column("Last Seen", "date", first_of(&last)),
        path("Type", "string", ".type"),
        path("Reason", "string", ".reason"),
        column(
            "Object",
            "string",
            Source::Reference(parse(".involvedObject")),
        ),
        wide(path("Subobject", "string", ".involvedObject.fieldPath")),
        wide(column(
            "Source",
            "string",
            first_of(&[".source.component", ".reportingComponent"]),
        )),
        path("Message", "string", ".message"),
        wide(column("First Seen", "date", first_of(&first))),
        wide(column(
            "Count",
            "integer",
            first_of(&[".series.count", ".count"]),
        )),
        wide(path("Name", "string", ".metadata.name")),
    ]
}
