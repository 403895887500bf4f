//! Which partitions `--topic orders:0,1` and `--all-topics` mean.

use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::Failure;

/// Reads `topic:0,1`; none if no partitions are named.
pub(in crate::tools) fn parse_partitions(
    text: &str,
) -> Result<Option<Vec<TopicPartition>>, Failure> {
    let Some((topic, indexes)) = text.split_once(':') else { return Ok(None) };
    let partitions = indexes.split(',').map(|index| {
        let index = index.trim();
        index.parse().map(|index| TopicPartition::new(topic, index)).map_err(|_| {
            Failure::Usage(format!("Invalid partition '{index}' specified in topic arg '{text}''"))
        })
    });
    partitions.collect::<Result<Vec<_>, _>>().map(Some)
}

/// Every partition of a topic.
pub(in crate::tools) async fn partitions_of(
    admin: &Admin,
    topic: &str,
) -> Result<Vec<TopicPartition>, Error> {
    let described = admin.describe_topics(&[topic.to_owned()]).await?;
    let (_, outcome) =
        described.into_iter().next().ok_or(Error::code_only(ErrorCode::UnknownTopicOrPartition))?;
    let partitions = outcome?.partitions.into_iter();
    Ok(partitions.map(|p| TopicPartition::new(topic, p.index)).collect())
}
