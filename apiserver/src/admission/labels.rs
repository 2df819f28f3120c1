//! Label selectors written as objects: `{matchLabels: {...}, matchExpressions: [...]}`.

use serde_json::Value;

use crate::selector::label::{Operator, Requirement};

/// The requirements of a selector; none: everything is selected.
///
/// # Errors
/// What is no selector, in words.
pub fn requirements(selector: &Value) -> Result<Vec<Requirement>, String> {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let mut found = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        let value = value
            .as_str()
            .ok_or("matchLabels: values must be strings")?;
        found.push(Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.to_owned()],
        });
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        found.push(requirement(expression)?);
    }
    Ok(found)
}

fn requirement(expression: &Value) -> Result<Requirement, String> {
    let word = |field: &str| {
        expression
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let values = expression.get("values").and_then(Value::as_array);
    let values: Vec<String> = values
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect();
    let operator = match word("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(format!("{other:?}: not a valid selector operator")),
    };
    let lists = matches!(operator, Operator::In | Operator::NotIn);
    if lists == values.is_empty() {
        return Err(if lists {
            "must be specified when `operator` is 'In' or 'NotIn'".to_owned()
        } else {
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'".to_owned()
        });
    }
    Ok(Requirement {
        key: word("key").to_owned(),
        operator,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors() {
        let labels = json!({"a": "b", "n": "1"});
        for (selector, selects) in [
            (json!({}), Ok(true)),
            (json!({"matchLabels": {"a": "b"}}), Ok(true)),
            (json!({"matchLabels": {"a": "c"}}), Ok(false)),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}),
                Ok(true),
            ),
            (
                json!({"matchExpressions": [{"key": "z", "operator": "Exists"}]}),
                Ok(false),
            ),
            (
                json!({"matchExpressions": [{"key": "z", "operator": "NotIn", "values": ["b"]}]}),
                Ok(true),
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                Err(()),
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}),
                Err(()),
            ),
        ] {
            let found = requirements(&selector);
            let found = found.map(|all| all.iter().all(|one| one.holds(labels.as_object())));
            assert_eq!(found.map_err(|_text| ()), selects, "{selector}");
        }
    }
}
