//! Small text files: checkpoints, `meta.properties`, `partition.metadata`, `quorum-state`,
//! properties files.

use naru_controller::quorum::ElectionState;
use naru_log::{Checkpoint, LogDir, MetaProperties, OsDisk, read_partition_metadata};
use naru_model::config::parse_properties;

use super::{Memory, Target, as_it_is, texts};
use crate::random::Random;

const MEMORY: Memory = Memory { factor: 64, floor: 1 << 20 };

/// All of them.
pub(super) fn targets() -> Vec<Target> {
    vec![
        texts(("meta-properties", "meta.properties of a log directory"), MEMORY, META, take_meta),
        texts(("quorum-state", "the quorum-state file"), MEMORY, QUORUM_STATE, take_quorum_state),
        texts(("properties", "Java's properties files"), MEMORY, PROPERTIES, take_properties),
        checkpoints(),
    ]
}

const META: &[&str] = &[
    "#\n#Sat Nov 21 13:22:03 UTC 2026\nnode.id=1\ndirectory.id=aAbBcCdDeEfFgGhHiIjJkA\n\
     version=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\n",
    "cluster.id=x\\=y\nversion=1\nnode.id=-7\n",
];

fn take_meta(text: &str) -> bool {
    let Ok(read) = MetaProperties::from_text(text) else { return false };
    // Line ends that only Java knows stay in a value; what is written then is another file.
    if !read.cluster_id.contains(['\r', '\\', '=', ':']) {
        assert_eq!(MetaProperties::from_text(&read.to_text()), Ok(read));
    }
    true
}

const QUORUM_STATE: &[&str] = &[
    r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
    r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#,
];

fn take_quorum_state(text: &str) -> bool {
    use naru_controller::quorum::KraftVersion::{Dynamic, Static};
    let Ok(read) = ElectionState::from_json(text) else { return false };
    assert_eq!(ElectionState::from_json(&read.to_json(Dynamic, &[])), Ok(read));
    assert!(ElectionState::from_json(&read.to_json(Static, &[1, 2])).is_ok());
    true
}

const PROPERTIES: &[&str] = &[
    "a=b\nc : d\n# comment\n! another\nlong=one \\\n   two\nescaped\\ key=\\u0041\\t\\n\r\nx\n",
    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nnode.id=1\nprocess.roles=broker,controller\n",
];

fn take_properties(text: &str) -> bool {
    parse_properties(text).is_ok_and(|props| !props.is_empty())
}

/// Every file of a log directory that is read at the start.
fn checkpoints() -> Target {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Target {
        name: "checkpoints",
        about: "the offset checkpoints and partition.metadata of a log directory",
        make: Box::new(|random: &mut Random| {
            let lines = random.below(5);
            let mut text = format!("0\n{lines}\n");
            for index in 0..lines {
                text.push_str(&format!("topic-{index} {index} {}\n", random.number()));
            }
            if random.once_in(5) {
                text = "version: 0\ntopic_id: aAbBcCdDeEfFgGhHiIjJkA".to_owned();
            }
            text.into_bytes()
        }),
        repair: as_it_is,
        take: Box::new(move |input| {
            let path = folder.path();
            for name in ["recovery-point-offset-checkpoint", "partition.metadata"] {
                std::fs::write(path.join(name), input).expect("a temporary file");
            }
            let dir =
                LogDir::open(std::sync::Arc::new(OsDisk), path).expect("nothing else is there");
            let read = dir.read_checkpoint(Checkpoint::RecoveryPoint).expect("the disk is good");
            dir.write_checkpoint(Checkpoint::LogStart, &read).expect("the disk is good");
            let again = dir.read_checkpoint(Checkpoint::LogStart).expect("the disk is good");
            assert_eq!(again, read, "a checkpoint reads back");
            let id = read_partition_metadata(&OsDisk, path).expect("the disk is good");
            !read.is_empty() || id.is_some()
        }),
        memory: MEMORY,
    }
}
