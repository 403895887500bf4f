//! When the next token is due, and what is shown meanwhile.
//!
//! Invariant: a token that is good is shown until it ends, whatever attempts to get the next one
//! come to.

use std::sync::Arc;
use std::time::Duration;

use super::{NoToken, OwnToken};

/// Least time between two attempts.
const PAUSE_MIN_MS: i64 = 1_000;

/// `sasl.login.refresh.*`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefreshRules {
    /// The part of a token's life after which it is renewed.
    pub window_factor: f64,
    /// The largest part that is added by chance.
    pub window_jitter: f64,
    /// The least time that a token is used.
    pub min_period_ms: i64,
    /// The least time before a token's end that is kept free.
    pub buffer_ms: i64,
}

impl RefreshRules {
    /// When a token that is there now is renewed; `random` is at least 0 and below 1.
    pub fn refresh_at(&self, now_ms: i64, token: &OwnToken, random: f64) -> i64 {
        let ends = token.expires_ms;
        let share = (self.window_factor + self.window_jitter * random).min(1.0);
        let earliest = now_ms.saturating_add(self.min_period_ms);
        let latest = ends.saturating_sub(self.buffer_ms);
        let at = if earliest > latest {
            // There is no room for both, so neither counts.
            now_ms.saturating_add(part_of(ends.saturating_sub(now_ms), share))
        } else {
            let begins = token.issued_ms.unwrap_or(now_ms).min(ends);
            let at = begins.saturating_add(part_of(ends.saturating_sub(begins), share));
            at.clamp(earliest, latest)
        };
        at.max(now_ms.saturating_add(PAUSE_MIN_MS))
    }
}

/// `sasl.login.retry.*`: the first and the longest pause after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRules {
    /// `sasl.login.retry.backoff.ms`.
    pub first_ms: i64,
    /// `sasl.login.retry.backoff.max.ms`.
    pub longest_ms: i64,
}

impl RetryRules {
    /// How long to wait after so many failures.
    fn pause(self, failures: u32, is_lasting: bool) -> i64 {
        let doubled = self.first_ms.saturating_mul(1 << failures.saturating_sub(1).min(30));
        if is_lasting { self.longest_ms.max(PAUSE_MIN_MS) } else { doubled.min(self.longest_ms) }
    }
}

/// What whoever wants to log in finds.
#[derive(Debug, Clone)]
pub enum Shown {
    /// A token. It may have ended: then another one is on its way.
    Token(Arc<OwnToken>),
    /// There is none, and this is why.
    Nothing(String),
}

/// What comes of an attempt.
#[derive(Debug)]
pub struct Next {
    /// What is shown from now on.
    pub shown: Shown,
    /// When to try again, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Keeps a token that is good.
#[derive(Debug)]
pub struct TokenKeeper {
    refresh: RefreshRules,
    retry: RetryRules,
    token: Option<Arc<OwnToken>>,
    /// Attempts that failed since the last that did not.
    failures: u32,
}

impl TokenKeeper {
    /// Nothing was tried yet.
    pub const fn new(refresh: RefreshRules, retry: RetryRules) -> Self {
        Self { refresh, retry, token: None, failures: 0 }
    }

