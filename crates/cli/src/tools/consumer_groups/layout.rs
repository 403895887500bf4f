//! The tables of `--describe`, byte for byte those of Apache Kafka. Pure but for `tell_state`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use naru_client::TopicPartition;
use naru_client::admin::GroupDescription;

use super::collect::OffsetRow;
use super::print_error;
use crate::text::Streams;

/// Says what is noteworthy about a group's state; whether there are rows worth showing.
pub(super) fn tell_state(group: &str, state: &str, rows: usize, streams: &mut Streams) -> bool {
    match state {
        "Dead" => print_error(&format!("Consumer group '{group}' does not exist."), streams),
        "Empty" => streams.error(format!("\nConsumer group '{group}' has no active members.")),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            streams.error(format!("\nWarning: Consumer group '{group}' is rebalancing."));
        }
        _ => {}
    }
    state != "Dead" && rows > 0
}

/// As wide as the widest cell.
pub(in crate::tools) fn widest<'a>(least: usize, cells: impl Iterator<Item = &'a str>) -> usize {
    cells.map(str::len).max().unwrap_or(0).max(least)
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Committed offsets and lag.
pub(super) fn offsets(rows: &[OffsetRow], verbose: bool) -> String {
    let group = widest(15, rows.iter().map(|row| row.group.as_str()));
    let topic = widest(15, rows.iter().map(|row| row.topic.as_str()));
    let consumer = widest(15, rows.iter().map(|row| row.consumer_id.as_str()));
    let host = widest(15, rows.iter().map(|row| row.host.as_str()));
    let mut text = String::new();
    let mut line = |cells: [&str; 10]| {
        let [g, t, p, epoch, current, end, lag, c, h, client] = cells;
        let epoch = if verbose { format!("{epoch:15} ") } else { String::new() };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{g:group$} {t:topic$} {p:10} {epoch}{current:15} {end:15} {lag:15} {c:consumer$} \
             {h:host$} {client}"
        );
    };
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    for row in rows {
        line([
            &row.group,
            &row.topic,
            &row.partition.to_string(),
            &or_dash(row.leader_epoch),
            &or_dash(row.current),
            &or_dash(row.end),
            &or_dash(row.lag()),
            &row.consumer_id,
            &row.host,
            &row.client_id,
        ]);
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
    if topics.is_empty() {
        return "-".to_owned();
    }
    let one = |(topic, mut indexes): (&str, Vec<i32>)| {
        indexes.sort_unstable();
        let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", indexes.join(","))
    };
    topics.into_iter().map(one).collect::<Vec<_>>().join(";")
}

/// The members; the columns are as wide as needed only if there is something worth showing.
pub(super) fn members(group: &GroupDescription, worth: bool, verbose: bool) -> String {
    let shown = if worth { group.members.as_slice() } else { &[] };
    let static_members = shown.iter().any(|member| member.instance_id.is_some());
    let shares: Vec<String> = group.members.iter().map(|m| assignment(&m.assignment)).collect();
    let measured = if worth { shares.as_slice() } else { &[] };
    let g = widest(15, shown.iter().map(|_| group.group.as_str()));
    let c = widest(15, shown.iter().map(|member| member.member_id.as_str()));
    let i = widest(17, shown.iter().filter_map(|member| member.instance_id.as_deref()));
    let h = widest(15, shown.iter().map(|member| member.host.as_str()));
    let client = widest(15, shown.iter().map(|member| member.client_id.as_str()));
    let current = widest(20, measured.iter().map(String::as_str));
    let targets: Vec<String> = group
        .members
        .iter()
        .map(|m| m.target.as_ref().map_or_else(|| "-".to_owned(), |target| assignment(target)))
        .collect();
    let measured = if worth { targets.as_slice() } else { &[] };
    let target_width = widest(20, measured.iter().map(String::as_str));
    let target_epoch = or_dash(group.epochs.map(|epochs| epochs.assignment));
    let mut text = String::from("\n");
    let mut line = |cells: [&str; 10]| {
        let [group, id, instance, host, client_id, count, epoch, share, at, target] = cells;
        let instance = if static_members { format!("{instance:i$} ") } else { String::new() };
        // Writing to a string cannot fail.
        let _ =
            write!(text, "{group:g$} {id:c$} {instance}{host:h$} {client_id:client$} {count:15} ");
        if verbose {
            let _ = write!(text, "{epoch:15} {share:current$} {at:15} {target:target_width$}");
        }
        text.push('\n');
    };
    line([
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "CURRENT-EPOCH",
        "CURRENT-ASSIGNMENT",
        "TARGET-EPOCH",
        "TARGET-ASSIGNMENT",
    ]);
    for ((member, share), target) in group.members.iter().zip(&shares).zip(&targets) {
        line([
            &group.group,
            &member.member_id,
            member.instance_id.as_deref().unwrap_or_default(),
            &member.host,
            &member.client_id,
            &member.assignment.len().to_string(),
            &or_dash(member.epoch),
            share,
            &target_epoch,
            target,
        ]);
    }
    text
}

/// The state.
pub(super) fn state(group: &GroupDescription, coordinator: &str, verbose: bool) -> String {
    let coordinator = format!("{coordinator}  ({})", group.coordinator);
    let (g, c) = (group.group.len().max(15), coordinator.len().max(25));
    let strategy = if group.assignor.is_empty() { "-" } else { &group.assignor };
    let mut text = String::new();
    let mut line = |cells: [&str; 7]| {
        let [group, coordinator, strategy, state, epoch, target, members] = cells;
        let epochs = if verbose { format!("{epoch:15} {target:25} ") } else { String::new() };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{group:g$} {coordinator:c$} {strategy:20} {state:20} {epochs}{members}"
        );
    };
    line([
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ]);
    let count = group.members.len().to_string();
    let epoch = or_dash(group.epochs.map(|epochs| epochs.group));
    let target = or_dash(group.epochs.map(|epochs| epochs.assignment));
    line([&group.group, &coordinator, strategy, &group.state, &epoch, &target, &count]);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_client::admin::GroupMember;

    const ID: &str = "console-consumer-7d737d38-dd28-4613-9217-4996f6ad5656";

    fn group(members: Vec<GroupMember>) -> GroupDescription {
        GroupDescription {
            group: "live".to_owned(),
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            assignor: "range".to_owned(),
            coordinator: 3,
            epochs: None,
            members,
        }
    }

    fn member() -> GroupMember {
        GroupMember {
            member_id: ID.to_owned(),
            instance_id: None,
            client_id: "console-consumer".to_owned(),
            host: "/127.0.0.1".to_owned(),
            assignment: (0..3).map(|p| TopicPartition::new("orders", p)).collect(),
            epoch: None,
            target: None,
        }
    }

    #[test]
    fn offsets_look_as_apache_kafka_prints_them() {
        let row = |partition, epoch, consumer: &str| OffsetRow {
            group: "live".to_owned(),
            topic: "orders".to_owned(),
            partition,
            leader_epoch: epoch,
            current: Some(2),
            end: Some(3),
            consumer_id: consumer.to_owned(),
            host: "/127.0.0.1".to_owned(),
            client_id: "console-consumer".to_owned(),
        };
        let expect = "\n\
GROUP           TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID\n\
live            orders          0          0               2               3               1               console-consumer-7d737d38-dd28-4613-9217-4996f6ad5656 /127.0.0.1      console-consumer\n\
live            orders          1          -               2               3               1               console-consumer-7d737d38-dd28-4613-9217-4996f6ad5656 /127.0.0.1      console-consumer\n";
        assert_eq!(offsets(&[row(0, Some(0), ID), row(1, None, ID)], true), expect);
        let none = OffsetRow {
            current: None,
            consumer_id: "-".to_owned(),
            host: "-".to_owned(),
            client_id: "-".to_owned(),
            ..row(0, None, "")
        };
        let expect = "\n\
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID\n\
live            orders          0          -               3               -               -               -               -\n";
        assert_eq!(offsets(&[none], false), expect);
    }

    #[test]
    fn members_look_as_apache_kafka_prints_them() {
        let expect = "\n\
GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     \n\
live            console-consumer-7d737d38-dd28-4613-9217-4996f6ad5656 /127.0.0.1      console-consumer 3               \n";
        assert_eq!(members(&group(vec![member()]), true, false), expect);
        let expect = "\n\
GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   \n\
live            console-consumer-7d737d38-dd28-4613-9217-4996f6ad5656 /127.0.0.1      console-consumer 3               -               orders:0,1,2         -               -                   \n";
        assert_eq!(members(&group(vec![member()]), true, true), expect);
        let expect = "\n\
GROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n";
        assert_eq!(members(&group(vec![]), false, false), expect);
    }

    #[test]
    fn groups_of_the_consumer_protocol_show_their_epochs() {
        let epochs = Some(naru_client::admin::GroupEpochs { group: 3, assignment: 2 });
        let target = Some(vec![TopicPartition::new("orders", 0)]);
        let of_consumers = GroupDescription {
            epochs,
            ..group(vec![GroupMember { epoch: Some(2), target, ..member() }])
        };
        let expect = "\n\
GROUP           CONSUMER-ID                                           HOST            CLIENT-ID        #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   \n\
live            console-consumer-7d737d38-dd28-4613-9217-4996f6ad5656 /127.0.0.1      console-consumer 3               2               orders:0,1,2         2               orders:0            \n";
        assert_eq!(members(&of_consumers, true, true), expect);
        let expect = "\n\
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS\n\
live            127.0.0.1:23503  (3)      range                Stable               3               2                         1\n";
        assert_eq!(state(&of_consumers, "127.0.0.1:23503", true), expect);
    }

    #[test]
    fn states_look_as_apache_kafka_prints_them() {
        let expect = "\n\
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS\n\
live            127.0.0.1:23503  (3)      range                Stable               1\n";
        assert_eq!(state(&group(vec![member()]), "127.0.0.1:23503", false), expect);
        let expect = "\n\
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS\n\
live            127.0.0.1:23503  (3)      range                Stable               -               -                         1\n";
        assert_eq!(state(&group(vec![member()]), "127.0.0.1:23503", true), expect);
    }
}
