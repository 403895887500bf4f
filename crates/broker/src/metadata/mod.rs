//! Hosts the controller: one decision at a time, committed to the metadata log, replayed, then
//! published as an immutable image that every handler reads without locks.
//!
//! The rules are `naru_controller`'s; this folder owns `__cluster_metadata-0` and its syncs.

mod files;
mod open;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use naru_controller::batch::{BatchPlace, control_batch, metadata_batch, snapshot};
use naru_controller::image::ConfigResource;
use naru_controller::quorum::{Effect, Event, Quorum, SnapshotId, SnapshotPolicy};
use naru_controller::{Controller, Decision, MetadataImage, RecordAndVersion};
use naru_log::{Log, NewBatch, Origin};
use naru_model::config::{Layers, Props};
use naru_model::{ErrorCode, LeaderEpoch, Timestamp};
use tokio::sync::Mutex;

use crate::node::{Node, now};
use files::Folder;

/// See the module.
#[derive(Debug)]
pub(crate) struct MetadataHost {
    image: RwLock<Arc<MetadataImage>>,
    writer: Arc<Mutex<Writer>>,
    file: Arc<Props>,
    node_id: i32,
}

/// Whoever holds this decides.
#[derive(Debug)]
struct Writer {
    controller: Controller,
    quorum: Quorum,
    /// `None` once the node has stopped.
    log: Option<Log>,
    folder: Folder,
    policy: SnapshotPolicy,
}

impl MetadataHost {
    /// The cluster as it is.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// This node's registration; changes with every start.
    pub(crate) fn broker_epoch(&self) -> i64 {
        self.image().broker(self.node_id).map_or(-1, |broker| broker.epoch)
    }

    /// The layers below a topic's own settings.
    pub(crate) fn with_layers<T>(&self, with: impl FnOnce(&Layers<'_>) -> T) -> T {
        let layers = self.image().config_layers(self.node_id, &self.file);
        with(&layers.layers())
    }

    /// What is set on a topic.
    pub(crate) fn topic_props(&self, topic: &str) -> Arc<Props> {
        self.image().config(&ConfigResource::topic(topic))
    }

    /// Decides, commits, replays and publishes; the answer comes when all of that is done and
    /// the node has reacted.
    pub(crate) async fn decide<R: Send + 'static>(
        &self,
        node: &Arc<Node>,
        decide: impl FnOnce(&Controller) -> Decision<R>,
    ) -> Result<R, ErrorCode> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let decision = decide(&writer.controller);
        if decision.records.is_empty() {
            return Ok(decision.response);
        }
        let node = Arc::clone(node);
        let committed = tokio::task::spawn_blocking(move || {
            writer.commit(&decision.records).map_err(|failed| {
                tracing::error!("a metadata change was not written: {failed}");
                failed.code
            })?;
            let published = writer.controller.publish();
            node.metadata().publish(Arc::clone(&published.image));
            node.react(&published.image, &published.delta);
            Ok(decision.response)
        });
        // A panic has been printed by its hook; the client may ask again.
        committed.await.unwrap_or(Err(ErrorCode::UnknownServerError))
    }

    fn publish(&self, image: Arc<MetadataImage>) {
        *self.image.write().unwrap_or_else(PoisonError::into_inner) = image;
    }

    /// Closes the metadata log cleanly. Whether everything is on the disk.
    pub(crate) fn close(&self) -> bool {
        let Ok(mut writer) = self.writer.try_lock() else {
            tracing::error!("a metadata change is still under way");
            return false;
        };
        // So that whoever starts on this directory next need not wait for a session to expire.
        let epoch = self.broker_epoch();
        let records = writer.controller.decide_stop_broker(self.node_id, epoch);
        if let Err(error) = writer.commit(&records) {
            tracing::warn!(%error, "the stop was not noted in the metadata log");
        }
        match writer.log.take().map(Log::close) {
            None | Some(Ok(_)) => true,
            Some(Err(error)) => {
                tracing::error!("the metadata log is not closed: {error}");
                false
            }
        }
    }
}

