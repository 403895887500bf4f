//! A cluster in which there is every topic.

use std::sync::Arc;

use naru_coordinators::{TopicInfo, Topics, Viewer};
use naru_model::Uuid;

/// Partitions of every topic.
const PARTITIONS: i32 = 3;

/// See the module. A topic's id is its name, as much of it as fits.
#[derive(Debug)]
pub(super) struct EveryTopic;

impl Topics for EveryTopic {
    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        let mut id = [0; 16];
        id.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
        Some(TopicInfo { id: Uuid(u128::from_be_bytes(id)), partitions: PARTITIONS })
    }

    fn name(&self, id: Uuid) -> Option<Arc<str>> {
        let bytes = id.0.to_be_bytes();
        let text = std::str::from_utf8(&bytes).ok()?;
        Some(text.trim_end_matches('\0').into())
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&str)) {
        ["t", "topic", "topic-1"].into_iter().for_each(visit);
    }

    fn may_describe(&self, _viewer: &Viewer, _name: &str) -> bool {
        true
    }

    fn racks(&self, _id: Uuid, partition: i32) -> Vec<String> {
        vec![format!("rack-{}", partition % 2), "rack".to_owned()]
    }

    fn version(&self) -> i64 {
        1
    }
}
