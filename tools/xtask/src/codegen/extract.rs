//! Reads the JSON schema files out of Apache Kafka's jars and keeps their facts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use naru_schema::{Field, Schema, Struct, Versions};

const JARS: &[&str] = &[
    "kafka-clients",
    "kafka-metadata",
    "kafka-group-coordinator",
    "kafka-transaction-coordinator",
    "kafka-share-coordinator",
    "kafka-raft",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonMessage {
    #[serde(rename = "type")]
    kind: String,
    api_key: Option<i16>,
    name: String,
    valid_versions: String,
    #[serde(default = "none")]
    flexible_versions: String,
    #[serde(default)]
    latest_version_unstable: bool,
    #[serde(default)]
    listeners: Vec<String>,
    #[serde(default)]
    fields: Vec<JsonField>,
    #[serde(default)]
    common_structs: Vec<JsonStruct>,
}

#[derive(Deserialize)]
struct JsonStruct {
    name: String,
    versions: String,
    fields: Vec<JsonField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonField {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    versions: Option<String>,
    nullable_versions: Option<String>,
    tagged_versions: Option<String>,
    tag: Option<u32>,
    default: Option<serde_json::Value>,
    flexible_versions: Option<String>,
    #[serde(default)]
    fields: Vec<JsonField>,
}

fn none() -> String {
    "none".to_owned()
}

/// Every message of the jars in `libs`.
pub fn from_jars(libs: &Path) -> Result<Vec<Schema>> {
    let mut schemas = Vec::new();
    for jar in JARS {
        let path = jar_path(libs, jar)?;
        let listing = run("unzip", &["-Z1", &path])?;
        let files =
            listing.lines().filter(|line| line.starts_with("common/") && line.ends_with(".json"));
        for file in files {
            let json = strip_comments(&run("unzip", &["-p", &path, file])?);
            let message: JsonMessage =
                serde_json::from_str(&json).with_context(|| format!("{jar}: {file}"))?;
            schemas.push(schema(message)?);
        }
    }
    Ok(schemas)
}

fn jar_path(libs: &Path, name: &str) -> Result<String> {
    for entry in std::fs::read_dir(libs).with_context(|| format!("reading {}", libs.display()))? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        if version.is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit())) {
            return Ok(path.to_string_lossy().into_owned());
        }
    }
    bail!("no {name} jar in {}", libs.display())
}

fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Removes `//` comments, but not inside strings.
fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let (mut in_string, mut end) = (false, line.len());
        let bytes = line.as_bytes();
        for index in 0..bytes.len() {
            match bytes[index] {
                b'"' if index == 0 || bytes[index - 1] != b'\\' => in_string = !in_string,
                b'/' if !in_string && bytes.get(index + 1) == Some(&b'/') => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        out.push_str(&line[..end]);
        out.push('\n');
    }
    out
}

fn schema(message: JsonMessage) -> Result<Schema> {
    Ok(Schema {
        kind: message.kind,
        key: message.api_key,
        name: message.name,
        versions: Versions::parse(&message.valid_versions)?,
        flexible: Versions::parse(&message.flexible_versions)?,
        unstable: message.latest_version_unstable,
        listeners: message.listeners,
        fields: fields(message.fields)?,
        structs: message
            .common_structs
            .into_iter()
            .map(|shared| {
                Ok(Struct {
                    name: shared.name,
                    versions: Versions::parse(&shared.versions)?,
                    fields: fields(shared.fields)?,
                })
            })
            .collect::<Result<_>>()?,
    })
}

fn fields(fields: Vec<JsonField>) -> Result<Vec<Field>> {
    fields.into_iter().map(field).collect()
}

fn field(json: JsonField) -> Result<Field> {
    let versions = |text: Option<String>| text.map_or(Ok(Versions::NONE), |t| Versions::parse(&t));
    let tagged = versions(json.tagged_versions.clone())?;
    Ok(Field {
        name: json.name,
        ty: json.ty,
        versions: match json.versions {
            Some(text) => Versions::parse(&text)?,
            None => tagged,
        },
        nullable: versions(json.nullable_versions)?,
        tagged,
        tag: json.tag,
        default: json
            .default
            .map(|value| match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            })
            .filter(|text| !text.is_empty()),
        never_flexible: json.flexible_versions.as_deref() == Some("none"),
        fields: fields(json.fields)?,
    })
}
