//! `--delete` and `--delete-offsets`.

use naru_client::{Admin, Error, TopicPartition};
use naru_model::ErrorCode;

use super::resolve::{parse_partitions, partitions_of};
use super::{Failure, groups as wanted_groups, print_error};
use crate::options::Parsed;
use crate::text::{Streams, exception, message};

pub(super) async fn groups(
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group in wanted_groups(p, admin).await? {
        match admin.delete_group(&group).await {
            Ok(()) => deleted.push(group),
            Err(error) => failed.push((group, error)),
        }
    }
    let list = |groups: &[String]| {
        groups.iter().map(|group| format!("'{group}'")).collect::<Vec<_>>().join(", ")
    };
    if failed.is_empty() {
        let list = list(&deleted);
        streams.line(format!("Deletion of requested consumer groups ({list}) was successful."));
        return Ok(());
    }
    print_error("Deletion of some consumer groups failed:", streams);
    for (group, error) in failed {
        let words = exception(&error);
        streams.line(format!("* Group '{group}' could not be deleted due to: {words}"));
    }
    if !deleted.is_empty() {
        let list = list(&deleted);
        streams.line(format!("\nThese consumer groups were deleted successfully: {list}"));
    }
    Ok(())
}

pub(super) async fn offsets(
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let group = p.one("group").map_err(|error| Failure::Usage(error.to_string()))?;
    let group = group.unwrap_or_default();
    let mut outcomes: Vec<(TopicPartition, Option<Error>)> = Vec::new();
    let mut wanted = Vec::new();
    for topic in p.all("topic") {
        match parse_partitions(topic)? {
            Some(partitions) => wanted.extend(partitions),
            None => match partitions_of(admin, topic).await {
                Ok(partitions) => wanted.extend(partitions),
                Err(error) => outcomes.push((TopicPartition::new(topic, -1), Some(error))),
            },
        }
    }
    let top = forget(admin, group, wanted, &mut outcomes).await;
    tell_all(group, top.as_ref(), outcomes, streams);
    Ok(())
}

/// Has a group forget its offsets of these partitions; the first error, if there is one.
pub(in crate::tools) async fn forget(
    admin: &Admin,
    group: &str,
    partitions: Vec<TopicPartition>,
    outcomes: &mut Vec<(TopicPartition, Option<Error>)>,
) -> Option<Error> {
    let mut first = None;
    match admin.delete_group_offsets(group, &partitions).await {
        Ok(answers) => {
            for (partition, outcome) in answers {
                let error = outcome.err();
                first = first.or_else(|| error.clone());
                outcomes.push((partition, error));
            }
        }
        Err(error) => {
            outcomes.extend(partitions.into_iter().map(|p| (p, Some(error.clone()))));
            first = Some(error);
        }
    }
    first
}

/// Says what became of it, in all and of each partition.
pub(in crate::tools) fn tell_all(
    group: &str,
    top: Option<&Error>,
    mut outcomes: Vec<(TopicPartition, Option<Error>)>,
    streams: &mut Streams,
) {
    tell(group, top, streams);
    outcomes.sort_by_key(|(partition, _)| format!("{}{}", partition.topic, partition.partition));
    streams.text(layout(&outcomes));
}

fn tell(group: &str, top: Option<&Error>, streams: &mut Streams) {
    let Some(error) = top else {
        streams.line(format!("Request succeeded for deleting offsets from group {group}."));
        return;
    };
    match error.code() {
        ErrorCode::InvalidGroupId
        | ErrorCode::GroupIdNotFound
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::NonEmptyGroup => print_error(&message(error), streams),
        ErrorCode::GroupSubscribedToTopic
        | ErrorCode::TopicAuthorizationFailed
        | ErrorCode::UnknownTopicOrPartition => {
            let text = "Encountered some partition-level error, see the follow-up details.";
            print_error(text, streams);
        }
        code => print_error(&format!("Encountered some unknown error: {}", code.name()), streams),
    }
}

fn layout(outcomes: &[(TopicPartition, Option<Error>)]) -> String {
    let width = outcomes.iter().map(|(p, _)| p.topic.len()).max().unwrap_or(0).max(15);
    let mut text = format!("\n{:width$} {:10} {:15}", "TOPIC", "PARTITION", "STATUS");
    for (partition, error) in outcomes {
        let index = match partition.partition {
            index if index >= 0 => index.to_string(),
            _ => "-".to_owned(),
        };
        let status = match error {
            None => "Successful".to_owned(),
            Some(error) => format!("Error: {}", exception(error)),
        };
        text.push_str(&format!("\n{:width$} {index:10} {status:15}", partition.topic));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_offsets_look_as_apache_kafka_prints_them() {
        let expect = "\nTOPIC           PARTITION  STATUS         \n\
                      orders          0          Successful     \n";
        assert_eq!(layout(&[(TopicPartition::new("orders", 0), None)]), expect);
    }
}
