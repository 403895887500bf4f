//! The targets: each says how valid inputs are made, and what must hold for any.

mod batches;
mod coordinators;
mod files;
mod folder;
mod messages;
mod metadata;
mod security;
mod settings;
mod stores;
mod telemetry;
mod texts;

use anyhow::Result;

use crate::random::Random;

/// Makes a valid input.
pub(crate) type Make = Box<dyn Fn(&mut Random) -> Vec<u8>>;
/// Takes an input; whether it made something of it. Panics if something does not hold.
pub(crate) type Take = Box<dyn Fn(&[u8]) -> bool>;

/// See the module.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) make: Make,
    /// Mends checksums, so that changes get past them.
    pub(crate) repair: fn(&mut Vec<u8>),
    pub(crate) take: Take,
    pub(crate) memory: Memory,
}

/// How many bytes an input may cost at one time: `floor` and `factor` times its length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) factor: usize,
    pub(crate) floor: usize,
}

impl Memory {
    pub(crate) fn allowed(self, len: usize) -> usize {
        self.floor + self.factor * len
    }
}

/// All of them.
pub(crate) fn all() -> Result<Vec<Target>> {
    let schemas = naru_schema::load(&crate::run::workspace().join("crates/protocol/schemas"))?;
    let mut all = messages::targets(&schemas);
    all.push(metadata::target(&schemas));
    all.push(metadata::batch_target(&schemas));
    all.extend(coordinators::targets(&schemas));
    all.extend([batches::produced(), batches::stored(), folder::target()]);
    all.extend(files::targets());
    all.extend(security::targets());
    all.extend(stores::targets());
    all.extend(telemetry::targets());
    all.extend(texts::targets());
    all.push(settings::target());
    Ok(all)
}

/// A target of texts, by its name and what it is about: samples, and what takes a text.
fn texts(
    (name, about): (&'static str, &'static str),
    memory: Memory,
    samples: &'static [&'static str],
    take: fn(&str) -> bool,
) -> Target {
    Target {
        name,
        about,
        make: Box::new(move |random| random.pick(samples).as_bytes().to_vec()),
        repair: as_it_is,
        take: Box::new(move |input| std::str::from_utf8(input).is_ok_and(take)),
        memory,
    }
}

/// Nothing to mend.
pub(crate) fn as_it_is(_input: &mut Vec<u8>) {}

/// Parts of an input: each a length of two bytes and the bytes; the last may be short.
pub(crate) fn parts(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(after.len());
        let (part, behind) = after.split_at(len);
        parts.push(part);
        rest = behind;
    }
    parts
}

/// An input of these parts.
pub(crate) fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&part[..usize::from(len)]);
    }
    out
}
