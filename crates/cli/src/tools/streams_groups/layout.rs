//! The tables of `kafka-streams-groups`, byte for byte those of Apache Kafka. Pure.

use std::fmt::Write as _;

use naru_client::TopicPartition;
use naru_client::admin::{StreamsGroupDescription, StreamsMember};

use crate::tools::consumer_groups::layout::widest;
use crate::tools::consumer_groups::reset::Plan;

/// A partition that the group reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OffsetRow {
    pub(super) partition: TopicPartition,
    pub(super) current: Option<i64>,
    pub(super) leader_epoch: Option<i32>,
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Where a group stands.
pub(super) fn offsets(group: &str, rows: &[OffsetRow], verbose: bool) -> String {
    let width = group.len().max(15);
    let topic = widest(15, rows.iter().map(|row| row.partition.topic.as_str()));
    let mut text = String::new();
    let mut line = |cells: [&str; 7]| {
        let [g, t, p, current, epoch, end, lag] = cells;
        let _ = if verbose {
            writeln!(text, "{g:width$} {t:topic$} {p:10} {current:15} {epoch:15} {end:15} {lag:15}")
        } else {
            writeln!(text, "{g:width$} {t:topic$} {p:10} {lag}")
        };
    };
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LEADER-EPOCH",
        "LOG-END-OFFSET",
        "OFFSET-LAG",
    ]);
    for row in rows {
        let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        line([
            group,
            &row.partition.topic,
            &row.partition.partition.to_string(),
            &known(row.current.map(|offset| offset.to_string())),
            &known(row.leader_epoch.map(|epoch| epoch.to_string())),
            &row.end.to_string(),
            // Who has committed nothing has everything before it.
            &(row.end - row.current.unwrap_or(row.start)).to_string(),
        ]);
    }
    text
}

/// A group's state.
pub(super) fn state(group: &StreamsGroupDescription, coordinator: &str, verbose: bool) -> String {
    let width = group.group.len().max(15);
    let coordinator = format!("{coordinator} ({})", group.coordinator);
    let wide = coordinator.len().max(25);
    let members = group.members.len();
    let (name, place) = ("GROUP", "COORDINATOR (ID)");
    let (id, state) = (&group.group, &group.state);
    if verbose {
        let (epoch, target) = (group.epochs.group, group.epochs.assignment);
        format!(
            "{name:width$} {place:wide$} {:25} {:15} {:25} #MEMBERS\n\
             {id:width$} {coordinator:wide$} {state:25} {epoch:<15} {target:<25} {members}\n",
            "STATE", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"
        )
    } else {
        format!(
            "{name:width$} {place:wide$} {:25} #MEMBERS\n\
             {id:width$} {coordinator:wide$} {state:25} {members}\n",
            "STATE"
        )
    }
}

/// A group's members.
pub(super) fn members(group: &StreamsGroupDescription, verbose: bool) -> String {
    let of = |field: fn(&StreamsMember) -> &str| widest(15, group.members.iter().map(field));
    let width = group.group.len().max(15);
    let id = of(|member| &member.member_id);
    let process = of(|member| &member.process_id);
    let client = of(|member| &member.client_id);
    let mut text = String::new();
    let mut line = |cells: [&str; 9]| {
        let [g, target, topology, m, protocol, epoch, p, c, tasks] = cells;
        let _ = if verbose {
            writeln!(
                text,
                "{g:width$} {target:25} {topology:15}{m:id$} {protocol:15} {epoch:15} {p:process$} \
                 {c:client$} {tasks}"
            )
        } else {
            writeln!(text, "{g:width$} {m:id$} {p:process$} {c:client$} {tasks}")
        };
    };
    line([
        "GROUP",
        "TARGET-ASSIGNMENT-EPOCH",
        "TOPOLOGY-EPOCH",
        "MEMBER",
        "MEMBER-PROTOCOL",
        "MEMBER-EPOCH",
        "PROCESS",
        "CLIENT-ID",
        "ASSIGNMENTS",
    ]);
    for member in &group.members {
        line([
            &group.group,
            &group.epochs.assignment.to_string(),
            &member.topology_epoch.to_string(),
            &member.member_id,
            if member.classic { "classic" } else { "streams" },
            &member.epoch.to_string(),
            &member.process_id,
            &member.client_id,
            &tasks(member, verbose),
        ]);
    }
    text
}

/// `ACTIVE: 0:[0,1]; 1:[0]; ` and so on, with what it is to have in the end if `verbose`.
fn tasks(member: &StreamsMember, verbose: bool) -> String {
    let mut text = String::new();
    let targets = verbose.then_some(("TARGET-", &member.target));
    for (prefix, tasks) in [("", &member.assignment)].into_iter().chain(targets) {
        let kinds =
            [("ACTIVE", &tasks.active), ("STANDBY", &tasks.standby), ("WARMUP", &tasks.warmup)];
        for (kind, tasks) in kinds.into_iter().filter(|(_, tasks)| !tasks.is_empty()) {
            let _ = write!(text, "{prefix}{kind}: ");
            for (part, partitions) in tasks {
                let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                let _ = write!(text, "{part}:[{}]; ", partitions.join(","));
            }
        }
    }
    text
}

