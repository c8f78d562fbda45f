//! Tables for people: columns as wide as they must be, numbers to the right.

use std::fmt;

use serde_json::Value;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// A table of objects: each column is a head and the JSON pointer (RFC 6901) of its value.
    pub(super) fn of(items: &Value, columns: &[(&'static str, &str)]) -> Self {
        let mut table = Self::new(&columns.iter().map(|(head, _)| *head).collect::<Vec<_>>());
        for item in items.as_array().into_iter().flatten() {
            table.row(columns.iter().map(|(_, pointer)| item.pointer(pointer).map(cell).unwrap_or_default()));
        }
        table
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // What a terminal would take for an order is shown as what it is.
        let clean = |cell: String| cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        self.rows.push(cells.into_iter().map(clean).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return writeln!(f, "none");
        }
        let column = |index: usize| self.rows.iter().filter_map(move |row| row.get(index));
        let width = |index: usize, head: &str| {
            column(index).map(|cell| cell.chars().count()).max().unwrap_or_default().max(head.chars().count())
        };
        let numbers = |index: usize| {
            let is_number = |cell: &String| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit());
            column(index).all(is_number)
        };
        let layout: Vec<(usize, bool)> =
            self.heads.iter().enumerate().map(|(index, head)| (width(index, head), numbers(index))).collect();
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            for (cell, (width, to_the_right)) in row.iter().zip(&layout) {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, behind) = if *to_the_right { (pad, String::new()) } else { (String::new(), pad) };
                line.push_str(&format!("{before}{cell}{behind}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A value as a cell.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.as_f64().filter(|_| !number.is_u64() && !number.is_i64()).map_or_else(
            || number.to_string(),
            |number| {
                // Three digits that matter are what a look needs.
                let digits = if number.abs() >= 100.0 {
                    0
                } else if number.abs() >= 10.0 {
                    1
                } else {
                    2
                };
                format!("{number:.digits$}")
            },
        ),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let items = json!([
            { "plugin": "jwt-auth", "cost": { "mean": 12.345 }, "on": true, "hooks": ["a", "b"] },
            { "plugin": "ü", "cost": { "mean": 1234.5 }, "on": false },
            { "plugin": "x\u{1b}[2J", "cost": { "mean": null } },
        ]);
        let table =
            Table::of(&items, &[("PLUGIN", "/plugin"), ("MEAN", "/cost/mean"), ("ON", "/on"), ("HOOKS", "/hooks")]);
        let expected =
            "PLUGIN    MEAN  ON   HOOKS\njwt-auth  12.3  yes  a b\nü         1234  no\nx\u{fffd}[2J        -\n";
        assert_eq!(table.to_string(), expected);
        assert_eq!(Table::of(&json!([]), &[("A", "/a")]).to_string(), "none\n");
    }
}
