//! Files in JSON that Kafka's tools take, and its words for what is wrong with them.

use serde_json::{Map, Value};

use super::failure::{Failure, Thrown};

const MAPPING: &str = "com.fasterxml.jackson.databind.JsonMappingException";

/// The text of a file.
pub fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|_| {
        Failure::Thrown(Thrown::new("java.io.IOException", format!("Unable to read file {path}")))
    })
}

/// A field that must be there.
pub fn field<'v>(object: &'v Map<String, Value>, name: &str) -> Result<&'v Value, Failure> {
    object
        .get(name)
        .ok_or_else(|| Failure::thrown(MAPPING, format!("No such field exists: `{name}`")))
}

/// An object.
pub fn object(value: &Value) -> Result<&Map<String, Value>, Failure> {
    value.as_object().ok_or_else(|| wrong("JSON object", value))
}

/// An array.
pub fn array(value: &Value) -> Result<&Vec<Value>, Failure> {
    value.as_array().ok_or_else(|| wrong("JSON array", value))
}

/// A text.
pub fn string(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| wrong_type("String", value))
}

/// A 32-bit number.
pub fn integer(value: &Value) -> Result<i32, Failure> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| wrong_type("Integer", value))
}

fn wrong(expected: &str, value: &Value) -> Failure {
    Failure::thrown(MAPPING, format!("Expected {expected}, received {value}"))
}

fn wrong_type(expected: &str, value: &Value) -> Failure {
    Failure::thrown(MAPPING, format!("Expected `{expected}` value, received {value}"))
}

/// What comes more than once, each named once.
pub fn duplicates<T: PartialEq + Clone>(things: &[T]) -> Vec<T> {
    let mut twice: Vec<T> = Vec::new();
    for (at, thing) in things.iter().enumerate() {
        if things[..at].contains(thing) && !twice.contains(thing) {
            twice.push(thing.clone());
        }
    }
    twice
}