    /// Takes what an attempt has come to.
    pub fn take(&mut self, tried: Result<OwnToken, NoToken>, now_ms: i64, random: f64) -> Next {
        let tried = tried.and_then(|token| match token.expires_ms > now_ms {
            true => Ok(token),
            false => Err(NoToken::passing(
                "the token is over already; if it is new, the clocks are not in step",
            )),
        });
        match tried {
            Ok(token) => {
                self.failures = 0;
                let at_ms = self.refresh.refresh_at(now_ms, &token, random);
                let token = Arc::new(token);
                self.token = Some(Arc::clone(&token));
                Next { shown: Shown::Token(token), at_ms }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let pause = self.retry.pause(self.failures, error.is_lasting);
                let shown = match self.token.clone().filter(|token| token.expires_ms > now_ms) {
                    Some(token) => Shown::Token(token),
                    None => Shown::Nothing(error.why),
                };
                Next { shown, at_ms: now_ms.saturating_add(pause.max(1)) }
            }
        }
    }
}

/// After which part of a session's life its login is repeated, so that the answer is there before
/// it ends (KIP-368); `random` is at least 0 and below 1.
pub fn renewal_of_session(lifetime: Duration, random: f64) -> Duration {
    lifetime.mul_f64(0.85 + 0.1 * random.clamp(0.0, 1.0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "no time is so long that it matters, and the cast ends at the limits"
)]
fn part_of(ms: i64, share: f64) -> i64 {
    (ms as f64 * share) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFRESH: RefreshRules = RefreshRules {
        window_factor: 0.8,
        window_jitter: 0.05,
        min_period_ms: 60_000,
        buffer_ms: 300_000,
    };
    const RETRY: RetryRules = RetryRules { first_ms: 100, longest_ms: 10_000 };

    fn token(issued_s: i64, expires_s: i64) -> OwnToken {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
        let claims = format!("{{\"sub\":\"a\",\"iat\":{issued_s},\"exp\":{expires_s}}}");
        let text = format!("eyJhbGciOiJub25lIn0.{}.", BASE64URL.encode(claims));
        OwnToken::read(&text, "sub").unwrap()
    }

    #[test]
    fn a_token_is_renewed_after_a_part_of_its_life() {
        let at = |now_s: i64, token: &OwnToken| REFRESH.refresh_at(now_s * 1000, token, 0.0) / 1000;
        assert_eq!(at(0, &token(0, 3600)), 2880);
        assert_eq!(at(100, &token(0, 3600)), 2880, "its life began when it was made");
        assert_eq!(at(0, &token(0, 1000)), 700, "five minutes are kept free");
        assert_eq!(at(3000, &token(0, 3600)), 3060, "it is used for a minute");
        assert_eq!(at(0, &token(0, 100)), 80, "no room for either");
        let jitter = REFRESH.refresh_at(0, &token(0, 3600), 0.5);
        assert_eq!(jitter, 2_970_000);
    }

    #[test]
    fn a_good_token_outlives_failures() {
        let mut keeper = TokenKeeper::new(REFRESH, RETRY);
        let failed = || Err(NoToken::passing("no"));
        let first = keeper.take(failed(), 0, 0.0);
        assert!(matches!(first.shown, Shown::Nothing(why) if why == "no"));
        assert_eq!(first.at_ms, 100);
        assert_eq!(keeper.take(failed(), 0, 0.0).at_ms, 200);
        assert_eq!(keeper.take(Err(NoToken::lasting("no")), 0, 0.0).at_ms, 10_000);
        let good = keeper.take(Ok(token(0, 100)), 0, 0.0);
        assert_eq!(good.at_ms, 80_000);
        let next = keeper.take(failed(), 80_000, 0.0);
        assert!(matches!(next.shown, Shown::Token(_)));
        assert_eq!(next.at_ms, 80_100);
        assert!(matches!(keeper.take(failed(), 100_000, 0.0).shown, Shown::Nothing(_)));
        let old = keeper.take(Ok(token(0, 100)), 200_000, 0.0).shown;
        assert!(matches!(old, Shown::Nothing(why) if why.contains("clocks")));
    }

    #[test]
    fn a_session_is_renewed_before_it_ends() {
        let lifetime = Duration::from_secs(100);
        assert_eq!(renewal_of_session(lifetime, 0.0), Duration::from_secs(85));
        assert!(renewal_of_session(lifetime, 1.0) < lifetime);
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_in_the_future_and_a_renewal_in_time(
            now in 0_i64..4_000_000_000_000,
            issued in 0_i64..4_000_000_000,
            life in 0_i64..4_000_000_000,
            random in 0.0..1.0,
        ) {
            let token = token(issued, issued + life);
            let at = REFRESH.refresh_at(now, &token, random);
            prop_assert!(at > now);
            prop_assert!(at < token.expires_ms || token.expires_ms <= now + 10_000);
        }
    }
}
