//! Tests of the transaction coordinator, through its public face.

mod bench;
mod ending;
mod golden;
mod initialising;
mod living;
mod properties;
