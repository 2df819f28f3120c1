//! A server-side `Table` (meta.k8s.io/v1) as rows of cells.

use serde_json::Value;

/// What to show of a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style<'a> {
    /// Columns of lower priority too (`-o wide`).
    pub(crate) wide: bool,
    /// A column with the namespace in front.
    pub(crate) namespaces: bool,
    /// Put before each name, e.g. `task.stoa.dev/`.
    pub(crate) prefix: &'a str,
}

/// Headings of a table in capitals.
pub(crate) fn headings(table: &Value, style: Style<'_>) -> Vec<String> {
    let columns = shown(table, style);
    let names = columns
        .iter()
        .map(|&(_, column)| text(&column["name"]).to_uppercase());
    style
        .namespaces
        .then(|| "NAMESPACE".to_owned())
        .into_iter()
        .chain(names)
        .collect()
}

/// Cells of each row.
pub(crate) fn rows(table: &Value, columns: &Value, style: Style<'_>) -> Vec<Vec<String>> {
    let shown = shown(columns, style);
    let rows = table["rows"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().map(|row| cells(row, &shown, style)).collect()
}

fn cells(row: &Value, columns: &[(usize, &Value)], style: Style<'_>) -> Vec<String> {
    let namespace = style
        .namespaces
        .then(|| text(&row["object"]["metadata"]["namespace"]));
    let cells = columns.iter().enumerate().map(|(place, &(index, _))| {
        let cell = text(&row["cells"][index]);
        if place == 0 {
            format!("{}{cell}", style.prefix)
        } else {
            cell
        }
    });
    namespace.into_iter().chain(cells).collect()
}

/// Index and definition of the columns to show.
fn shown<'a>(table: &'a Value, style: Style<'_>) -> Vec<(usize, &'a Value)> {
    let columns = table["columnDefinitions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let visible = |column: &Value| style.wide || column["priority"].as_i64().unwrap_or(0) == 0;
    columns
        .iter()
        .enumerate()
        .filter(|(_, column)| visible(column))
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_what_was_asked() {
        let table = json!({
            "columnDefinitions": [{"name": "Name"}, {"name": "Why", "priority": 1}, {"name": "Exit"}],
            "rows": [{"cells": ["a", "because", 0], "object": {"metadata": {"namespace": "n"}}},
                     {"cells": ["b", "", null], "object": {"metadata": {"namespace": "m"}}}],
        });
        let plain = Style::default();
        assert_eq!(headings(&table, plain), ["NAME", "EXIT"]);
        assert_eq!(rows(&table, &table, plain), [["a", "0"], ["b", "<none>"]]);
        let all = Style {
            wide: true,
            namespaces: true,
            prefix: "task/",
        };
        assert_eq!(headings(&table, all), ["NAMESPACE", "NAME", "WHY", "EXIT"]);
        assert_eq!(
            rows(&table, &table, all)[0],
            ["n", "task/a", "because", "0"]
        );
    }
}
