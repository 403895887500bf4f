//! What a client may do. Everything, until access control is served: the authorized-operations
//! fields then name every operation that a resource type has.

/// Bit mask of the operations on a topic: READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE,
/// DESCRIBE_CONFIGS, ALTER_CONFIGS.
pub(crate) const TOPIC_OPERATIONS: i32 = mask(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// Bit mask of the operations on a group: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
pub(crate) const GROUP_OPERATIONS: i32 = mask(&[3, 6, 8, 10, 11]);
/// Bit mask of the operations on the cluster: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION,
/// DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
pub(crate) const CLUSTER_OPERATIONS: i32 = mask(&[5, 7, 8, 9, 10, 11, 12]);

const fn mask(operations: &[u8]) -> i32 {
    let mut mask = 0;
    let mut index = 0;
    while index < operations.len() {
        mask |= 1 << operations[index];
        index += 1;
    }
    mask
}
