use naru_model::{Timestamp, Uuid};

use super::*;

const DIRECTORY: Uuid = Uuid(77);

fn voter(id: i32, directory_id: Uuid) -> Voter {
    let endpoint =
        VoterEndpoint { name: "CONTROLLER".to_owned(), host: "localhost".to_owned(), port: 9093 };
    Voter { id, directory_id, endpoints: vec![endpoint] }
}

#[test]
fn a_formatted_directory_holds_what_kafkas_formatter_writes() {
    // Sizes are those of the files of Apache Kafka 4.3.1's formatter with one voter at
    // localhost:23093.
    let voters = [voter(1, DIRECTORY)];
    assert_eq!(initial_checkpoint(&voters, Timestamp(1)).unwrap().len(), 241);
    assert_eq!(bootstrap_checkpoint(Timestamp(1)).unwrap().len(), 411);
}
