//! Deleting groups, what they have committed, and their internal topics.

use std::collections::BTreeMap;

use naru_client::admin::StreamsGroupDescription;
use naru_client::{Admin, Error, TopicPartition};

use super::{FACE, print_error, streams_groups, wanted};
use crate::options::Parsed;
use crate::text::{Streams, exception};
use crate::tools::consumer_groups::Failure;
use crate::tools::consumer_groups::delete::{forget, tell_all};
use crate::tools::consumer_groups::resolve::{parse_partitions, partitions_of};

pub(super) async fn groups(
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let listed = streams_groups(admin, &[]).await?;
    let (mut able, mut failed) = (Vec::new(), Vec::new());
    for name in wanted(p, admin).await? {
        let state = listed.iter().find(|group| group.group == name).map(|group| &*group.state);
        let not_empty = "org.apache.kafka.common.errors.GroupNotEmptyException: Streams group";
        match state {
            Some("Empty") => able.push(name),
            None => failed.push((
                name.clone(),
                format!(
                    "java.lang.IllegalArgumentException: Group '{name}' does not exist or is not \
                     a streams group."
                ),
            )),
            Some(_) => failed.push((name.clone(), format!("{not_empty} '{name}' is not EMPTY."))),
        }
    }
    let mut internal = BTreeMap::new();
    if p.has("delete-all-internal-topics") {
        // The topology goes with the group.
        for name in &able {
            let described = admin.describe_streams_group(name).await?;
            internal.insert(name.clone(), internal_topics(&described, streams));
        }
    }
    let mut deleted = Vec::new();
    for name in able {
        match admin.delete_group(&name).await {
            Ok(()) => deleted.push(name),
            Err(error) => failed.push((name, exception(&error))),
        }
    }
    internal.retain(|name, topics| deleted.contains(name) && !topics.is_empty());
    let problems = delete_topics_of(admin, &internal, streams).await;
    let names = deleted.join("', '");
    if failed.is_empty() {
        streams.line(format!("Deletion of requested streams groups ('{names}') was successful."));
    } else {
        print_error("Deletion of some streams groups failed:", streams);
        for (name, words) in failed {
            streams.line(format!("* Group '{name}' could not be deleted due to: {words}"));
        }
        if !deleted.is_empty() {
            streams.line(format!("\nThese streams groups were deleted successfully: '{names}'."));
        }
    }
    tell_topics(&internal, &problems, streams);
    Ok(())
}

/// Deletes the internal topics of groups; of each group with a problem the first one.
async fn delete_topics_of(
    admin: &Admin,
    internal: &BTreeMap<String, Vec<String>>,
    streams: &mut Streams,
) -> BTreeMap<String, Error> {
    let mut problems = BTreeMap::new();
    for (group, topics) in internal {
        let outcomes = match admin.delete_topics(topics).await {
            Ok(outcomes) => outcomes,
            Err(error) => topics.iter().map(|topic| (topic.clone(), Err(error.clone()))).collect(),
        };
        for (topic, outcome) in outcomes {
            if let Err(error) = outcome {
                streams.line(format!("Failed to delete internal topic: {topic}"));
                problems.entry(group.clone()).or_insert(error);
            }
        }
    }
    problems
}

fn tell_topics(
    internal: &BTreeMap<String, Vec<String>>,
    problems: &BTreeMap<String, Error>,
    streams: &mut Streams,
) {
    if internal.is_empty() {
        return;
    }
    if problems.is_empty() {
        let names: Vec<&str> = internal.keys().map(String::as_str).collect();
        let names = names.join("', '");
        streams.line(format!(
            "Deletion of associated internal topics of the streams groups ('{names}') was \
             successful."
        ));
        return;
    }
    streams.line("Deletion of some associated internal topics failed:");
    for (group, error) in problems {
        let words = exception(error);
        streams.line(format!(
            "* Internal topics of the streams group '{group}' could not be deleted due to: {words}"
        ));
    }
}

/// The topics that a group's topology has made, as far as their names say so.
pub(super) fn internal_topics(
    group: &StreamsGroupDescription,
    streams: &mut Streams,
) -> Vec<String> {
    let parts = group.subtopologies.iter().flatten();
    let sources: Vec<&String> = parts.clone().flat_map(|part| &part.source_topics).collect();
    let made =
        parts.flat_map(|part| part.repartition_source_topics.iter().chain(&part.changelog_topics));
    let mut found = Vec::new();
    for topic in made.filter(|topic| !sources.contains(topic)) {
        if is_inferred(topic, &group.group) {
            found.push(topic.clone());
        } else {
            let text = format!(
                "The internal topic '{topic}' is not inferred as internal and thus will not be \
                 deleted with the group '{}'.",
                group.group
            );
            print_error(&text, streams);
        }
    }
    found
}

/// Whether a name is one that Kafka Streams gives to its own topics.
fn is_inferred(topic: &str, group: &str) -> bool {
    let own = topic.strip_prefix(group).and_then(|rest| rest.strip_prefix('-'));
    let ends = [
        "-changelog",
        "-repartition",
        "-subscription-registration-topic",
        "-subscription-response-topic",
    ];
    own.is_some() && (ends.iter().any(|end| topic.ends_with(end)) || is_of_foreign_key(topic))
}

/// `...-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000006-topic`.
fn is_of_foreign_key(topic: &str) -> bool {
    let Some((before, number)) =
        topic.strip_suffix("-topic").and_then(|topic| topic.rsplit_once('-'))
    else {
        return false;
    };
    let kinds = ["REGISTRATION", "RESPONSE"];
    !number.is_empty()
        && number.bytes().all(|digit| digit.is_ascii_digit())
        && kinds
            .iter()
            .any(|kind| before.ends_with(&format!("-KTABLE-FK-JOIN-SUBSCRIPTION-{kind}")))
}

pub(super) async fn offsets(
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let group = FACE.one(p, "group", streams).unwrap_or_default().unwrap_or_default();
    let mut outcomes: Vec<(TopicPartition, Option<Error>)> = Vec::new();
    let mut named = Vec::new();
    if p.has("all-input-topics") {
        let read = admin.describe_streams_group(group).await?;
        let committed = admin.group_offsets(group, None).await?.into_iter();
        let partitions = committed.map(|(partition, _)| partition);
        named.extend(partitions.filter(|one| read.read_topics().any(|t| t == one.topic)));
    } else {
        for topic in p.all("input-topic") {
            match parse_partitions(topic)? {
                Some(partitions) => named.extend(partitions),
                None => match partitions_of(admin, topic).await {
                    Ok(partitions) => named.extend(partitions),
                    Err(error) => outcomes.push((TopicPartition::new(topic, -1), Some(error))),
                },
            }
        }
    }
    let top = match named.is_empty() {
        true => None,
        false => forget(admin, group, named, &mut outcomes).await,
    };
    tell_all(group, top.as_ref(), outcomes, streams);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_are_known_by_their_names() {
        let fk = "app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000006-topic";
        for topic in ["app-x-changelog", "app-x-repartition", fk] {
            assert!(is_inferred(topic, "app"), "{topic}");
        }
        for topic in ["other-x-changelog", "app-x", "app-KTABLE-FK-JOIN-SUBSCRIPTION-1-topic"] {
            assert!(!is_inferred(topic, "app"), "{topic}");
        }
    }
}
