//! A recipe as a table: each field, as a cell writes it, and its value.

use std::fmt;

use serde_json::Value;

use super::Recipe;
use crate::display::{Content, Show, evcxr_display, html_table};

const HEADER: [&str; 2] = ["field", "value"];
/// The networks have tables of their own, and the version is nothing to set.
const ELSEWHERE: [&str; 3] = ["format", "generator", "discriminator"];

impl Recipe {
    fn title(&self) -> String {
        format!("recipe {}", self.name)
    }

    /// Fields in their order in [`Recipe`], which is that of its file.
    fn cells(&self) -> Vec<[String; 2]> {
        let fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => return Vec::new(),
        };
        let shown = fields
            .iter()
            .filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()) && *name != "name");
        shown
            .map(|(name, value)| [name.clone(), words(value)])
            .collect()
    }
}

/// A value without the punctuation of JSON.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.replace('_', " "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} {}", words(value));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let cells = self.cells();
        let width = cells.iter().map(|[name, _]| name.len()).max().unwrap_or(0);
        write!(f, "{}", self.title())?;
        cells
            .iter()
            .try_for_each(|[name, value]| write!(f, "\n{name:<width$}  {value}"))
    }
}

impl Show for Recipe {
    fn content(&self) -> Content {
        let footer =
            "The networks have tables of their own: recipe.generator.build(&rng)?.summary()";
        let table = html_table(&self.title(), &HEADER, &self.cells(), 2..2, footer);
        Content::text(self.to_string()).with_html(table)
    }
}

evcxr_display!(Recipe);
