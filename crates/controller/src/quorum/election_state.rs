//! The `quorum-state` file: what a voter must not forget.
//!
//! One line of JSON, in Kafka's two forms: version 0 while the voters are static, version 1 once
//! they are in the log (kraft.version 1). The shell writes it, durably, before it acts on it.

use naru_model::Uuid;
use serde_json::{Value, json};

use super::KraftVersion;

/// Who leads which epoch, and whom this node voted for in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ElectionState {
    /// The epoch.
    pub epoch: i32,
    /// Its leader, if known.
    pub leader: Option<i32>,
    /// Whom this node gave its vote, if it gave one.
    pub voted: Option<VotedFor>,
}

/// The voter that got this node's vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VotedFor {
    /// Its `node.id`.
    pub id: i32,
    /// Its metadata directory; zero if it is not known.
    pub directory_id: Uuid,
}

/// The file cannot be read as Kafka's quorum state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectionStateError {
    /// It is no JSON object.
    #[error("quorum-state is no JSON object")]
    NotJson,
    /// A field is missing or of another type.
    #[error("quorum-state has no usable {0}")]
    Field(&'static str),
    /// It was written by a newer program.
    #[error("quorum-state has data_version {0}; 0 and 1 are known")]
    Version(i64),
}

impl ElectionState {
    /// The file's text.
    pub fn to_json(&self, kraft_version: KraftVersion, static_voters: &[i32]) -> String {
        let leader = self.leader.unwrap_or(-1);
        let voted = self.voted.map_or(-1, |voted| voted.id);
        let value = match kraft_version {
            KraftVersion::Static => {
                let voters: Vec<Value> =
                    static_voters.iter().map(|id| json!({ "voterId": id })).collect();
                json!({
                    "clusterId": "",
                    "leaderId": leader,
                    "leaderEpoch": self.epoch,
                    "votedId": voted,
                    "appliedOffset": 0,
                    "currentVoters": voters,
                    "data_version": 0,
                })
            }
            KraftVersion::Dynamic => {
                let directory = self.voted.map(|voted| voted.directory_id).unwrap_or_default();
                json!({
                    "leaderId": leader,
                    "leaderEpoch": self.epoch,
                    "votedId": voted,
                    "votedDirectoryId": directory.to_string(),
                    "data_version": 1,
                })
            }
        };
        value.to_string()
    }

    /// Reads the file's text.
    pub fn from_json(text: &str) -> Result<Self, ElectionStateError> {
        let value: Value =
            serde_json::from_str(text.trim()).map_err(|_| ElectionStateError::NotJson)?;
        let number = |name: &'static str| {
            value.get(name).and_then(Value::as_i64).ok_or(ElectionStateError::Field(name))
        };
        let id = |name: &'static str| {
            i32::try_from(number(name)?).map_err(|_| ElectionStateError::Field(name))
        };
        let version = number("data_version")?;
        if !matches!(version, 0 | 1) {
            return Err(ElectionStateError::Version(version));
        }
        let directory_id = match value.get("votedDirectoryId").and_then(Value::as_str) {
            Some(text) => {
                text.parse().map_err(|_| ElectionStateError::Field("votedDirectoryId"))?
            }
            None if version == 1 => return Err(ElectionStateError::Field("votedDirectoryId")),
            None => Uuid::ZERO,
        };
        let epoch = id("leaderEpoch")?;
        if epoch < 0 {
            return Err(ElectionStateError::Field("leaderEpoch"));
        }
        let (leader, voted) = (id("leaderId")?, id("votedId")?);
        Ok(Self {
            epoch,
            leader: (leader >= 0).then_some(leader),
            voted: (voted >= 0).then_some(VotedFor { id: voted, directory_id }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_what_apache_kafka_writes() {
        let leader = ElectionState { epoch: 1, leader: Some(1), voted: None };
        let dynamic = r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        assert_eq!(leader.to_json(KraftVersion::Dynamic, &[]), dynamic);
        assert_eq!(ElectionState::from_json(dynamic), Ok(leader));
        let fixed = r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
        assert_eq!(leader.to_json(KraftVersion::Static, &[1]), fixed);
        assert_eq!(ElectionState::from_json(fixed), Ok(leader));
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let refused = |text: &str| ElectionState::from_json(text).unwrap_err();
        assert_eq!(refused(""), ElectionStateError::NotJson);
        assert_eq!(refused("{}"), ElectionStateError::Field("data_version"));
        assert_eq!(refused(r#"{"data_version":2}"#), ElectionStateError::Version(2));
        assert_eq!(
            refused(r#"{"leaderId":1,"leaderEpoch":99999999999,"votedId":-1,"data_version":0}"#),
            ElectionStateError::Field("leaderEpoch")
        );
    }
}
