//! The tables of `kafka-share-groups`, byte for byte those of Apache Kafka. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use naru_client::TopicPartition;
use naru_client::admin::{GroupDescription, GroupListing, ShareOffset};

use crate::tools::consumer_groups::layout::widest;

/// One partition and where the group stands in it.
pub(super) type Row = (TopicPartition, Option<ShareOffset>);

/// Groups with their states.
pub(in crate::tools) fn list(groups: &[GroupListing]) -> String {
    let width = widest(15, groups.iter().map(|group| group.group.as_str()));
    let mut text = format!("{:width$} STATE\n", "GROUP");
    for group in groups {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:width$} {}", group.group, group.state);
    }
    text
}

/// Where a group stands.
pub(super) fn offsets(group: &str, rows: &[Row], verbose: bool) -> String {
    let width = widest(15, [group].into_iter());
    let topic = widest(15, rows.iter().map(|(key, _)| key.topic.as_str()));
    let mut text = String::new();
    let mut line = |cells: [&str; 6]| {
        let [g, t, p, epoch, start, lag] = cells;
        let epoch = if verbose { format!("{epoch:13} ") } else { String::new() };
        let _ = write!(text, "\n{g:width$} {t:topic$} {p:10} {epoch}{start:13} {lag}");
    };
    line(["GROUP", "TOPIC", "PARTITION", "LEADER-EPOCH", "START-OFFSET", "LAG"]);
    let dash = || "-".to_owned();
    for (key, offset) in rows {
        let epoch = offset.map_or_else(dash, |offset| offset.leader_epoch.to_string());
        let start = offset.map_or_else(dash, |offset| offset.start.to_string());
        let lag = offset.and_then(|offset| offset.lag);
        let lag = lag.map_or_else(dash, |lag| lag.to_string());
        line([group, &key.topic, &key.partition.to_string(), &epoch, &start, &lag]);
    }
    text.push('\n');
    text
}

/// A group's state.
pub(super) fn state(group: &GroupDescription, coordinator: &str, verbose: bool) -> String {
    let width = widest(15, [group.group.as_str()].into_iter());
    let coordinator = format!("{coordinator}  ({})", group.coordinator);
    let wide = widest(25, [coordinator.as_str()].into_iter());
    let members = group.members.len();
    let (name, place) = ("GROUP", "COORDINATOR (ID)");
    let mut text = String::new();
    if verbose {
        let epochs = group.epochs.map_or((0, 0), |epochs| (epochs.group, epochs.assignment));
        let _ = write!(
            text,
            "\n{name:width$} {place:wide$} {:15} {:12} {:17} #MEMBERS",
            "STATE", "GROUP-EPOCH", "ASSIGNMENT-EPOCH"
        );
        let (epoch, assignment) = (epochs.0.to_string(), epochs.1.to_string());
        let _ = write!(
            text,
            "\n{:width$} {coordinator:wide$} {:15} {epoch:12} {assignment:17} {members}",
            group.group, group.state
        );
    } else {
        let _ = write!(text, "\n{name:width$} {place:wide$} {:15} #MEMBERS", "STATE");
        let _ = write!(
            text,
            "\n{:width$} {coordinator:wide$} {:15} {members}",
            group.group, group.state
        );
    }
    text.push('\n');
    text
}

