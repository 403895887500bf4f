//! What has happened in a run, counted.

/// How much has happened: a run in which nothing happens proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// Leaders of the quorum.
    pub quorum_leaders: u64,
    /// Leaders of partitions.
    pub partition_leaders: u64,
    /// Logs cut, of partitions and of metadata.
    pub cuts: u64,
    /// Snapshots that replaced a metadata log.
    pub snapshots: u64,
    /// Batches acknowledged.
    pub acked: u64,
    /// Batches sent again that leaders had forgotten to have.
    pub forgotten: u64,
    /// Records read by consumers.
    pub read: u64,
    /// Records committed in partitions.
    pub committed: u64,
    /// Processes that ended badly.
    pub crashes: u64,
    /// ISR changes and elections that metadata holds.
    pub partition_changes: u64,
    /// Commits of offsets that were acknowledged.
    pub offsets_committed: u64,
    /// Committed offsets that were looked up.
    pub offsets_looked_up: u64,
    /// Of these, from a broker whose place another had just taken.
    pub stale_offsets: u64,
    /// Topics that were deleted.
    pub topics_deleted: u64,
    /// Records that consumers read from followers.
    pub read_from_followers: u64,
    /// Transactions whose commit was acknowledged.
    pub txns_committed: u64,
    /// Transactions whose abort was.
    pub txns_aborted: u64,
    /// Transactions whose producers never heard what became of them, or had given them up.
    pub txns_left: u64,
    /// Producers that were told that another one has taken their place.
    pub txns_fenced: u64,
    /// Records of aborted transactions that readers of committed records have passed over.
    pub skipped: u64,
    /// Offsets of transactions that were looked up.
    pub txn_offsets: u64,
    /// Transactions that an old protocol could not protect from what came late.
    pub txns_excused: u64,
}

impl std::ops::AddAssign for Met {
    fn add_assign(&mut self, other: Self) {
        self.quorum_leaders += other.quorum_leaders;
        self.partition_leaders += other.partition_leaders;
        self.cuts += other.cuts;
        self.snapshots += other.snapshots;
        self.acked += other.acked;
        self.forgotten += other.forgotten;
        self.read += other.read;
        self.committed += other.committed;
        self.crashes += other.crashes;
        self.partition_changes += other.partition_changes;
        self.offsets_committed += other.offsets_committed;
        self.offsets_looked_up += other.offsets_looked_up;
        self.stale_offsets += other.stale_offsets;
        self.topics_deleted += other.topics_deleted;
        self.read_from_followers += other.read_from_followers;
        self.txns_committed += other.txns_committed;
        self.txns_aborted += other.txns_aborted;
        self.txns_left += other.txns_left;
        self.txns_fenced += other.txns_fenced;
        self.skipped += other.skipped;
        self.txns_excused += other.txns_excused;
        self.txn_offsets += other.txn_offsets;
    }
}
