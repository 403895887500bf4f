//! Listeners that change while a broker runs (KIP-226).

use super::configs::{APPEND, BROKER, Change, DELETE, SET, change, describe_one};
use crate::differential::session::Session;

const LISTENERS: &str = "listeners";
const PROTOCOLS: &str = "listener.security.protocol.map";
const MAP: Option<&str> = Some("CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,ADDED:PLAINTEXT");
/// What listens keeps its port, whatever is said here.
const ADDED: Option<&str> =
    Some("PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2,ADDED://127.0.0.1:0");

const CASES: &[(&str, &[Change<'_>])] = &[
    ("no protocol", &[(LISTENERS, SET, ADDED)]),
    ("one more", &[(LISTENERS, SET, ADDED), (PROTOCOLS, SET, MAP)]),
    ("without the controller's", &[(LISTENERS, SET, Some("PLAINTEXT://:1"))]),
    ("without what is advertised", &[(LISTENERS, SET, Some("CONTROLLER://:2"))]),
    ("one name twice", &[(LISTENERS, SET, Some("PLAINTEXT://:1,CONTROLLER://:2,plaintext://:3"))]),
    (
        "one port twice",
        &[
            (LISTENERS, SET, Some("PLAINTEXT://:1,CONTROLLER://:2,ADDED://:2")),
            (PROTOCOLS, SET, MAP),
        ],
    ),
    (
        "a port that is none",
        &[
            (LISTENERS, SET, Some("PLAINTEXT://:1,CONTROLLER://:2,ADDED://:x")),
            (PROTOCOLS, SET, MAP),
        ],
    ),
    ("no address", &[(LISTENERS, SET, Some("PLAINTEXT://:1,CONTROLLER"))]),
    ("another port", &[(LISTENERS, SET, Some("PLAINTEXT://:1,CONTROLLER://:2"))]),
    ("one appended", &[(LISTENERS, APPEND, Some("ADDED://:0")), (PROTOCOLS, SET, MAP)]),
    ("another protocol", &[(PROTOCOLS, SET, Some("CONTROLLER:PLAINTEXT,PLAINTEXT:SSL"))]),
    ("an unknown protocol", &[(PROTOCOLS, SET, Some("CONTROLLER:PLAINTEXT,PLAINTEXT:NOPE"))]),
    ("no protocol for the controller's", &[(PROTOCOLS, SET, Some("PLAINTEXT:PLAINTEXT"))]),
    (
        "settings of what is open",
        &[
            (LISTENERS, SET, ADDED),
            (PROTOCOLS, SET, MAP),
            ("listener.name.plaintext.sasl.enabled.mechanisms", SET, Some("PLAIN")),
        ],
    ),
    (
        "settings of what begins",
        &[
            (LISTENERS, SET, ADDED),
            (PROTOCOLS, SET, MAP),
            ("listener.name.added.sasl.enabled.mechanisms", SET, Some("PLAIN")),
        ],
    ),
    ("other advertised ones", &[("advertised.listeners", SET, Some("PLAINTEXT://127.0.0.1:1"))]),
];

pub fn run(s: &mut Session) {
    for (label, changes) in CASES {
        let mut request = change(BROKER, "1", changes);
        request.validate_only = true;
        s.ask(label, 1, &request);
    }
    let keys: &[&str] = &[LISTENERS, PROTOCOLS, "advertised.listeners"];
    let shown = describe_one(BROKER, "1", Some(keys));
    let begin = [(LISTENERS, SET, ADDED), (PROTOCOLS, SET, MAP)];
    s.ask("one begins", 1, &change(BROKER, "1", &begin));
    s.settle();
    s.ask("what there is then", 4, &shown);
    s.ask("its protocol goes", 1, &change(BROKER, "1", &[(PROTOCOLS, DELETE, None)]));
    let end = [(LISTENERS, DELETE, None), (PROTOCOLS, DELETE, None)];
    s.ask("it ends", 1, &change(BROKER, "1", &end));
    s.settle();
    s.ask("what there is again", 4, &shown);
}
