//! The outcome of one record: a place in a batch whose outcome all its records share.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use naru_model::TopicPartition;
use tokio::sync::Notify;

use crate::error::{Error, Result};

/// Where a record went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: TopicPartition,
    /// Its offset; none with `acks=0`, and for a duplicate whose offset the broker has forgotten.
    pub offset: Option<i64>,
    /// The broker's time of the append, if the topic uses it.
    pub log_append_time: Option<i64>,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct BatchOutcome {
    partition: TopicPartition,
    done: OnceLock<Result<Placed>>,
    told: Notify,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) base_offset: Option<i64>,
    pub(super) log_append_time: Option<i64>,
}

impl BatchOutcome {
    pub(super) fn new(partition: TopicPartition) -> Arc<Self> {
        Arc::new(Self { partition, done: OnceLock::new(), told: Notify::new() })
    }

    /// Tells all records of the batch; only the first outcome counts.
    pub(super) fn resolve(&self, outcome: Result<Placed>) {
        if self.done.set(outcome).is_ok() {
            self.told.notify_waiters();
        }
    }
}

impl Drop for BatchOutcome {
    fn drop(&mut self) {
        self.told.notify_waiters();
    }
}

/// Resolves when the record is acknowledged or has failed. Dropping it changes nothing.
#[must_use = "a failed delivery is known here only"]
pub struct Delivery {
    future: Pin<Box<dyn Future<Output = Result<Delivered>> + Send>>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery")
    }
}

impl Delivery {
    pub(super) fn new(batch: Arc<BatchOutcome>, index: i64) -> Self {
        Self { future: Box::pin(wait(batch, index)) }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(context)
    }
}

async fn wait(batch: Arc<BatchOutcome>, index: i64) -> Result<Delivered> {
    loop {
        let mut told = std::pin::pin!(batch.told.notified());
        // Registers before looking, so that an outcome between both is not missed.
        told.as_mut().enable();
        if let Some(outcome) = batch.done.get() {
            let placed = outcome.clone()?;
            return Ok(Delivered {
                partition: batch.partition.clone(),
                offset: placed.base_offset.map(|base| base + index),
                log_append_time: placed.log_append_time,
            });
        }
        told.await;
        if batch.done.get().is_none() {
            return Err(Error::Closed);
        }
    }
}