impl Writer {
    /// Carries out what the quorum asks for, and what follows from it. Blocks on the disk.
    fn execute(&mut self, effects: Vec<Effect>) -> Result<(), WriteFailed> {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::SaveState(state) => {
                    let text = self.quorum.state_json(&state);
                    files::replace(&self.folder.state_path(), text.as_bytes())
                        .map_err(|error| storage(&error))?;
                }
                Effect::AppendControl { epoch, records } => {
                    let batch = control_batch(self.place()?, &records);
                    self.append(&batch.map_err(|error| storage(&error))?, &mut queue)?;
                    self.controller.advance_to(self.quorum.log_end(), epoch);
                }
                // With one voter what is synced is committed: `append` has waited for it.
                Effect::BecameLeader { .. } | Effect::AdvanceHighWatermark { .. } => {}
            }
        }
        Ok(())
    }

    /// Appends records as one batch, syncs it, and replays them. Blocks on the disk.
    fn commit(&mut self, records: &[RecordAndVersion]) -> Result<(), WriteFailed> {
        if records.is_empty() {
            return Ok(());
        }
        let place = self.place()?;
        let batch = metadata_batch(place, records).map_err(|error| storage(&error))?;
        let mut effects = VecDeque::new();
        self.append(&batch, &mut effects)?;
        self.execute(effects.into())?;
        let epoch = self.quorum.epoch();
        for (index, record) in records.iter().enumerate() {
            // What the controller has decided it can replay; otherwise state and log differ.
            self.controller.replay(place.after(index), epoch, &record.record).map_err(|error| {
                let reason = format!("a committed record cannot be replayed: {error}");
                WriteFailed { code: ErrorCode::UnknownServerError, reason }
            })?;
        }
        self.policy.record_committed(batch.len() as u64, place.timestamp.0);
        if self.policy.is_due(place.timestamp.0) {
            self.take_snapshot(place.timestamp);
        }
        Ok(())
    }

    /// Where the next batch goes.
    fn place(&self) -> Result<BatchPlace, WriteFailed> {
        let log = self.log.as_ref().ok_or_else(WriteFailed::stopped)?;
        let base_offset = log.reader().log_end().0;
        Ok(BatchPlace { base_offset, epoch: self.quorum.epoch(), timestamp: now() })
    }

    /// Appends a batch, syncs it, and tells the quorum.
    fn append(&mut self, batch: &[u8], effects: &mut VecDeque<Effect>) -> Result<(), WriteFailed> {
        let log = self.log.as_mut().ok_or_else(WriteFailed::stopped)?;
        let batch = NewBatch::built(batch).map_err(|error| storage(&error))?;
        let epoch = LeaderEpoch(self.quorum.epoch());
        log.append_one(batch, Origin::Replication, epoch, now())
            .map_err(|error| storage(&error))?;
        if let Some(plan) = log.sync_plan().map_err(|error| storage(&error))? {
            if let Err(error) = plan.execute() {
                log.mark_failed(&error);
                return Err(storage(&error));
            }
            log.mark_synced(&plan);
        }
        let log_end = log.reader().log_end().0;
        let voter = self.quorum.leader();
        let mut new = Vec::new();
        self.quorum.step(Event::Appended { log_end }, &mut new);
        self.quorum.step(Event::Synced { voter, synced_end: log_end }, &mut new);
        effects.extend(new);
        Ok(())
    }

    /// Writes a snapshot; if that fails, the log still has everything.
    fn take_snapshot(&mut self, at: Timestamp) {
        let image = self.controller.image();
        let id = SnapshotId { end_offset: image.end_offset(), epoch: image.epoch() };
        let (version, voters) = (self.quorum.kraft_version(), self.quorum.voters());
        let written = snapshot(image, version, voters, at, now())
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                self.folder.write_snapshot(id, &bytes).map_err(|error| error.to_string())
            });
        match written {
            Ok(()) => self.policy.snapshot_taken(),
            Err(error) => tracing::error!("no metadata snapshot was written: {error}"),
        }
    }
}

/// A change that did not get into the metadata log.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct WriteFailed {
    /// What a client is told.
    code: ErrorCode,
    /// What people are told.
    reason: String,
}

impl WriteFailed {
    fn stopped() -> Self {
        Self { code: ErrorCode::NotController, reason: "the node has stopped".to_owned() }
    }
}

fn storage(error: &dyn std::fmt::Display) -> WriteFailed {
    WriteFailed { code: ErrorCode::KafkaStorageError, reason: error.to_string() }
}
