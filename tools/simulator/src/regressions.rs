//! Seeds that have found something, each with what it was. A seed stands for the run it makes
//! today: when the simulator changes, its seeds make other runs, and most of these then show only
//! that they pass.

/// Seed, and what it found.
pub const REGRESSIONS: &[(u64, &str)] = &[
    (
        79,
        "a starting broker reacted to metadata older than what it had opened: it led in an old epoch",
    ),
    (734, "the same, and its log was dropped because it had once been moved away"),
    (863, "the same"),
    (1843, "the same"),
    (230, "sessions measured by the wall clock: one set back kept a dead broker in the ISR"),
    (308, "the same"),
    (
        1976,
        "a trimmed metadata log told a wrong end of an epoch before it: a node kept what differed",
    ),
    (
        1775,
        "after a restart a trimmed metadata log began at 0 again, without epochs: a node got stuck",
    ),
    (
        704,
        "a decision whose writing ended the leadership was answered when other records were committed",
    ),
    (9554, "a torn leader-epoch-checkpoint, its last number short of a digit, was believed"),
    (10324, "an epoch that was led without records kept a replica from following for ever"),
    (
        1786,
        "who begins to lead when its epoch is over may lack what was committed since: the judge was wrong",
    ),
    (
        2785,
        "a replica that was moved away and had not heard of it was compared: the judge was wrong",
    ),
    (
        23658,
        "two proposals for one partition in one request: the second took the answer of the first for its own, and waited for ever",
    ),
    (
        26488,
        "who begins to lead late may lack what a later leader has committed: the judge was wrong",
    ),
    (23129, "a partition whose log could not be opened on a full disk was never tried again"),
    (120, "a batch that was refused, not acknowledged, and lost: the judge was wrong"),
    (626, "the same"),
    (23, "a client that went back to an earlier leader: the judge was wrong"),
    (
        300546,
        "a coordinator that had not heard of its successor yet told an older offset: the judge was wrong",
    ),
];
