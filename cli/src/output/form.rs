//! The forms of `-o`: which there are, and how an object looks in them.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::path::Template;

/// How objects are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The server's columns, those of low priority too.
    Wide,
    /// YAML.
    Yaml(Managed),
    /// Indented JSON.
    Json(Managed),
    /// `kind.group/name`.
    Name,
    /// What a template finds.
    Path(Template),
}

/// Whether `metadata.managedFields` is shown: it is long, and rarely what one looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Managed {
    /// No, as kubectl does unless it is told to.
    Hidden,
    /// Yes.
    Shown,
}

impl Managed {
    /// The object, or List of objects, as it is shown.
    fn of(self, object: &Value) -> Cow<'_, Value> {
        if self == Self::Shown {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        hide(&mut object);
        if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
            items.iter_mut().for_each(hide);
        }
        Cow::Owned(object)
    }
}

fn hide(object: &mut Value) {
    let metadata = object.get_mut("metadata");
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(template) = text.strip_prefix("jsonpath=") {
            return Template::parse(template).map(Self::Path);
        }
        match text {
            "wide" => Ok(Self::Wide),
            "yaml" => Ok(Self::Yaml(Managed::Hidden)),
            "json" => Ok(Self::Json(Managed::Hidden)),
            "name" => Ok(Self::Name),
            _ => Err("use wide, yaml, json, name or jsonpath=TEMPLATE".to_owned()),
        }
    }
}

impl Form {
    /// With all fields.
    pub(crate) fn whole(self) -> Self {
        match self {
            Self::Yaml(_) => Self::Yaml(Managed::Shown),
            Self::Json(_) => Self::Json(Managed::Shown),
            other @ (Self::Wide | Self::Name | Self::Path(_)) => other,
        }
    }

    /// Prints an object. A template says itself where its lines end.
    pub(crate) fn print(&self, object: &Value, label: &str) -> Outcome {
        let text = self.render(object, label);
        match self {
            Self::Path(_) => super::raw(text.as_bytes()),
            Self::Wide | Self::Yaml(_) | Self::Json(_) | Self::Name => super::line(&text),
        }
    }

    /// One object, or a List, as text without a closing newline. `label` is `kind.group`.
    pub(crate) fn render(&self, object: &Value, label: &str) -> String {
        match self {
            Self::Yaml(managed) => {
                let text = manifests::decode::to_yaml(&managed.of(object));
                text.trim_end().to_owned()
            }
            Self::Json(managed) => {
                serde_json::to_string_pretty(&managed.of(object)).unwrap_or_default()
            }
            Self::Path(template) => template.render(object),
            Self::Name | Self::Wide => {
                format!(
                    "{label}/{}",
                    object["metadata"]["name"].as_str().unwrap_or_default()
                )
            }
        }
    }
}

/// A `v1` List of objects.
pub(crate) fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_parsed_and_rendered() {
        let object = json!({"metadata": {"name": "x"}});
        let render = |form: &str| {
            form.parse::<Form>()
                .unwrap()
                .render(&object, "task.stoa.dev")
        };
        assert_eq!(render("name"), "task.stoa.dev/x");
        assert_eq!(render("jsonpath={.metadata.name}"), "x");
        assert!(render("json").contains("\"name\": \"x\""));
        assert!("xml".parse::<Form>().is_err());
    }

    #[test]
    fn who_set_a_field_is_shown_when_it_is_asked_for() {
        let object = json!({"metadata": {"name": "x", "managedFields": [{"manager": "m"}]}});
        let all = list(std::slice::from_ref(&object));
        for word in ["yaml", "json"] {
            let form = word.parse::<Form>().unwrap();
            for shown in [&object, &all] {
                assert!(!form.render(shown, "").contains("manager"), "{word}");
                let whole = form.clone().whole().render(shown, "");
                assert!(whole.contains("manager"), "{word}");
            }
        }
        let path = "jsonpath={.metadata.managedFields[0].manager}".parse::<Form>();
        assert_eq!(path.unwrap().render(&object, ""), "m");
    }
}
