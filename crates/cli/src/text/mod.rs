//! What tools print with: streams, tables, times, and the words of Kafka's errors.

mod base64;
mod java_errors;
mod java_order;
mod log_line;
mod streams;
mod table;
pub mod time;
mod wrap;

pub use base64::{base64, unbase64};
pub use java_errors::{class, exception, message};
pub use java_order::{
    java_copied_order, java_grown_order, java_hash_order, java_int_order, java_partition_order,
};
pub use log_line::{Level, log_line};
pub use streams::Streams;
pub use table::{Column, Table};
pub use wrap::justify;
