//! What takes a change of a consumer group back.

use std::sync::Arc;

use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use crate::group::ClassicGroup;

/// A change of a consumer group in the making.
pub(crate) type Change<'g> = crate::change::Change<'g, ConsumerGroup>;

/// See the module.
#[derive(Debug)]
pub(crate) struct ConsumerUndo {
    pub(crate) group: Arc<str>,
    /// To be replayed in this order.
    pub(crate) facts: Vec<ConsumerFact>,
    /// The classic group that became the consumer group.
    pub(crate) classic: Option<Box<ClassicGroup>>,
    /// The consumer group has ended; what has taken its place has to go.
    pub(crate) ended: bool,
}
