//! Validating an object against a structural schema, with Kubernetes' texts.

use serde_json::{Map, Value};

use super::{FieldError, child, format, is_true};

/// Everything in an object that its schema does not allow, in the order of the schema.
#[must_use]
pub fn validate(schema: &Value, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, object, "", &mut errors);
    errors
}

/// As [`validate`], of a value that lies at a path.
#[must_use]
pub fn validate_at(schema: &Value, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, value, path, &mut errors);
    errors
}

type Errors = Vec<FieldError>;

fn node(schema: &Value, value: &Value, path: &str, errors: &mut Errors) {
    if value.is_null() && is_true(schema, "nullable") {
        return;
    }
    if let Err(error) = typed(schema, value, path) {
        errors.push(error);
        return;
    }
    match value {
        Value::String(text) => string(schema, value, text, path, errors),
        Value::Number(_) => number(schema, value, path, errors),
        Value::Array(items) => array(schema, value, items, path, errors),
        Value::Object(fields) => object(schema, value, fields, path, errors),
        Value::Null | Value::Bool(_) => {}
    }
    if let Some(Value::Array(supported)) = schema.get("enum")
        && !supported.contains(value)
    {
        errors.push(FieldError::unsupported(path, value, supported));
    }
    combined(schema, value, path, errors);
}

fn typed(schema: &Value, value: &Value, path: &str) -> Result<(), FieldError> {
    let wrong = |wanted: &str| Err(FieldError::mistyped(path, wanted, type_of(value)));
    if is_true(schema, "x-kubernetes-int-or-string") {
        let fits = value.is_string() || format::whole(value).is_some();
        return if fits {
            Ok(())
        } else {
            wrong("integer,string")
        };
    }
    let Some(wanted) = schema.get("type").and_then(Value::as_str) else {
        return Ok(());
    };
    let fits = match wanted {
        "integer" => format::whole(value).is_some(),
        "number" => value.is_number(),
        other => type_of(value) == other,
    };
    if fits { Ok(()) } else { wrong(wanted) }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn string(schema: &Value, value: &Value, text: &str, path: &str, errors: &mut Errors) {
    let length = text.chars().count();
    if let Some(most) = over(schema, "maxLength", length) {
        errors.push(FieldError::too_long(path, most));
    }
    if let Some(least) = under(schema, "minLength", length) {
        let rule = format!("should be at least {least} chars long");
        errors.push(FieldError::breaks(path, value, &rule));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !format::matches(pattern, text)
    {
        errors.push(FieldError::breaks(
            path,
            value,
            &format!("should match '{pattern}'"),
        ));
    }
    if let Some(name) = schema.get("format").and_then(Value::as_str)
        && !format::string_has(name, text)
    {
        let rule = format!("must be of type {name}: {value}");
        errors.push(FieldError::breaks(path, value, &rule));
    }
}

fn number(schema: &Value, value: &Value, path: &str, errors: &mut Errors) {
    if let Some(name) = schema.get("format").and_then(Value::as_str)
        && !format::number_has(name, value)
    {
        let rule = format!("must be of type {name}: {value}");
        errors.push(FieldError::breaks(path, value, &rule));
    }
    let Some(number) = value.as_f64() else { return };
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let mut refuse = |rule: &str, bound: f64| {
        errors.push(FieldError::breaks(
            path,
            value,
            &format!("should be {rule} {bound}"),
        ));
    };
    if let Some(least) = bound("minimum") {
        match is_true(schema, "exclusiveMinimum") {
            true if number <= least => refuse("greater than", least),
            false if number < least => refuse("greater than or equal to", least),
            true | false => {}
        }
    }
    if let Some(most) = bound("maximum") {
        match is_true(schema, "exclusiveMaximum") {
            true if number >= most => refuse("less than", most),
            false if number > most => refuse("less than or equal to", most),
            true | false => {}
        }
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0)
        && (number / step).fract() != 0.0
    {
        refuse("a multiple of", step);
    }
}

fn array(schema: &Value, value: &Value, items: &[Value], path: &str, errors: &mut Errors) {
    if let Some(most) = over(schema, "maxItems", items.len()) {
        errors.push(FieldError::too_many(path, items.len(), most));
    }
    if let Some(least) = under(schema, "minItems", items.len()) {
        let rule = format!("should have at least {least} items");
        errors.push(FieldError::breaks(path, value, &rule));
    }
    if let Some(schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            node(schema, item, &format!("{path}[{index}]"), errors);
        }
    }
    duplicates(schema, items, path, errors);
}

/// Entries of a set, and keys of a list that is a map, occur once.
fn duplicates(schema: &Value, items: &[Value], path: &str, errors: &mut Errors) {
    let keys: Vec<Value> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => items.to_vec(),
        Some("map") => items.iter().map(|item| map_key(schema, item)).collect(),
        Some(_) | None => return,
    };
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].contains(key) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), key));
        }
    }
}

