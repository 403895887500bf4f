//! Kafka's message schemas as bare facts, in a compact text: one line a field, two spaces a level.
//!
//! ```text
//! request 1 Fetch versions=4-18 flexible=12+
//!   ReplicaId int32 0-14 default=-1
//!   Topics []FetchTopic 0+
//!     Topic string 0-12
//! struct Name 0+
//!   Field int32 0+
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// All the schemas in a folder, by name.
pub fn load(folder: &Path) -> Result<Vec<Schema>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "schema"))
        .map(|path| {
            let text = std::fs::read_to_string(path)?;
            Schema::parse(&text).with_context(|| format!("in {}", path.display()))
        })
        .collect()
}

/// An inclusive range of versions; empty when `low > high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

impl Versions {
    pub const NONE: Self = Self { low: 0, high: -1 };

    pub fn parse(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(low) = text.strip_suffix('+') {
            return Ok(Self { low: low.parse()?, high: i16::MAX });
        }
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { low: low.parse()?, high: high.parse()? })
    }

    pub fn is_none(self) -> bool {
        self.low > self.high
    }

    pub fn contains(self, other: Self) -> bool {
        self.low <= other.low && self.high >= other.high
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.low.max(other.low) <= self.high.min(other.high)
    }

    fn text(self) -> String {
        if self.is_none() {
            "none".to_owned()
        } else if self.high == i16::MAX {
            format!("{}+", self.low)
        } else if self.low == self.high {
            self.low.to_string()
        } else {
            format!("{}-{}", self.low, self.high)
        }
    }
}

/// One message: an API's request or response, a record, a header, a piece of data.
#[derive(Debug, Clone)]
pub struct Schema {
    /// `request`, `response`, `metadata`, `coordinator-key`, `coordinator-value`, `data`, `header`.
    pub kind: String,
    pub key: Option<i16>,
    pub name: String,
    pub versions: Versions,
    pub flexible: Versions,
    /// The newest version is not to be served (Kafka's `latestVersionUnstable`).
    pub unstable: bool,
    pub listeners: Vec<String>,
    pub fields: Vec<Field>,
    pub structs: Vec<Struct>,
}

/// A structure that several fields share.
#[derive(Debug, Clone)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// One field, with the fields of its inline structure if it has one.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub ty: String,
    pub versions: Versions,
    pub nullable: Versions,
    pub tagged: Versions,
    pub tag: Option<u32>,
    pub default: Option<String>,
    /// Whether the field is encoded the inflexible way even in flexible versions.
    pub never_flexible: bool,
    pub fields: Vec<Field>,
}

impl Schema {
    pub fn to_text(&self) -> String {
        let mut out = self.kind.clone();
        if let Some(key) = self.key {
            let _ = write!(out, " {key}");
        }
        let (versions, flexible) = (self.versions.text(), self.flexible.text());
        let _ = write!(out, " {} versions={versions} flexible={flexible}", self.name);
        if self.unstable {
            out.push_str(" unstable");
        }
        if !self.listeners.is_empty() {
            let _ = write!(out, " listeners={}", self.listeners.join(","));
        }
        out.push('\n');
        write_fields(&mut out, &self.fields, 1);
        for shared in &self.structs {
            let _ = writeln!(out, "struct {} {}", shared.name, shared.versions.text());
            write_fields(&mut out, &shared.fields, 1);
        }
        out
    }

    pub fn parse(text: &str) -> Result<Self> {
        let mut lines: Vec<(usize, &str)> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| ((line.len() - line.trim_start().len()) / 2, line.trim()))
            .collect();
        if lines.is_empty() {
            bail!("an empty schema");
        }
        let (_, head) = lines.remove(0);
        let mut schema = parse_head(head)?;
        let mut at = 0;
        schema.fields = parse_fields(&lines, &mut at, 1)?;
        while at < lines.len() {
            let words: Vec<&str> = lines[at].1.split(' ').collect();
            let ["struct", name, versions] = words[..] else {
                bail!("unexpected line {:?}", lines[at].1)
            };
            at += 1;
            schema.structs.push(Struct {
                name: name.to_owned(),
                versions: Versions::parse(versions)?,
                fields: parse_fields(&lines, &mut at, 1)?,
            });
        }
        Ok(schema)
    }
}

fn parse_head(head: &str) -> Result<Schema> {
    let mut words = head.split(' ').peekable();
    let kind = words.next().context("kind")?.to_owned();
    let key = words.peek().and_then(|word| word.parse().ok());
    if key.is_some() {
        words.next();
    }
    let name = words.next().context("name")?.to_owned();
    let mut schema = Schema {
        kind,
        key,
        name,
        versions: Versions::NONE,
        flexible: Versions::NONE,
        unstable: false,
        listeners: Vec::new(),
        fields: Vec::new(),
        structs: Vec::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some(("versions", value)) => schema.versions = Versions::parse(value)?,
            Some(("flexible", value)) => schema.flexible = Versions::parse(value)?,
            Some(("listeners", value)) => {
                schema.listeners = value.split(',').map(str::to_owned).collect();
            }
            None if word == "unstable" => schema.unstable = true,
            _ => bail!("unknown word {word:?}"),
        }
    }
    Ok(schema)
}

fn write_fields(out: &mut String, fields: &[Field], level: usize) {
    for field in fields {
        let (indent, versions) = ("  ".repeat(level), field.versions.text());
        let _ = write!(out, "{indent}{} {} {versions}", field.name, field.ty);
        if !field.nullable.is_none() {
            let _ = write!(out, " nullable={}", field.nullable.text());
        }
        if let Some(tag) = field.tag {
            let _ = write!(out, " tag={tag}@{}", field.tagged.text());
        }
        if let Some(default) = &field.default {
            let _ = write!(out, " default={default}");
        }
        if field.never_flexible {
            out.push_str(" inflexible");
        }
        out.push('\n');
        write_fields(out, &field.fields, level + 1);
    }
}

fn parse_fields(lines: &[(usize, &str)], at: &mut usize, level: usize) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    while *at < lines.len() && lines[*at].0 == level {
        let mut field = parse_field(lines[*at].1)?;
        *at += 1;
        field.fields = parse_fields(lines, at, level + 1)?;
        fields.push(field);
    }
    Ok(fields)
}

fn parse_field(line: &str) -> Result<Field> {
    let mut words = line.split(' ');
    let mut next = || words.next().with_context(|| format!("a short line: {line:?}"));
    let mut field = Field {
        name: next()?.to_owned(),
        ty: next()?.to_owned(),
        versions: Versions::parse(next()?)?,
        nullable: Versions::NONE,
        tagged: Versions::NONE,
        tag: None,
        default: None,
        never_flexible: false,
        fields: Vec::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some(("nullable", value)) => field.nullable = Versions::parse(value)?,
            Some(("tag", value)) => {
                let (tag, versions) = value.split_once('@').context("tag=N@VERSIONS")?;
                field.tag = Some(tag.parse()?);
                field.tagged = Versions::parse(versions)?;
            }
            Some(("default", value)) => field.default = Some(value.to_owned()),
            None if word == "inflexible" => field.never_flexible = true,
            _ => bail!("unknown word {word:?} in {line:?}"),
        }
    }
    Ok(field)
}
