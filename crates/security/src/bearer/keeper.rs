//! When the next token is due, and what is shown meanwhile.
//!
//! Invariant: a token that is good is shown until it ends, whatever attempts to get the next one
//! come to.

use std::sync::Arc;
use std::time::Duration;

use super::{NoToken, OwnToken};

/// Least time between two attempts.
const PAUSE_MIN_MS: i64 = 1_000;
/// Least time between two attempts while none succeeds.
const RETRY_MIN_MS: i64 = 100;

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
        match is_lasting {
            true => self.longest_ms.max(PAUSE_MIN_MS),
            false => doubled.min(self.longest_ms).max(RETRY_MIN_MS),
        }
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

impl Shown {
    /// Whether it is a token that has ended.
    pub fn is_over(&self, now_ms: i64) -> bool {
        matches!(self, Self::Token(token) if token.expires_ms <= now_ms)
    }
}

/// What comes of an attempt.
#[derive(Debug)]
pub struct Next {
    /// What is shown from now on.
    pub shown: Shown,
    /// How long to wait for the next attempt, whatever becomes of the clock.
    pub pause_ms: i64,
    /// When a token is due, in milliseconds since 1970: the clock may get there first. None after
    /// a failure.
    pub at_ms: Option<i64>,
}

impl Next {
    /// How much longer to wait, when so much time has passed since the attempt. Whoever finds that
    /// the token has ended, as after a clock was set, does not wait for long.
    pub fn left(&self, passed: Duration, now_ms: i64, is_wanted: bool) -> Duration {
        let pause_ms = if is_wanted { self.pause_ms.min(PAUSE_MIN_MS) } else { self.pause_ms };
        let left = millis(pause_ms).saturating_sub(passed);
        self.at_ms.map_or(left, |at_ms| left.min(millis(at_ms.saturating_sub(now_ms))))
    }
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
                let pause_ms = at_ms.saturating_sub(now_ms);
                Next { shown: Shown::Token(token), pause_ms, at_ms: Some(at_ms) }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let pause_ms = self.retry.pause(self.failures, error.is_lasting);
                let shown = match self.token.clone().filter(|token| token.expires_ms > now_ms) {
                    Some(token) => Shown::Token(token),
                    None => Shown::Nothing(error.why),
                };
                Next { shown, pause_ms, at_ms: None }
            }
        }
    }
}

/// After which part of a session's life its login is repeated, so that the answer is there before
/// it ends (KIP-368); `random` is at least 0 and below 1.
pub fn renewal_of_session(lifetime: Duration, random: f64) -> Duration {
    lifetime.mul_f64(0.85 + 0.1 * random.clamp(0.0, 1.0))
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
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
        assert_eq!((first.pause_ms, first.at_ms), (100, None));
        assert_eq!(keeper.take(failed(), 0, 0.0).pause_ms, 200);
        assert_eq!(keeper.take(Err(NoToken::lasting("no")), 0, 0.0).pause_ms, 10_000);
        let good = keeper.take(Ok(token(0, 100)), 0, 0.0);
        assert_eq!((good.pause_ms, good.at_ms), (80_000, Some(80_000)));
        let next = keeper.take(failed(), 80_000, 0.0);
        assert!(matches!(next.shown, Shown::Token(_)));
        assert_eq!((next.pause_ms, next.at_ms), (100, None));
        assert!(matches!(keeper.take(failed(), 100_000, 0.0).shown, Shown::Nothing(_)));
        let old = keeper.take(Ok(token(0, 100)), 200_000, 0.0).shown;
        assert!(matches!(old, Shown::Nothing(why) if why.contains("clocks")));
    }

    #[test]
    fn a_clock_that_is_set_delays_nothing() {
        let second = Duration::from_secs(1);
        let mut keeper = TokenKeeper::new(REFRESH, RETRY);
        let now_ms = 1_000_000;
        let failed = keeper.take(Err(NoToken::lasting("no")), now_ms, 0.0);
        assert_eq!(failed.left(second, 0, false), 9 * second, "set back");
        assert_eq!(failed.left(10 * second, 0, false), Duration::ZERO);
        let good = keeper.take(Ok(token(1000, 1100)), now_ms, 0.0);
        assert_eq!(good.left(30 * second, now_ms + 30_000, false), 50 * second);
        assert_eq!(good.left(30 * second, 0, false), 50 * second, "set back");
        assert_eq!(good.left(second, now_ms + 80_000, false), Duration::ZERO, "set forward");
        assert!(good.shown.is_over(now_ms + 100_000) && !good.shown.is_over(now_ms + 99_999));
        assert_eq!(good.left(Duration::ZERO, 0, true), second, "never more often than this");
        assert_eq!(good.left(second, 0, true), Duration::ZERO);
    }

    #[test]
    fn attempts_that_fail_have_pauses_between_them_whatever_is_set() {
        let mut keeper = TokenKeeper::new(REFRESH, RetryRules { first_ms: 0, longest_ms: 0 });
        assert_eq!(keeper.take(Err(NoToken::passing("no")), 0, 0.0).pause_ms, 100);
        assert_eq!(keeper.take(Err(NoToken::lasting("no")), 0, 0.0).pause_ms, 1_000);
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
