//! Trying again: how long to wait, and when to give up.

use std::time::Duration;

use tokio::time::Instant;

use super::Cluster;
use crate::error::{Error, Result};

/// Waits that double up to a maximum.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    /// The wait before the next attempt.
    pub(crate) fn step(&mut self) -> Duration {
        let wait = self.next.min(self.max);
        self.next = (self.next * 2).min(self.max);
        wait
    }
}

impl Cluster {
    /// The waits between attempts.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.config().retry_backoff, self.config().retry_backoff_max)
    }

    /// Repeats `attempt` while its error is retriable and time is left; the last error is
    /// returned when it is not.
    pub(crate) async fn retry<T>(&self, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let mut backoff = self.backoff();
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let wait = backoff.step();
            let limit = match error {
                Error::Unreachable { .. } | Error::AdvertisedUnreachable { .. } => {
                    self.config().reach_timeout
                }
                // Whoever answers there, no broker has been reached yet.
                Error::Disconnected { .. } | Error::Timeout { .. }
                    if self.metadata().brokers.is_empty() =>
                {
                    self.config().reach_timeout
                }
                _ => self.config().api_timeout,
            };
            if !(error.is_retriable() || is_moved(&error)) || start.elapsed() + wait >= limit {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            if error.is_stale_metadata() || is_moved(&error) {
                // If this fails as well, the next attempt will say why.
                let _ = self.refresh_brokers().await;
            }
        }
    }
}

/// Whether another broker would have to be asked.
fn is_moved(error: &Error) -> bool {
    use naru_model::ErrorCode::{BrokerNotAvailable, NotController};
    matches!(error, Error::Broker { code: NotController | BrokerNotAvailable, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
        let waits: Vec<u128> = (0..4).map(|_| backoff.step().as_millis()).collect();
        assert_eq!(waits, [100, 200, 300, 300]);
    }
}
