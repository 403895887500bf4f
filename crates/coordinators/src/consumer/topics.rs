//! What the coordinator must know of the cluster's topics.

use std::fmt;
use std::sync::Arc;

use naru_model::Uuid;
use naru_security::Principal;

/// A topic as assignments need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has, numbered from 0.
    pub partitions: i32,
}

/// Who wants to see topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// Who is connected.
    pub principal: Principal,
    /// From which address.
    pub host: String,
}

/// The topics of the cluster at one moment. The shell hands a new one in when topics change.
pub trait Topics: fmt::Debug + Send + Sync {
    /// The topic of this name.
    fn by_name(&self, name: &str) -> Option<TopicInfo>;
    /// The name of a topic.
    fn name(&self, id: Uuid) -> Option<Arc<str>>;
    /// Calls `visit` with every name.
    fn for_each_name(&self, visit: &mut dyn FnMut(&str));
    /// Whether somebody may describe a topic.
    fn may_describe(&self, viewer: &Viewer, name: &str) -> bool;
    /// The racks of the brokers that hold a partition; those without a rack are left out.
    fn racks(&self, id: Uuid, partition: i32) -> Vec<String>;
    /// Where in the metadata log this is.
    fn version(&self) -> i64;
}

/// No topics, until the shell has handed some in.
#[derive(Debug, Clone, Copy)]
pub struct NoTopics;

impl Topics for NoTopics {
    fn by_name(&self, _: &str) -> Option<TopicInfo> {
        None
    }

    fn name(&self, _: Uuid) -> Option<Arc<str>> {
        None
    }

    fn for_each_name(&self, _: &mut dyn FnMut(&str)) {}

    fn may_describe(&self, _: &Viewer, _: &str) -> bool {
        false
    }

    fn racks(&self, _: Uuid, _: i32) -> Vec<String> {
        Vec::new()
    }

    fn version(&self) -> i64 {
        -1
    }
}
