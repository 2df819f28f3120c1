//! `stoa explain`: what the fields of a kind mean, from the server's OpenAPI documents.

use serde_json::{Map, Value};

use crate::cluster::Ask;
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::output;

/// Deepest nesting shown: schemas may contain themselves.
const DEPTH_MAX: usize = 12;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND, or a field of it: KIND.spec.resources
    #[arg(value_name = "KIND[.FIELD]")]
    what: String,
    /// Show the fields of fields too
    #[arg(long)]
    recursive: bool,
    /// GROUP/VERSION, if not the preferred one
    #[arg(long, value_name = "GROUP/VERSION")]
    api_version: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `explain`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    let (kind, fields) = find(&kinds, &args)?;
    let version = args.api_version.clone().unwrap_or(kind.api_version());
    let root = if version.contains('/') { "apis" } else { "api" };
    let path = format!("/openapi/v3/{root}/{version}");
    let document = cluster.fetch(Ask::get(path)).await?;
    let group_version = version.rsplit_once('/').unwrap_or(("", &version));
    let schemas = &document["components"]["schemas"];
    let Some(schema) = of_kind(schemas, group_version, &kind.kind) else {
        return Err(Failure::new(format!(
            "the server does not describe {} of {version}",
            kind.kind
        )));
    };
    let mut at = Schema { schema, schemas };
    for field in &fields {
        at = at.field(field).ok_or_else(|| {
            Failure::new(format!("field \"{field}\" does not exist"))
                .hint(format!("fields there: {}", at.names().join(", ")))
        })?;
    }
    output::line(text(&kind, group_version, &fields, at, args.recursive).trim_end())
}

/// The kind and the path of the field: `task.spec`, `tasks.v1.stoa.dev` with a group has no field.
fn find(kinds: &Kinds, args: &Args) -> Outcome<(Kind, Vec<String>)> {
    let (word, rest) = args.what.split_once('.').unwrap_or((&args.what, ""));
    let named = match kinds.resolve(&args.what) {
        Ok(kind) => return Ok((kind.clone(), Vec::new())),
        Err(_) => kinds.resolve(word)?,
    };
    let mut kind = named.clone();
    if let Some(version) = &args.api_version {
        let same = |k: &&Kind| k.api_version() == *version && k.plural == kind.plural;
        let other = kinds.0.iter().find(same);
        kind = other.cloned().unwrap_or(kind);
    }
    let fields = rest.split('.').filter(|field| !field.is_empty());
    Ok((kind, fields.map(str::to_owned).collect()))
}

fn of_kind<'a>(schemas: &'a Value, version: (&str, &str), kind: &str) -> Option<&'a Value> {
    let is_it = |schema: &&Value| {
        let mut names = schema["x-kubernetes-group-version-kind"]
            .as_array()
            .into_iter()
            .flatten();
        names.any(|gvk| {
            gvk["kind"] == kind && gvk["group"] == version.0 && gvk["version"] == version.1
        })
    };
    schemas.as_object()?.values().find(is_it)
}

/// A schema, and those it may refer to.
#[derive(Clone, Copy)]
struct Schema<'a> {
    schema: &'a Value,
    schemas: &'a Value,
}

impl<'a> Schema<'a> {
    fn with(self, schema: &'a Value) -> Self {
        Self { schema, ..self }
    }

    /// What the schema refers to, itself if to nothing.
    fn resolved(self) -> Self {
        let all_of = &self.schema["allOf"][0];
        let reference = self.schema["$ref"].as_str().or(all_of["$ref"].as_str());
        let name = reference.and_then(|text| text.rsplit('/').next());
        match name.map(|name| &self.schemas[name]) {
            Some(found) if found.is_object() => self.with(found),
            Some(_) | None => self,
        }
    }

    /// The objects in a list or map, through all that wraps them.
    fn inner(self) -> Self {
        let mut at = self.resolved();
        for _ in 0..DEPTH_MAX {
            let next = match (&at.schema["items"], &at.schema["additionalProperties"]) {
                (items @ Value::Object(_), _) => items,
                (_, values @ Value::Object(_)) => values,
                _ => return at,
            };
            at = at.with(next).resolved();
        }
        at
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.inner().schema["properties"].as_object()
    }

    fn field(self, name: &str) -> Option<Self> {
        self.properties()?.get(name).map(|schema| self.with(schema))
    }

