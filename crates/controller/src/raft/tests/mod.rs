mod changes;
mod elections;
mod harness;
mod replication;
mod sim;
