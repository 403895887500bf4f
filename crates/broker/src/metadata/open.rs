//! Opening the metadata log: format it if it is new, read what the cluster was, lead the quorum,
//! register this node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use naru_controller::batch::{LogRecord, read_batch};
use naru_controller::controller::{
    BootstrapSettings, BrokerRegistration, ControllerRegistration, bootstrap_records,
};
use naru_controller::image::Endpoint;
use naru_controller::quorum::{
    ControlRecord, ElectionState, Quorum, QuorumStart, SnapshotId, SnapshotPolicy, Voter,
    VoterEndpoint, VoterLog, bootstrap_checkpoint, initial_checkpoint,
};
use naru_controller::{Controller, RecordAndVersion};
use naru_log::{Disk, Log, LogConfig, OpenOptions, OsDisk};
use naru_model::config::{BrokerConfig, Endpoint as Configured, Props};
use naru_model::{Offset, Uuid};
use tokio::sync::Mutex;

use super::files::{Folder, replace};
use super::{MetadataHost, WriteFailed, Writer};
use crate::node::{StartError, now};
use crate::storage::{Identity, METADATA_FOLDER, Storage};

/// Bytes read at once.
const READ_CHUNK: usize = 4 << 20;
/// Kafka's file with the records of a fresh cluster, in the metadata directory.
const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// Largest batch of the metadata log, as in Kafka.
const BATCH_BYTES_MAX: usize = 8 << 20;

impl MetadataHost {
    /// Opens the metadata log in the configured directory. Blocks on the disk.
    pub(crate) fn open(
        storage: &Storage,
        config: &BrokerConfig,
        props: Props,
        identity: &Identity,
        mut random: impl FnMut() -> u128,
    ) -> Result<Self, StartError> {
        let root = PathBuf::from(&config.metadata_log.dir);
        let folder = Folder(root.join(METADATA_FOLDER));
        let failed = |reason: String| StartError::Metadata { path: folder.0.clone(), reason };
        let dir = storage.dir(&root);
        let directory_id =
            dir.and_then(|dir| dir.meta()).and_then(|meta| meta.directory_id).unwrap_or(Uuid::ZERO);
        let me = voter(config, directory_id);
        let is_static = !config.quorum.voters.is_empty();
        if !folder.0.exists() {
            format(&root, &folder, &me, is_static).map_err(&failed)?;
        }
        let clean = dir.is_some_and(|dir| dir.clean_shutdown().is_some());
        let log = open_log(config, &folder.0, clean)?;

        let file = Arc::new(props);
        let mut controller = Controller::new(config.node_id.0, Arc::clone(&file));
        let voter_log = replay_all(&mut controller, &folder, &log).map_err(&failed)?;

        let mut effects = Vec::new();
        let quorum = Quorum::start(
            QuorumStart {
                node_id: config.node_id.0,
                directory_id,
                state: read_state(&folder).map_err(&failed)?,
                static_voters: if is_static { vec![me] } else { Vec::new() },
                voter_log,
                log_end: log.reader().log_end().0,
                last_epoch: controller.image().epoch(),
            },
            &mut effects,
        )
        .map_err(|error| failed(error.to_string()))?;

        let metadata = &config.metadata_log;
        let interval = metadata.max_snapshot_interval_ms.unwrap_or(0);
        let policy = SnapshotPolicy::new(
            metadata.max_record_bytes_between_snapshots,
            i64::try_from(interval).unwrap_or(i64::MAX),
        );
        let mut writer =
            Writer { controller, quorum, log: Some(log), folder: folder.clone(), policy };
        let refused = |error: WriteFailed| failed(format!("it cannot be written: {error}"));
        writer.execute(effects).map_err(refused)?;
        let bootstrap = read_bootstrap(&root).map_err(&failed)?;
        let settings = BootstrapSettings { min_insync_replicas: config.topic.min_insync_replicas };
        let records = writer.controller.decide_activate(&bootstrap, settings);
        writer.commit(&records).map_err(refused)?;
        writer.register(config, identity, Uuid::from_random(random())).map_err(refused)?;

        let image = writer.controller.publish().image;
        Ok(Self {
            image: RwLock::new(image),
            writer: Arc::new(Mutex::new(writer)),
            file,
            node_id: config.node_id.0,
        })
    }
}

