//! Opening the metadata log: format it if it is new, read what is known of the cluster, take up
//! this node's part in the quorum.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use naru_client::net::ConnectionOptions;
use naru_controller::batch::{LogRecord, read_batch};
use naru_controller::controller::{BootstrapSettings, SessionSettings, bootstrap_records};
use naru_controller::raft::{
    ControlRecord, ElectionState, LogView as _, Quorum, QuorumStart, QuorumTimeouts, SnapshotId,
    SnapshotPolicy, Voter, VoterEndpoint, VoterLog, bootstrap_checkpoint, initial_checkpoint,
};
use naru_controller::{Controller, RecordAndVersion};
use naru_log::{Disk, Log, LogConfig, OpenOptions, OsDisk};
use naru_model::config::{BrokerConfig, Props};
use naru_model::{Offset, Uuid};
use naru_protocol::metadata::MetadataRecord;

use super::driver::{Clock, Driver, DriverParts, DriverSettings};
use super::files::{Folder, replace};
use super::journal::{BATCH_BYTES_MAX, Item, Journal, Retention};
use super::transport::Transport;
use super::{MetadataHost, Shared};
use crate::node::{StartError, millis, now};
use crate::security::Links;
use crate::storage::{Identity, METADATA_FOLDER, Storage};

/// Kafka's file with the records of a fresh cluster, in the metadata directory.
const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// What is verified of the log's end even after a clean stop.
const TAIL_BYTES: u64 = 64 << 20;
/// How long a parked fetch of metadata waits, as in Kafka.
const FETCH_MAX_WAIT_MS: i32 = 500;

impl MetadataHost {
    /// Opens the metadata log in the configured directory and starts the loop. Blocks on the
    /// disk. A node that is the only voter leads, and knows everything, when this returns.
    pub(crate) fn open(
        storage: &Storage,
        config: &BrokerConfig,
        props: Props,
        identity: &Identity,
        runtime: &tokio::runtime::Handle,
        seed: u64,
        links: &Links,
    ) -> Result<Self, StartError> {
        let root = PathBuf::from(&config.metadata_log.dir);
        let folder = Folder(root.join(METADATA_FOLDER));
        let failed = |reason: String| StartError::Metadata { path: folder.0.clone(), reason };
        let dir = storage.dir(&root);
        let directory_id =
            dir.and_then(|dir| dir.meta()).and_then(|meta| meta.directory_id).unwrap_or(Uuid::ZERO);
        let me = voter(config, directory_id);
        if !folder.0.exists() {
            let alone = config.roles.controller
                && config.quorum.voters.is_empty()
                && config.quorum.bootstrap_servers.is_empty();
            format(&root, &folder, alone.then_some(&me)).map_err(&failed)?;
        }
        let clean = dir.is_some_and(|dir| dir.clean_shutdown().is_some());
        let log = open_log(config, &folder.0, clean)?;

        let (inbox, arrivals) = channel();
        let (reactions, to_react) = channel();
        let shared = Arc::new(Shared::new(config.node_id.0, props, reactions));
        let mut committed = shared.empty_controller();
        let (voter_log, snapshot) =
            read_snapshot(&mut committed, &folder, &log).map_err(&failed)?;
        let health = dir.map(|dir| Arc::clone(dir.health())).unwrap_or_default();
        let mut journal = Journal::new(log, folder.clone(), snapshot, health);
        journal.begin_at_snapshot().map_err(|error| failed(error.to_string()))?;
        // The quorum counts what is here as stored; a crash may have left it in the page cache.
        journal.sync().map_err(|error| failed(error.to_string()))?;
        let voter_log = read_voters(voter_log, &journal).map_err(&failed)?;
        shared.publish_first(committed.publish().image);

        let clock = Clock::new();
        let mut effects = Vec::new();
        let start = QuorumStart {
            node_id: config.node_id.0,
            directory_id,
            cluster_id: identity.cluster_id.clone(),
            can_vote: config.roles.controller,
            listeners: me.endpoints,
            bootstrap: config.quorum.bootstrap_servers.clone(),
            static_voters: static_voters(config),
            state: read_state(&folder).map_err(&failed)?,
            voter_log,
            timeouts: timeouts(config),
            auto_join: config.quorum.auto_join,
            seed,
            now_ms: clock.now(),
        };
        let quorum = Quorum::start(start, &journal, &mut effects)
            .map_err(|error| failed(error.to_string()))?;

        let metadata = &config.metadata_log;
        let interval = metadata.max_snapshot_interval_ms.unwrap_or(0);
        let request_timeout = millis(config.quorum.request_timeout_ms);
        let transport = Transport::new(
            runtime.clone(),
            inbox.clone(),
            ConnectionOptions {
                client_id: format!("raft-client-{}", config.node_id.0),
                connect_timeout: request_timeout,
                request_timeout,
                security: Arc::clone(&links.to_controllers),
            },
        );
        let mut driver = Driver::new(DriverParts {
            journal,
            quorum,
            committed,
            policy: SnapshotPolicy::new(
                metadata.max_record_bytes_between_snapshots,
                i64::try_from(interval).unwrap_or(i64::MAX),
            ),
            shared: Arc::clone(&shared),
            transport,
            bootstrap: read_bootstrap(&root).map_err(&failed)?,
            clock,
            settings: driver_settings(config),
        });
        driver.begin(effects).map_err(|error| failed(format!("it cannot be written: {error}")))?;
        std::thread::Builder::new()
            .name("metadata".to_owned())
            .spawn(move || driver.run(&arrivals))?;
        Ok(Self { shared, inbox, reactions: Mutex::new(Some(to_react)), lost: Mutex::default() })
    }
}