/// A group's members.
pub(super) fn members(group: &GroupDescription, verbose: bool) -> String {
    let mut members: Vec<_> = group.members.iter().collect();
    members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    let width = widest(15, [group.group.as_str()].into_iter());
    let id = widest(15, members.iter().map(|member| member.member_id.as_str()));
    let host = widest(15, members.iter().map(|member| member.host.as_str()));
    let client = widest(15, members.iter().map(|member| member.client_id.as_str()));
    let mut text = String::new();
    let mut line = |cells: [&str; 7]| {
        let [g, c, h, l, count, epoch, assignment] = cells;
        let epoch = if verbose { format!("{epoch:13} ") } else { String::new() };
        let _ = write!(
            text,
            "\n{g:width$} {c:id$} {h:host$} {l:client$} {count:12} {epoch}{assignment}"
        );
    };
    line([
        "GROUP",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "MEMBER-EPOCH",
        "ASSIGNMENT",
    ]);
    for member in members {
        line([
            &group.group,
            &member.member_id,
            &member.host,
            &member.client_id,
            &member.assignment.len().to_string(),
            &member.epoch.unwrap_or_default().to_string(),
            &assignment(&member.assignment),
        ]);
    }
    text.push('\n');
    text
}

/// Topics whose offsets were to be deleted, and what became of them.
pub(super) fn deleted(topics: &BTreeMap<String, Result<(), String>>) -> String {
    if topics.is_empty() {
        return "\n".to_owned();
    }
    let width = widest(15, topics.keys().map(String::as_str));
    let mut text = format!("\n{:width$} STATUS", "TOPIC");
    for (topic, outcome) in topics {
        let status = match outcome {
            Ok(()) => "Successful".to_owned(),
            Err(words) => format!("Error: {words}"),
        };
        let _ = write!(text, "\n{topic:width$} {status}");
    }
    text.push('\n');
    text
}

/// `orders:0,1,2;other:0`.
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let one = |(topic, mut indexes): (&str, Vec<i32>)| {
        indexes.sort_unstable();
        let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", indexes.join(","))
    };
    topics.into_iter().map(one).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use naru_client::admin::{GroupEpochs, GroupMember};

    use super::*;

    fn group(members: Vec<GroupMember>) -> GroupDescription {
        GroupDescription {
            group: "sg".into(),
            state: "Empty".into(),
            protocol_type: "share".into(),
            assignor: "simple".into(),
            coordinator: 3,
            epochs: Some(GroupEpochs { group: 4, assignment: 3 }),
            members,
        }
    }

    #[test]
    fn tables_look_as_apache_kafka_prints_them() {
        let listing = GroupListing {
            group: "sg".into(),
            protocol_type: "share".into(),
            state: "Empty".into(),
            group_type: "share".into(),
        };
        assert_eq!(list(&[listing]), "GROUP           STATE\nsg              Empty\n");
        let rows = [
            (TopicPartition::new("orders", 0), None),
            (
                TopicPartition::new("orders", 1),
                Some(ShareOffset { start: 5, leader_epoch: 0, lag: Some(2) }),
            ),
        ];
        let expect = "\n\
GROUP           TOPIC           PARTITION  START-OFFSET  LAG\n\
sg              orders          0          -             -\n\
sg              orders          1          5             2\n";
        assert_eq!(offsets("sg", &rows, false), expect);
        let expect = "\n\
GROUP           TOPIC           PARTITION  LEADER-EPOCH  START-OFFSET  LAG\n\
sg              orders          1          0             5             2\n";
        assert_eq!(offsets("sg", &rows[1..], true), expect);
        let expect = "\n\
GROUP           COORDINATOR (ID)          STATE           #MEMBERS\n\
sg              127.0.0.1:23503  (3)      Empty           0\n";
        assert_eq!(state(&group(Vec::new()), "127.0.0.1:23503", false), expect);
    }

    #[test]
    fn members_are_shown_with_what_they_have() {
        let member = GroupMember {
            member_id: "m1".into(),
            instance_id: None,
            client_id: "c".into(),
            host: "/127.0.0.1".into(),
            assignment: vec![TopicPartition::new("orders", 1), TopicPartition::new("orders", 0)],
            epoch: Some(4),
            target: None,
        };
        let expect = "\n\
GROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS  MEMBER-EPOCH  ASSIGNMENT\n\
sg              m1              /127.0.0.1      c               2            4             orders:0,1\n";
        assert_eq!(members(&group(vec![member]), true), expect);
    }
}