impl Writer {
    /// Registers this process as controller and broker, and lets it lead.
    fn register(
        &mut self,
        config: &BrokerConfig,
        identity: &Identity,
        incarnation_id: Uuid,
    ) -> Result<(), WriteFailed> {
        let id = config.node_id.0;
        let records = self.controller.decide_register_controller(ControllerRegistration {
            id,
            incarnation_id,
            endpoints: endpoints(&config.listeners.advertised_controller),
        });
        self.commit(&records)?;
        let next = self.log.as_ref().map_or(0, |log| log.reader().log_end().0);
        let registration = BrokerRegistration {
            id,
            incarnation_id,
            endpoints: endpoints(&config.listeners.advertised),
            rack: config.rack.clone(),
            log_dirs: identity.directory_ids.clone(),
        };
        let decision = self.controller.decide_register_broker(registration, next);
        self.commit(&decision.records)?;
        let records = self.controller.decide_unfence_broker(id, decision.response);
        self.commit(&records)
    }
}

fn endpoints(configured: &[Configured]) -> Vec<Endpoint> {
    configured
        .iter()
        .map(|endpoint| Endpoint {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: endpoint.protocol.id(),
        })
        .collect()
}

/// This node as a voter; one of `controller.quorum.voters` is known by its id alone.
fn voter(config: &BrokerConfig, directory_id: Uuid) -> Voter {
    let endpoints = config.listeners.advertised_controller.iter().map(|endpoint| VoterEndpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    });
    let directory_id = if config.quorum.voters.is_empty() { directory_id } else { Uuid::ZERO };
    Voter { id: config.node_id.0, directory_id, endpoints: endpoints.collect() }
}

/// Makes what `kafka-storage format` makes.
fn format(root: &Path, folder: &Folder, me: &Voter, is_static: bool) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bootstrap = root.join(BOOTSTRAP);
    if !bootstrap.exists() {
        let bytes = bootstrap_checkpoint(now()).map_err(|error| text(&error))?;
        replace(&bootstrap, &bytes).map_err(|error| text(&error))?;
    }
    fs::create_dir_all(&folder.0).map_err(|error| text(&error))?;
    if !is_static {
        let bytes =
            initial_checkpoint(std::slice::from_ref(me), now()).map_err(|error| text(&error))?;
        let name = SnapshotId::default().to_string();
        replace(&folder.0.join(name), &bytes).map_err(|error| text(&error))?;
    }
    Ok(())
}

fn open_log(config: &BrokerConfig, folder: &Path, clean: bool) -> Result<Log, StartError> {
    let options = OpenOptions {
        config: LogConfig {
            segment_bytes: u64::from(config.metadata_log.segment_bytes),
            segment_ms: config.metadata_log.segment_ms,
            retention_ms: None,
            retention_bytes: None,
            max_message_bytes: BATCH_BYTES_MAX,
            ..LogConfig::default()
        },
        clean,
        recovery_point: None,
        log_start: None,
        tail_bytes: naru_log::tail_budget(1),
        now: now(),
    };
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let (log, recovery) = Log::open(disk, folder, options, &|_| {})
        .map_err(|source| StartError::Log { path: folder.to_path_buf(), source })?;
    if recovery.bytes_cut > 0 {
        tracing::warn!(bytes = recovery.bytes_cut, "a torn tail of the metadata log was cut");
    }
    Ok(log)
}

/// Replays the newest snapshot and the log behind it.
fn replay_all(controller: &mut Controller, folder: &Folder, log: &Log) -> Result<VoterLog, String> {
    let mut voters = VoterLog::new();
    let mut next = log.log_start();
    if let Some((id, records)) = newest_whole_snapshot(folder, log)? {
        let read = replay_snapshot(controller, &mut voters, id, records);
        read.map_err(|reason| format!("snapshot {id}: {reason}"))?;
        next = next.max(Offset(id.end_offset));
    }
    let reader = log.reader();
    while next < reader.log_end() {
        let slice =
            reader.read(next, READ_CHUNK, true, reader.log_end()).map_err(|e| e.to_string())?;
        let bytes = Bytes::from(slice.read_bytes().map_err(|error| error.to_string())?);
        let before = next;
        for item in naru_records::batches(&bytes) {
            let (header, batch) = item.map_err(|error| error.to_string())?;
            if header.next_offset() <= next {
                continue;
            }
            next = header.next_offset();
            let epoch = header.partition_leader_epoch.0;
            let (_, records) =
                read_batch(&bytes.slice_ref(batch)).map_err(|error| error.to_string())?;
            for record in records {
                match record {
                    LogRecord::Metadata { offset, record } => controller
                        .replay(offset, epoch, &record)
                        .map_err(|error| format!("offset {offset}: {error}"))?,
                    LogRecord::Control { record, .. } => voters.read_log(&record),
                }
            }
            controller.advance_to(next.0, epoch);
        }
        if next == before {
            return Err(format!("no batch at offset {before}"));
        }
    }
    Ok(voters)
}

