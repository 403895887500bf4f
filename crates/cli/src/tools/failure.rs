//! How Kafka's newer tools fail: their own words alone, or an exception's words and its trace.
//! Of a trace only the heads are shown, not Java's frames.

use naru_client::Error;

use super::common::admin_words;
use crate::text::{Streams, class};

/// Why a tool's work ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The tool's own words.
    Terse(String),
    /// An exception.
    Thrown(Thrown),
}

/// An exception as Java prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thrown {
    /// Full name of its class.
    pub class: String,
    /// Its words.
    pub text: String,
    /// Lines below it: suppressed ones and causes.
    pub below: Vec<String>,
}

impl Thrown {
    /// Without a cause.
    pub fn new(class: &str, text: impl Into<String>) -> Self {
        Self { class: class.to_owned(), text: text.into(), below: Vec::new() }
    }

    /// What a future of the admin client throws: the broker's error inside another.
    pub fn execution(error: &Error, call: &str) -> Self {
        let inner = format!("{}: {}", class(error), admin_words(error, call));
        Self {
            class: "java.util.concurrent.ExecutionException".to_owned(),
            text: inner.clone(),
            below: vec![format!("Caused by: {inner}")],
        }
    }

    /// Its trace, without Java's frames.
    pub fn trace(&self) -> String {
        let mut text = format!("{}: {}\n", self.class, self.text);
        for line in &self.below {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl Failure {
    /// The tool's own words.
    pub fn terse(text: impl Into<String>) -> Self {
        Self::Terse(text.into())
    }

    /// An exception of the tool.
    pub fn thrown(class: &str, text: impl Into<String>) -> Self {
        Self::Thrown(Thrown::new(class, text))
    }

    /// A call of the admin client failed.
    pub fn of(error: &Error, call: &str) -> Self {
        Self::Thrown(Thrown::execution(error, call))
    }

    /// The words alone.
    pub fn words(&self) -> &str {
        match self {
            Self::Terse(text) => text,
            Self::Thrown(thrown) => &thrown.text,
        }
    }

    /// Tells it on standard error.
    pub fn tell(&self, streams: &mut Streams) {
        streams.error(self.words());
        if let Self::Thrown(thrown) = self {
            streams.error(thrown.trace());
        }
    }
}