fn driver_settings(config: &BrokerConfig) -> DriverSettings {
    let cluster = &config.cluster;
    let check_interval_ms = cluster.leader_imbalance_check_interval_s * 1000;
    DriverSettings {
        node_id: config.node_id.0,
        bootstrap: BootstrapSettings { min_insync_replicas: config.topic.min_insync_replicas },
        offsets_replication_factor: config.offsets.topic_replication_factor,
        transactions_replication_factor: config.transactions.topic_replication_factor,
        share_state_replication_factor: config.share_coordinator.topic_replication_factor,
        idle_interval_ms: Some(config.metadata_log.max_idle_interval_ms).filter(|ms| *ms > 0),
        token_check_interval_ms: (config.tokens.secret_key.is_some())
            .then_some(config.tokens.expiry_check_interval_ms),
        retention: Retention {
            bytes: config.metadata_log.max_retention_bytes,
            ms: config.metadata_log.max_retention_ms,
        },
        sessions: SessionSettings {
            session_timeout_ms: cluster.session_timeout_ms,
            leader_imbalance_check_interval_ms: cluster
                .auto_leader_rebalance
                .then_some(check_interval_ms),
            unclean_election_interval_ms: cluster.unclean_election_interval_ms,
        },
    }
}

fn timeouts(config: &BrokerConfig) -> QuorumTimeouts {
    let quorum = &config.quorum;
    QuorumTimeouts {
        election_timeout_ms: quorum.election_timeout_ms,
        fetch_timeout_ms: quorum.fetch_timeout_ms,
        election_backoff_max_ms: quorum.election_backoff_max_ms,
        request_timeout_ms: quorum.request_timeout_ms,
        fetch_max_wait_ms: FETCH_MAX_WAIT_MS,
        fetch_max_bytes: quorum.fetch_max_bytes,
    }
}

/// This node as a voter.
fn voter(config: &BrokerConfig, directory_id: Uuid) -> Voter {
    let endpoints = config.listeners.advertised_controller.iter().map(|endpoint| VoterEndpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    });
    Voter { id: config.node_id.0, directory_id, endpoints: endpoints.collect() }
}

/// The voters of `controller.quorum.voters`, which are known by their ids alone.
fn static_voters(config: &BrokerConfig) -> Vec<Voter> {
    let name = config.listeners.controller_names.first().cloned().unwrap_or_default();
    let voter = |voter: &naru_model::config::Voter| Voter {
        id: voter.id.0,
        directory_id: Uuid::ZERO,
        endpoints: vec![VoterEndpoint {
            name: name.clone(),
            host: voter.host.clone(),
            port: voter.port,
        }],
    };
    config.quorum.voters.iter().map(voter).collect()
}

