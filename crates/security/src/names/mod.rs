//! From a certificate to a principal's name (KIP-371).

mod mapping;
mod subject;

pub use mapping::{InvalidRule, PrincipalRules};
pub use subject::{alternatives_of, subject_of};
pub(crate) use subject::{issuer_and_subject_of, public_key_of};