/// Where groups are to begin.
pub(super) fn plans(plans: &[(String, Plan)]) -> String {
    let mut text = String::new();
    if !plans.is_empty() {
        let (g, t, p, o) = ("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
        let _ = write!(text, "\n{g:30} {t:30} {p:10} {o:15}");
    }
    for (group, plan) in plans {
        for (TopicPartition { topic, partition }, offset) in plan {
            let _ = write!(text, "\n{group:30} {topic:30} {partition:<10} {offset:<15}");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use naru_client::admin::{GroupEpochs, Tasks};

    use super::*;

    fn group() -> StreamsGroupDescription {
        let tasks = Tasks {
            active: vec![("0".to_owned(), vec![0, 1]), ("1".to_owned(), vec![0, 1])],
            ..Tasks::default()
        };
        StreamsGroupDescription {
            group: "app2".to_owned(),
            state: "Stable".to_owned(),
            coordinator: 1,
            epochs: GroupEpochs { group: 3, assignment: 3 },
            subtopologies: None,
            members: vec![StreamsMember {
                member_id: "tZi3SUGsRImUm-ztTm6esw".to_owned(),
                client_id: "app2-c-StreamThread-1-consumer".to_owned(),
                process_id: "0c1215a8-ece9-4cc6-acd8-39e4ded4720e".to_owned(),
                epoch: 3,
                topology_epoch: 0,
                classic: false,
                assignment: tasks.clone(),
                target: tasks,
            }],
        }
    }

    /// As printed by Apache Kafka 4.3.1.
    #[test]
    fn members_look_as_apache_kafka_prints_them() {
        let expect = "\
GROUP           MEMBER                 PROCESS                              CLIENT-ID                      ASSIGNMENTS\n\
app2            tZi3SUGsRImUm-ztTm6esw 0c1215a8-ece9-4cc6-acd8-39e4ded4720e app2-c-StreamThread-1-consumer ACTIVE: 0:[0,1]; 1:[0,1]; \n";
        assert_eq!(members(&group(), false), expect);
        let expect = "\
GROUP           TARGET-ASSIGNMENT-EPOCH   TOPOLOGY-EPOCH MEMBER                 MEMBER-PROTOCOL MEMBER-EPOCH    PROCESS                              CLIENT-ID                      ASSIGNMENTS\n\
app2            3                         0              tZi3SUGsRImUm-ztTm6esw streams         3               0c1215a8-ece9-4cc6-acd8-39e4ded4720e app2-c-StreamThread-1-consumer ACTIVE: 0:[0,1]; 1:[0,1]; TARGET-ACTIVE: 0:[0,1]; 1:[0,1]; \n";
        assert_eq!(members(&group(), true), expect);
    }

    #[test]
    fn states_look_as_apache_kafka_prints_them() {
        let expect = "\
GROUP           COORDINATOR (ID)          STATE                     GROUP-EPOCH     TARGET-ASSIGNMENT-EPOCH   #MEMBERS\n\
app2            127.0.0.1:39592 (1)       Stable                    3               3                         1\n";
        assert_eq!(state(&group(), "127.0.0.1:39592", true), expect);
        let expect = "\
GROUP           COORDINATOR (ID)          STATE                     #MEMBERS\n\
app2            127.0.0.1:39592 (1)       Stable                    1\n";
        assert_eq!(state(&group(), "127.0.0.1:39592", false), expect);
    }

    #[test]
    fn offsets_look_as_apache_kafka_prints_them() {
        let row = |partition, current, start| OffsetRow {
            partition: TopicPartition::new("st-in", partition),
            current,
            leader_epoch: current.map(|_| 0),
            start,
            end: 3,
        };
        let rows = [row(0, Some(2), 0), row(1, None, 1)];
        let expect = "\
GROUP           TOPIC           PARTITION  OFFSET-LAG\n\
app2            st-in           0          1\n\
app2            st-in           1          2\n";
        assert_eq!(offsets("app2", &rows, false), expect);
        let expect = "\
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LEADER-EPOCH    LOG-END-OFFSET  OFFSET-LAG     \n\
app2            st-in           0          2               0               3               1              \n\
app2            st-in           1          -               -               3               2              \n";
        assert_eq!(offsets("app2", &rows, true), expect);
    }

    #[test]
    fn plans_look_as_apache_kafka_prints_them() {
        let plan = Plan::from([(TopicPartition::new("st-in", 1), 1)]);
        let expect = "\n\
GROUP                          TOPIC                          PARTITION  NEW-OFFSET     \n\
app2                           st-in                          1          1              \n";
        assert_eq!(plans(&[("app2".to_owned(), plan)]), expect);
        assert_eq!(plans(&[]), "\n");
    }
}
