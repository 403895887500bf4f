//! What one configuration key is: its type, default, bounds, scope and our standing on it.
//!
//! Owns the shape of a row and the macro that writes rows. Never reads a value: that is `check`.

use super::ConfigError;
use super::check::ConfigValue;

/// The type of a configuration value, with the number DescribeConfigs gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32 bits, signed.
    Int = 3,
    /// 16 bits, signed.
    Short = 4,
    /// 64 bits, signed.
    Long = 5,
    /// A floating point number.
    Double = 6,
    /// Comma-separated texts.
    List = 7,
    /// The name of a Java class; kept as text.
    Class = 8,
    /// A text that is never shown.
    Password = 9,
}

impl ConfigKind {
    /// The number in `DescribeConfigs` responses.
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// Kafka's name for the type, as its error messages say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// What a key is when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// There is none: the key must be set.
    Required,
    /// The key is then absent; often another key is looked at instead.
    Null,
    /// This text, parsed like any value.
    Is(&'static str),
}

/// What a parsed value must also satisfy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Validator {
    /// Everything its type allows.
    Any,
    /// A whole number from here on.
    AtLeast(i64),
    /// A whole number within these, both allowed.
    Between(i64, i64),
    /// A floating point number within these, both allowed.
    Fraction(f64, f64),
    /// One of these, exactly.
    OneOf(&'static [&'static str]),
    /// One of these, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list without empty entries; what is named twice counts once.
    Entries {
        /// What an entry may be; no limit when empty.
        allowed: &'static [&'static str],
        /// Whether the list may have no entry.
        may_be_empty: bool,
    },
    /// A text of at least one character.
    NonEmpty,
    /// 1 to 9, or -1 for the codec's own choice.
    GzipLevel,
    /// `*` or `partition:broker` entries.
    ThrottledReplicas,
    /// `id@host:port` entries.
    QuorumVoters,
    /// `host:port` entries.
    BootstrapServers,
    /// `latest`, `earliest` or `by_duration:` with an ISO 8601 duration.
    OffsetReset,
}

/// How a broker key may change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only by a restart.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

/// Whether this program does what the key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Served,
    /// There is nothing here that the key could steer; the text says why.
    NoMeaning(&'static str),
    /// What the key steers is not built yet; the text names it.
    NotYet(&'static str),
}

pub(super) const SERVED: Status = Status::Served;
pub(super) const TWO_PHASE: Status = Status::NotYet("two-phase commit (KIP-939)");
pub(super) const TIERED: Status = Status::NotYet("tiered storage");
pub(super) const EARLY: Status = Status::NotYet("listeners that start before access control");
pub(super) const KERBEROS: Status = Status::NotYet("Kerberos");
pub(super) const QUEUED: Status = Status::NotYet("a limit on the bytes of waiting requests");
pub(super) const LZ4_LEVEL: Status = Status::NoMeaning("lz4 has one level here, the fast one");
pub(super) const PREALLOCATION: Status =
    Status::NoMeaning("segment files grow as they are written, without cost");
pub(super) const BACKLOG: Status =
    Status::NoMeaning("the queue always has room for a burst of clients");
pub(super) const JAVA: Status = Status::NoMeaning("no Java class can be loaded here");
pub(super) const THREADS: Status =
    Status::NoMeaning("no thread pool to size: one task serves each connection");
pub(super) const PURGATORY: Status =
    Status::NoMeaning("a finished request leaves nothing to sweep");
pub(super) const METRICS: Status = Status::NoMeaning("metrics are counters, read when scraped");
pub(super) const TUNED: Status = Status::NoMeaning("sized by the load itself");
pub(super) const INTERNAL: Status = Status::NoMeaning("a switch for Apache Kafka's own tests");

/// One configuration key, declared once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigRow {
    /// The key.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigKind,
    /// What it is when not set.
    pub default: Default,
    /// What its value must satisfy.
    pub validator: Validator,
    /// How it may change at run time; topic and group keys may always change.
    pub scope: Scope,
    /// Whether we serve it.
    pub status: Status,
    /// Whether DescribeConfigs leaves it out unless it is set.
    pub internal: bool,
    pub(super) raw_doc: &'static str,
    /// Broker keys that stand in when a topic or a group does not set this one, first wins.
    pub synonyms: &'static [&'static str],
}

impl ConfigRow {
    /// One or two sentences of what the key is for.
    pub fn doc(&self) -> &'static str {
        self.raw_doc.trim()
    }

    /// Whether the value must never be shown.
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, ConfigKind::Password)
    }

    /// The default as text, if there is one.
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.default {
            Default::Is(text) => Some(text),
            Default::Null | Default::Required => None,
        }
    }

    /// Parses a text by the row's type and checks it against the row's bounds.
    ///
    /// # Errors
    /// In Kafka's words, when the text is not of the type or breaks a bound.
    pub fn check(&self, value: &str) -> Result<ConfigValue, ConfigError> {
        super::check::check(self, value)
    }
}

/// Writes a table of rows: doc comment, `"name": Kind = default, Validator, Scope, STATUS;`,
/// then, where needed, `internal` or the broker keys a topic or group key falls back to.
macro_rules! config_rows {
    (@default null) => { $crate::config::row::Default::Null };
    (@default required) => { $crate::config::row::Default::Required };
    (@default $text:literal) => { $crate::config::row::Default::Is($text) };
    (@internal) => { false };
    (@internal internal) => { true };
    ($(#[doc = $about:literal])* $table:ident $(
        #[doc = $doc:literal]
        $name:literal: $kind:ident = $default:tt, $validator:expr, $scope:ident, $status:ident
        $([$($synonym:literal)*])? $($internal:ident)?;
    )*) => {
        $(#[doc = $about])*
        pub(in crate::config) const $table: &[$crate::config::row::ConfigRow] = &[$(
            $crate::config::row::ConfigRow {
                name: $name,
                kind: $crate::config::row::ConfigKind::$kind,
                default: config_rows!(@default $default),
                validator: $validator,
                scope: $crate::config::row::Scope::$scope,
                status: $crate::config::row::$status,
                internal: config_rows!(@internal $($internal)?),
                raw_doc: $doc,
                synonyms: &[$($($synonym),*)?],
            },
        )*];
    };
}
pub(super) use config_rows;
