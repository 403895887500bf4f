//! What kind of run it is: most of it follows from the seed.

use crate::random::Random;

/// A fault in the program, made on purpose: the judge must notice each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A leader counts what it has not synced.
    LeaderCountsUnsynced,
    /// A leader takes what it sends for what the follower has.
    LeaderCountsUnfetched,
    /// A follower fetches on from what it has not synced.
    FollowerPromisesUnsynced,
    /// A follower keeps what its leader never had.
    SkipTruncation,
    /// A producer is answered before the high watermark has passed its batch.
    AckBeforeHighWatermark,
    /// A consumer reads up to the log end.
    ReadUncommitted,
    /// The controller elects a leader outside the ISR.
    LeaderOutsideIsr,
    /// A voter forgets epoch and vote when it restarts.
    ForgetVote,
    /// A voter says that it has synced without doing it.
    VoterSkipsSync,
    /// A voter does not cut what its leader does not have.
    VoterSkipsTruncation,
    /// A leader goes on taking batches after it was told to follow.
    AppendWithoutLeading,
    /// A coordinator answers although it has heard of nobody for long.
    CoordinatorWithoutLease,
    /// A coordinator answers with what it has read, committed or not.
    CoordinatorReadsUncommitted,
    /// A broker keeps the replicas of topics that are deleted.
    KeepDeletedTopics,
    /// A follower serves consumers up to its log end.
    FollowerServesUncommitted,
    /// A transaction coordinator takes its markers for written once it has sent them.
    MarkersSentOnce,
    /// Readers of committed records read up to the high watermark.
    ReadUnstable,
    /// Readers of committed records are not told what was aborted.
    AbortedNotTold,
    /// A transaction coordinator takes every producer for the current one.
    ZombiesNotFenced,
}

impl Mutation {
    /// Whether it shows only when several things go wrong in a row: hundreds of seeds may pass.
    pub fn is_rare(self) -> bool {
        matches!(self, Self::CoordinatorWithoutLease | Self::CoordinatorReadsUncommitted)
    }

    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::LeaderCountsUnsynced,
        Self::LeaderCountsUnfetched,
        Self::FollowerPromisesUnsynced,
        Self::SkipTruncation,
        Self::AckBeforeHighWatermark,
        Self::ReadUncommitted,
        Self::LeaderOutsideIsr,
        Self::ForgetVote,
        Self::VoterSkipsSync,
        Self::VoterSkipsTruncation,
        Self::AppendWithoutLeading,
        Self::CoordinatorWithoutLease,
        Self::CoordinatorReadsUncommitted,
        Self::KeepDeletedTopics,
        Self::FollowerServesUncommitted,
        Self::MarkersSentOnce,
        Self::ReadUnstable,
        Self::AbortedNotTold,
        Self::ZombiesNotFenced,
    ];
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything random comes from.
    pub seed: u64,
    /// Nodes; each is controller and broker.
    pub nodes: i32,
    /// The first so many nodes vote.
    pub voters: i32,
    /// Whether voters stand in the log (kraft.version 1).
    pub dynamic: bool,
    /// `naru.durability=fsync`: power may fail. Otherwise processes are killed only.
    pub fsync: bool,
    /// Partitions of the first topic.
    pub partitions: i32,
    /// Of the first topic.
    pub replication_factor: i16,
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
    /// Idempotent producers.
    pub producers: i32,
    /// Longest delay of the network, when nothing is wrong.
    pub delay_max_ms: i64,
    /// Longest sync of the disk.
    pub sync_max_ms: i64,
    /// `segment.bytes` of topics and of the metadata log.
    pub segment_bytes: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub snapshot_bytes: u64,
    /// How long faults happen.
    pub storm_ms: i64,
    /// How long everything may take to come together afterwards.
    pub calm_ms: i64,
    /// Milliseconds between faults, at most.
    pub fault_pause_max_ms: i64,
    /// The fault in the program, for tests of the judge.
    pub mutation: Option<Mutation>,
    /// Whether lines of the trace are kept.
    pub keeps_lines: bool,
}

impl Settings {
    /// The run of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xC0FF_EE00);
        let nodes = [3, 3, 3, 4, 5][random.below(5)];
        let dynamic = random.percent(60);
        let voters = if nodes > 3 || random.percent(80) { 3 } else { nodes };
        let replication_factor = [3, 3, 3, 3, 3, 2, 1][random.below(7)];
        Self {
            seed,
            nodes,
            voters,
            dynamic,
            fsync: random.percent(70),
            partitions: [1, 2, 3][random.below(3)],
            replication_factor,
            min_insync_replicas: [1, 2, 2][random.below(3)],
            producers: [1, 2, 3][random.below(3)],
            delay_max_ms: [2, 5, 30][random.below(3)],
            sync_max_ms: [2, 10, 40][random.below(3)],
            segment_bytes: [1 << 20, 4096, 1500][random.below(3)],
            snapshot_bytes: [1 << 20, 3000, 1500][random.below(3)],
            storm_ms: 15_000,
            calm_ms: 60_000,
            fault_pause_max_ms: [500, 1500, 3000][random.below(3)],
            mutation: None,
            keeps_lines: false,
        }
    }

    /// Whether the program has this fault.
    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// `election_timeout` etc. are Kafka's defaults; what would make runs long is shorter.
pub(crate) mod times {
    /// `broker.session.timeout.ms`.
    pub(crate) const SESSION_MS: i64 = 3000;
    /// `broker.heartbeat.interval.ms`.
    pub(crate) const HEARTBEAT_MS: i64 = 700;
    /// `controller.socket.timeout.ms`.
    pub(crate) const CONTROLLER_TIMEOUT_MS: i64 = 4000;
    /// `replica.lag.time.max.ms`.
    pub(crate) const LAG_MAX_MS: i64 = 3000;
    /// `replica.socket.timeout.ms`.
    pub(crate) const REPLICA_TIMEOUT_MS: i64 = 4000;
    /// `replica.fetch.wait.max.ms`.
    pub(crate) const FETCH_WAIT_MS: i64 = 500;
    /// `replica.fetch.backoff.ms`.
    pub(crate) const FETCH_BACKOFF_MS: i64 = 500;
    /// `request.timeout.ms` of the clients.
    pub(crate) const CLIENT_TIMEOUT_MS: i64 = 3000;
    /// `transaction.timeout.ms` of the producers.
    pub(crate) const TRANSACTION_TIMEOUT_MS: i32 = 2500;
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub(crate) const TRANSACTION_ABORT_INTERVAL_MS: i64 = 1000;
    /// `request.timeout.ms` of the brokers.
    pub(crate) const BROKER_TIMEOUT_MS: i64 = 2000;
    /// `controller.quorum.request.timeout.ms`.
    pub(crate) const QUORUM_TIMEOUT_MS: i64 = 2000;
    /// `leader.imbalance.check.interval.seconds`, as milliseconds.
    pub(crate) const BALANCE_MS: i64 = 5000;
}
