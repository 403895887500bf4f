//! Reading a command line against its rows. Pure.

use super::{Old, Row, Takes};

/// Why a command line cannot be read. The texts are those of Kafka's tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No row has this name or prefix.
    #[error("{0} is not a recognized option")]
    Unknown(String),
    /// A value is missing.
    #[error("Option {0} requires an argument")]
    NoValue(String),
    /// The value is not a number.
    #[error("Cannot parse argument '{value}' of option {name}")]
    NotANumber {
        /// Option.
        name: String,
        /// What it was given.
        value: String,
    },
    /// An option that is given once was given more often.
    #[error("Found multiple arguments for option {0}, but you asked for only one")]
    Repeated(String),
}

/// What a command line says.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    given: Vec<(&'static str, Option<String>)>,
    /// What is neither an option nor the value of one.
    pub rest: Vec<String>,
    /// What should be said about options of the past, one line each.
    pub notices: Vec<String>,
    /// What `--zookeeper` was given.
    pub zookeeper: Option<String>,
}

impl Parsed {
    /// Whether the option was given.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// Whether the one option stands behind the other.
    pub fn is_behind(&self, name: &str, other: &str) -> bool {
        let place = |name: &str| self.given.iter().position(|(given, _)| *given == name);
        place(name) > place(other)
    }

    /// All values of an option, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| *given == name).filter_map(|(_, v)| v.as_deref())
    }

    /// The value of an option that may be given once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, OptionError> {
        let mut values = self.given.iter().filter(|(given, _)| *given == name);
        let first = values.next().and_then(|(_, value)| value.as_deref());
        match values.find(|(_, value)| value.is_some()) {
            Some(_) => Err(OptionError::Repeated(name.to_owned())),
            None => Ok(first),
        }
    }

    /// The number of an option that may be given once.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, OptionError> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let parsed = value.parse();
        parsed.map(Some).map_err(|_| not_a_number(name, value))
    }

    fn give(&mut self, name: &'static str, value: Option<String>) {
        self.given.push((name, value));
    }
}

/// Reads `args` by `rows`.
pub fn parse(rows: &'static [Row], args: &[String]) -> Result<Parsed, OptionError> {
    let mut parsed = Parsed::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(body) = option_body(arg) else {
            if arg == "--" {
                parsed.rest.extend(args.cloned());
                break;
            }
            parsed.rest.push(arg.clone());
            continue;
        };
        let (row, inline) = match short(rows, arg) {
            Some(found) => found,
            None => {
                let (name, inline) = match body.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (body, None),
                };
                let row = find(rows, name);
                (row.ok_or_else(|| OptionError::Unknown(name.to_owned()))?, inline)
            }
        };
        let value = match row.takes {
            Takes::Nothing => None,
            Takes::Text(_) | Takes::Int(_) | Takes::Long(_) => {
                let value = inline.or_else(|| args.next().cloned());
                Some(value.ok_or_else(|| OptionError::NoValue(row.name.to_owned()))?)
            }
            Takes::Maybe(_) => inline.or_else(|| {
                let next = args.as_slice().first().filter(|next| option_body(next).is_none());
                let next = next.cloned();
                if next.is_some() {
                    args.next();
                }
                next
            }),
        };
        check(row, value.as_deref())?;
        take(&mut parsed, rows, row, value);
    }
    Ok(parsed)
}

/// The text after the dashes; none for `-`, `--`, negative numbers and plain words.
fn option_body(arg: &str) -> Option<&str> {
    let body = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    let starts_well = body.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    starts_well.then_some(body)
}

/// `-p`, `-p3` or `-p=3`: the row with that letter and what is attached to it.
fn short(rows: &'static [Row], arg: &str) -> Option<(&'static Row, Option<String>)> {
    let body = arg.strip_prefix('-').filter(|body| !body.starts_with('-'))?;
    let letter = body.chars().next()?;
    let row = rows.iter().find(|row| row.short == Some(letter))?;
    let attached = &body[letter.len_utf8()..];
    if attached.is_empty() {
        return Some((row, None));
    }
    let takes_value = !matches!(row.takes, Takes::Nothing);
    let attached = attached.strip_prefix('=').unwrap_or(attached);
    takes_value.then(|| (row, Some(attached.to_owned())))
}

/// The row of this name, else the only one of today that begins with it, else of the past.
fn find(rows: &'static [Row], name: &str) -> Option<&'static Row> {
    if let Some(exact) = rows.iter().find(|row| row.name == name) {
        return Some(exact);
    }
    let only = |old: bool| {
        let mut found =
            rows.iter().filter(|row| row.old.is_some() == old && row.name.starts_with(name));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    };
    only(false).or_else(|| only(true))
}

fn check(row: &Row, value: Option<&str>) -> Result<(), OptionError> {
    let Some(value) = value else { return Ok(()) };
    let fine = match row.takes {
        Takes::Int(_) => value.parse::<i32>().is_ok(),
        Takes::Long(_) => value.parse::<i64>().is_ok(),
        Takes::Nothing | Takes::Text(_) | Takes::Maybe(_) => true,
    };
    if fine { Ok(()) } else { Err(not_a_number(row.name, value)) }
}

fn not_a_number(name: &str, value: &str) -> OptionError {
    OptionError::NotANumber { name: name.to_owned(), value: value.to_owned() }
}

fn take(parsed: &mut Parsed, rows: &'static [Row], row: &'static Row, value: Option<String>) {
    match row.old {
        None => parsed.give(row.name, value),
        Some(Old::Same(today)) => {
            parsed.notices.push(format!("--{} is of the past; --{today} is meant.", row.name));
            if let Some(today) = rows.iter().find(|row| row.name == today) {
                parsed.give(today.name, value);
            }
        }
        Some(Old::Nothing) => {
            parsed.notices.push(format!("--{} is of the past and not needed.", row.name));
        }
        Some(Old::ZooKeeper) => parsed.zookeeper = value,
    }
}
