//! Code that gives every error of an answer a text, where there is room for one.

use std::fmt::Write as _;

use naru_schema::{Field, Versions};

use super::names::snake;

/// A code, and the text that stands beside it.
const PAIRS: [(&str, &str); 2] =
    [("ErrorCode", "ErrorMessage"), ("AcknowledgeErrorCode", "AcknowledgeErrorMessage")];

/// The method; nothing for a message that has no room.
pub fn explain_errors(fields: &[Field], valid: Versions) -> String {
    match body(fields, valid, "self") {
        body if body.is_empty() => body,
        body => format!("fn explain_errors(&mut self) {{ let mut left = EXPLAINED_MAX; {body} }}"),
    }
}

fn body(fields: &[Field], valid: Versions, of: &str) -> String {
    let mut out = String::new();
    let find = |name: &str| {
        fields.iter().find(|field| field.name == name && field.versions.overlaps(valid))
    };
    for (code, text) in PAIRS {
        if let (Some(code), Some(text)) = (find(code), find(text)) {
            let (code, text) = (snake(&code.name), snake(&text.name));
            let _ = write!(out, "explain({of}.{code}, &mut {of}.{text}, &mut left);");
        }
    }
    let lists = fields.iter().filter(|field| field.ty.starts_with("[]"));
    for list in lists.filter(|list| list.versions.overlaps(valid)) {
        let inner = body(&list.fields, valid, "one");
        if inner.is_empty() {
            continue;
        }
        let name = snake(&list.name);
        let each = if list.nullable.overlaps(valid) {
            format!("{of}.{name}.iter_mut().flatten()")
        } else {
            format!("&mut {of}.{name}")
        };
        let _ = write!(out, "for one in {each} {{ {inner} }}");
    }
    out
}
