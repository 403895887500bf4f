//! Tests of the shard as a whole.