    fn names(self) -> Vec<&'a str> {
        let fields = self.properties().into_iter().flat_map(Map::keys);
        fields.map(String::as_str).collect()
    }

    fn description(self) -> &'a str {
        let own = self.schema["description"].as_str();
        own.or(self.resolved().schema["description"].as_str())
            .unwrap_or("<empty>")
    }

    /// `string`, `[]Object`, `map[string]string`.
    fn type_name(self) -> String {
        let at = self.resolved();
        let schema = at.schema;
        if schema["items"].is_object() {
            return format!("[]{}", at.with(&schema["items"]).type_name());
        }
        if schema["additionalProperties"].is_object() {
            let values = at.with(&schema["additionalProperties"]).type_name();
            return format!("map[string]{values}");
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return "IntOrString".to_owned();
        }
        match schema["type"].as_str() {
            Some("object") | None => "Object".to_owned(),
            Some(other) => other.to_owned(),
        }
    }

    fn requires(self, name: &str) -> bool {
        let required = self.inner().schema["required"].as_array();
        required.is_some_and(|names| names.iter().any(|own| own == name))
    }
}

fn text(
    kind: &Kind,
    version: (&str, &str),
    fields: &[String],
    at: Schema<'_>,
    recursive: bool,
) -> String {
    let mut out = String::new();
    if !version.0.is_empty() {
        out.push_str(&format!("GROUP:      {}\n", version.0));
    }
    out.push_str(&format!("KIND:       {}\n", kind.kind));
    out.push_str(&format!("VERSION:    {}\n\n", version.1));
    if let Some(name) = fields.last() {
        out.push_str(&format!("FIELD: {name} <{}>\n\n", at.type_name()));
    }
    out.push_str("DESCRIPTION:\n");
    for line in at.description().lines() {
        out.push_str(&format!("    {line}\n"));
    }
    if at.properties().is_some() {
        out.push_str("\nFIELDS:\n");
        list(&mut out, at, recursive, 1);
    }
    out
}

fn list(out: &mut String, at: Schema<'_>, recursive: bool, depth: usize) {
    for name in at.names() {
        let Some(field) = at.field(name) else {
            continue;
        };
        let indent = "  ".repeat(depth);
        let needed = if at.requires(name) { " -required-" } else { "" };
        out.push_str(&format!(
            "{indent}{name}\t<{}>{needed}\n",
            field.type_name()
        ));
        if recursive {
            if depth < DEPTH_MAX {
                list(out, field, recursive, depth + 1);
            }
        } else {
            for line in field.description().lines() {
                out.push_str(&format!("{indent}  {line}\n"));
            }
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_explained() {
        let schemas = json!({
            "T": {
                "type": "object", "description": "A thing.",
                "properties": {
                    "metadata": {"allOf": [{"$ref": "#/components/schemas/M"}], "description": "Usual."},
                    "spec": {
                        "type": "object", "required": ["l"],
                        "properties": {
                            "l": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
                            "m": {"additionalProperties": {"type": "string"}},
                        },
                    },
                },
                "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Thing"}],
            },
            "M": {"type": "object", "properties": {"name": {"type": "string", "description": "Its name."}}},
        });
        let schema = of_kind(&schemas, ("g", "v1"), "Thing").unwrap();
        let root = Schema {
            schema,
            schemas: &schemas,
        };
        let kind = Kind {
            kind: "Thing".to_owned(),
            ..Kind::default()
        };
        let version = ("g", "v1");
        let spec = root.field("spec").unwrap();
        assert_eq!(
            text(&kind, version, &["spec".to_owned()], spec, true),
            "GROUP:      g\nKIND:       Thing\nVERSION:    v1\n\nFIELD: spec <Object>\n\nDESCRIPTION:\n    <empty>\n\n\
             FIELDS:\n  l\t<[]Object> -required-\n    k\t<string>\n  m\t<map[string]string>\n"
        );
        let name = root
            .field("metadata")
            .and_then(|m| m.field("name"))
            .unwrap();
        assert_eq!(
            (name.description(), name.type_name()),
            ("Its name.", "string".to_owned())
        );
        assert!(spec.field("l").and_then(|l| l.field("k")).is_some());
        assert!(of_kind(&schemas, ("g", "v2"), "Thing").is_none());
    }
}