fn map_key(schema: &Value, item: &Value) -> Value {
    let names = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names
        .filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())))
        .collect()
}

fn object(
    schema: &Value,
    value: &Value,
    fields: &Map<String, Value>,
    path: &str,
    errors: &mut Errors,
) {
    if let Some(most) = over(schema, "maxProperties", fields.len()) {
        errors.push(FieldError::too_many(path, fields.len(), most));
    }
    if let Some(least) = under(schema, "minProperties", fields.len()) {
        let rule = format!("should have at least {least} properties");
        errors.push(FieldError::breaks(path, value, &rule));
    }
    let embedded = is_true(schema, "x-kubernetes-embedded-resource");
    let extra: &[&str] = if embedded {
        &["apiVersion", "kind"]
    } else {
        &[]
    };
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    for name in required.chain(extra.iter().copied()) {
        if !fields.contains_key(name) {
            errors.push(FieldError::required(child(path, name), ""));
        }
    }
    let properties = schema.get("properties");
    let rest = schema
        .get("additionalProperties")
        .filter(|rest| rest.is_object());
    for (name, value) in fields {
        let declared = properties.and_then(|all| all.get(name)).or(rest);
        if let Some(schema) = declared {
            node(schema, value, &child(path, name), errors);
        }
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`, which in a structural schema only add to what is said above.
fn combined(schema: &Value, value: &Value, path: &str, errors: &mut Errors) {
    let branches = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
    let holds = |branch: &Value| {
        let mut inner = Vec::new();
        node(branch, value, path, &mut inner);
        inner.is_empty()
    };
    for branch in branches("allOf").into_iter().flatten() {
        node(branch, value, path, errors);
    }
    if let Some(any) = branches("anyOf")
        && !any.iter().any(holds)
    {
        errors.push(FieldError::breaks(
            path,
            value,
            "must validate at least one schema (anyOf)",
        ));
    }
    if let Some(one) = branches("oneOf") {
        let found = one.iter().filter(|branch| holds(branch)).count();
        if found != 1 {
            let found = if found == 0 {
                "none valid".to_owned()
            } else {
                format!("{found} valid alternatives")
            };
            let rule = format!("must validate one and only one schema (oneOf). Found {found}");
            errors.push(FieldError::breaks(path, value, &rule));
        }
    }
    if schema.get("not").is_some_and(holds) {
        errors.push(FieldError::breaks(
            path,
            value,
            "must not validate the schema (not)",
        ));
    }
}

fn over(schema: &Value, keyword: &str, count: usize) -> Option<u64> {
    schema
        .get(keyword)?
        .as_u64()
        .filter(|most| count as u64 > *most)
}

fn under(schema: &Value, keyword: &str, count: usize) -> Option<u64> {
    schema
        .get(keyword)?
        .as_u64()
        .filter(|least| (count as u64) < *least)
}

#[cfg(test)]
mod tests;