/// The newest snapshot that can be read to its end and that the log goes on from. A damaged one
/// is passed over: the one before it and the log still say everything.
fn newest_whole_snapshot(
    folder: &Folder,
    log: &Log,
) -> Result<Option<(SnapshotId, Vec<LogRecord>)>, String> {
    let mut damage = None;
    for (id, path) in folder.snapshots().map_err(|error| error.to_string())?.into_iter().rev() {
        if id.end_offset < log.log_start().0 {
            break;
        }
        let bytes = fs::read(&path).map_err(|error| error.to_string()).map(Bytes::from);
        match bytes.and_then(|bytes| records_of(&bytes)) {
            Ok(records) if records.last().is_some_and(is_footer) => return Ok(Some((id, records))),
            Ok(_) => damage = Some(format!("{}: it ends too early", path.display())),
            Err(reason) => damage = Some(format!("{}: {reason}", path.display())),
        }
        tracing::warn!("a damaged snapshot is not used: {}", damage.as_deref().unwrap_or_default());
    }
    match damage {
        Some(damage) if log.log_start() > Offset::ZERO => Err(damage),
        _ => Ok(None),
    }
}

fn is_footer(record: &LogRecord) -> bool {
    matches!(record, LogRecord::Control { record: ControlRecord::SnapshotFooter(_), .. })
}

fn replay_snapshot(
    controller: &mut Controller,
    voters: &mut VoterLog,
    id: SnapshotId,
    records: Vec<LogRecord>,
) -> Result<(), String> {
    for record in records {
        match record {
            LogRecord::Metadata { record, .. } => controller
                .replay(id.end_offset - 1, id.epoch, &record)
                .map_err(|error| error.to_string())?,
            LogRecord::Control { record, .. } => voters.read_snapshot(id.end_offset, &record),
        }
    }
    controller.advance_to(id.end_offset, id.epoch);
    Ok(())
}

fn records_of(bytes: &Bytes) -> Result<Vec<LogRecord>, String> {
    let mut all = Vec::new();
    for item in naru_records::batches(bytes) {
        let (_, batch) = item.map_err(|error| error.to_string())?;
        let (_, records) = read_batch(&bytes.slice_ref(batch)).map_err(|e| e.to_string())?;
        all.extend(records);
    }
    Ok(all)
}

/// What a fresh cluster begins with: the file that formatting left, or the same.
fn read_bootstrap(root: &Path) -> Result<Vec<RecordAndVersion>, String> {
    let path = root.join(BOOTSTRAP);
    let bytes = match fs::read(&path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bootstrap_records()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let records = records_of(&bytes).map_err(|reason| format!("{}: {reason}", path.display()))?;
    let data = records.into_iter().filter_map(|record| match record {
        LogRecord::Metadata { record, .. } => Some(RecordAndVersion::newest(record)),
        LogRecord::Control { .. } => None,
    });
    Ok(data.collect())
}

fn read_state(folder: &Folder) -> Result<Option<ElectionState>, String> {
    match fs::read_to_string(folder.state_path()) {
        Ok(text) => ElectionState::from_json(&text).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_empty_log(path: &Path) -> Log {
        let options = OpenOptions {
            config: LogConfig::default(),
            clean: false,
            recovery_point: None,
            log_start: None,
            tail_bytes: 0,
            now: now(),
        };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        Log::open(disk, path, options, &|_| {}).unwrap().0
    }

    #[test]
    fn a_damaged_snapshot_is_passed_over_for_the_one_before_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(METADATA_FOLDER);
        let log = open_empty_log(&path);
        let folder = Folder(path);
        let me = Voter { id: 1, directory_id: Uuid(7), endpoints: Vec::new() };
        let whole = initial_checkpoint(std::slice::from_ref(&me), now()).unwrap();
        let old = SnapshotId { end_offset: 10, epoch: 1 };
        let new = SnapshotId { end_offset: 20, epoch: 1 };
        let used = || newest_whole_snapshot(&folder, &log).unwrap().map(|(id, _)| id.end_offset);
        folder.write_snapshot(old, &whole).unwrap();
        folder.write_snapshot(new, &whole).unwrap();
        assert_eq!(used(), Some(20));
        for len in [0, 30, whole.len() - 1] {
            folder.write_snapshot(new, &whole[..len]).unwrap();
            assert_eq!(used(), Some(10), "cut to {len}");
        }
        let mut rotten = whole.clone();
        rotten[whole.len() - 3] ^= 1;
        folder.write_snapshot(new, &rotten).unwrap();
        assert_eq!(used(), Some(10));
        // The log has everything from its beginning.
        folder.write_snapshot(old, &whole[..30]).unwrap();
        assert_eq!(used(), None);
    }
}