/// Makes what `kafka-storage format` makes; `alone` is the only voter of a quorum that can grow.
fn format(root: &Path, folder: &Folder, alone: Option<&Voter>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bootstrap = root.join(BOOTSTRAP);
    if !bootstrap.exists() {
        let bytes = bootstrap_checkpoint(now()).map_err(|error| text(&error))?;
        replace(&bootstrap, &bytes).map_err(|error| text(&error))?;
    }
    fs::create_dir_all(&folder.0).map_err(|error| text(&error))?;
    if let Some(me) = alone {
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
        tail_bytes: TAIL_BYTES,
        recovery_point: None,
        log_start: None,
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

/// Replays the newest snapshot. What stands behind it in the log is replayed when it is known
/// to be committed.
fn read_snapshot(
    controller: &mut Controller,
    folder: &Folder,
    log: &Log,
) -> Result<(VoterLog, Option<SnapshotId>), String> {
    let mut voters = VoterLog::new();
    let Some((id, records)) = newest_whole_snapshot(folder, log)? else {
        return Ok((voters, None));
    };
    records.control.iter().for_each(|record| voters.read_snapshot(id.end_offset, record));
    replay_snapshot(controller, id, records.metadata)
        .map_err(|reason| format!("snapshot {id}: {reason}"))?;
    Ok((voters, Some(id)))
}

/// Reads what the log says of the voters: that counts as soon as it is there.
fn read_voters(mut voters: VoterLog, journal: &Journal) -> Result<VoterLog, String> {
    let read = journal.for_each(journal.start(), journal.end(), |item| {
        if let Item::Control(offset, record) = item {
            voters.read_log(offset, &record);
        }
        Ok(())
    });
    read.map_err(|error| error.to_string())?;
    Ok(voters)
}

/// The newest snapshot that can be read to its end and that the log goes on from. A damaged one
/// is passed over: the one before it and the log still say everything.
fn newest_whole_snapshot(
    folder: &Folder,
    log: &Log,
) -> Result<Option<(SnapshotId, LogRecords)>, String> {
    let mut damage = None;
    for (id, path) in folder.snapshots().map_err(|error| error.to_string())?.into_iter().rev() {
        if id.end_offset < log.log_start().0 {
            break;
        }
        let bytes = fs::read(&path).map_err(|error| error.to_string()).map(Bytes::from);
        match bytes.and_then(|bytes| LogRecords::of_snapshot(&bytes)) {
            Ok(records) => return Ok(Some((id, records))),
            Err(reason) => damage = Some(format!("{}: {reason}", path.display())),
        }
        tracing::warn!("a damaged snapshot is not used: {}", damage.as_deref().unwrap_or_default());
    }
    match damage {
        Some(damage) if log.log_start() > Offset::ZERO => Err(damage),
        _ => Ok(None),
    }
}

/// Makes the state that a snapshot stands for.
pub(super) fn replay_snapshot(
    controller: &mut Controller,
    id: SnapshotId,
    records: Vec<MetadataRecord>,
) -> Result<(), String> {
    for record in records {
        controller
            .replay(id.end_offset - 1, id.epoch, &record)
            .map_err(|error| error.to_string())?;
    }
    controller.advance_to(id.end_offset, id.epoch);
    Ok(())
}

/// What a file of batches holds.
#[derive(Debug, Default)]
pub(super) struct LogRecords {
    pub(super) control: Vec<ControlRecord>,
    pub(super) metadata: Vec<MetadataRecord>,
}

impl LogRecords {
    /// Reads a snapshot; one without its footer is not whole.
    pub(super) fn of_snapshot(bytes: &Bytes) -> Result<Self, String> {
        let records = Self::of(bytes)?;
        match records.control.last() {
            Some(ControlRecord::SnapshotFooter(_)) => Ok(records),
            _ => Err("it ends too early".to_owned()),
        }
    }

    fn of(bytes: &Bytes) -> Result<Self, String> {
        let mut all = Self::default();
        for item in naru_records::batches(bytes) {
            let (_, batch) = item.map_err(|error| error.to_string())?;
            let (_, records) = read_batch(&bytes.slice_ref(batch)).map_err(|e| e.to_string())?;
            for record in records {
                match record {
                    LogRecord::Metadata { record, .. } => all.metadata.push(record),
                    LogRecord::Control { record, .. } => all.control.push(record),
                }
            }
        }
        Ok(all)
    }
}

/// What a fresh cluster begins with: the file that formatting left, or the same.
fn read_bootstrap(root: &Path) -> Result<Vec<RecordAndVersion>, String> {
    let path = root.join(BOOTSTRAP);
    let bytes = match fs::read(&path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bootstrap_records()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let records =
        LogRecords::of(&bytes).map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok(records.metadata.into_iter().map(RecordAndVersion::newest).collect())
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
