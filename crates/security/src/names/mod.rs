//! From a certificate to a principal's name (KIP-371).

mod mapping;
mod subject;

pub use mapping::{InvalidRule, PrincipalRules};
pub use subject::subject_of;
