//! Rust names for Kafka's, and which messages become code.

use naru_schema::Schema;

/// Messages that need no code: their keys are reserved or nothing here speaks them yet.
/// Taking a name off this list is all it takes to generate its code.
const NOT_YET: &[&str] =
    &["ControlledShutdown", "LeaderAndIsr", "QuorumStateData", "StopReplica", "UpdateMetadata"];

pub fn is_generated(schema: &Schema) -> bool {
    schema.kind == "metadata"
        || (!schema.versions.is_none() && !NOT_YET.iter().any(|name| schema.name.starts_with(name)))
}

pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, c) in chars.iter().enumerate() {
        let after_lower = index > 0 && !chars[index - 1].is_uppercase();
        let before_lower = chars.get(index + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && index > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    match out.as_str() {
        "type" | "match" | "loop" | "ref" | "move" | "use" | "where" | "in" => format!("{out}_"),
        _ => out,
    }
}
