//! The token that this side itself shows when it logs in with OAUTHBEARER (KIP-255, 768, 1139).
//!
//! `rules` are the settings: where tokens come from. `request` is what an identity provider is
//! asked, `address` where, `assertion` how it is asked without a secret, `answer` what its answer
//! means, `unsecured` makes tokens that nobody signs, `token` reads one, `keeper` decides when the
//! next one is due. Whoever uses this speaks HTTP, reads files and has the clock.

mod address;
mod answer;
mod assertion;
mod keeper;
mod request;
mod rules;
mod token;
mod unsecured;

pub use address::{Address, shown_address};
pub use answer::{NoToken, token_of_answer, token_of_file};
pub use assertion::{
    AssertionGrant, AssertionPlace, AssertionRules, SigningAlgorithm, signed_assertion,
};
pub use keeper::{Next, RefreshRules, RetryRules, Shown, TokenKeeper, renewal_of_session};
pub use request::{ClientSecret, TokenRequest};
pub use rules::{Asking, BearerRules, TokenPlace, file_of_url};
pub use token::OwnToken;
pub use unsecured::UnsecuredToken;

/// A setting by its name, none if it is not set.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;
