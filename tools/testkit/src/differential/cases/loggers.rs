//! Log levels: DescribeConfigs and IncrementalAlterConfigs of BROKER_LOGGER, at both listeners.

use naru_protocol::messages::alter_configs_request::{self as alter, AlterConfigsRequest};
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;

use super::configs::{Change, SET, change, describe_one};
use crate::differential::session::{CONTROLLER, Session};

pub const LOGGER: i8 = 8;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Label, name, changes.
type Case<'a> = (&'a str, &'a str, &'a [Change<'a>]);

const CASES: &[Case<'_>] = &[
    ("a level", "1", &[("root", SET, Some("WARN"))]),
    ("the same level", "1", &[("root", SET, Some("WARN"))]),
    ("a level in small letters", "1", &[("root", SET, Some("warn"))]),
    ("an unknown level", "1", &[("root", SET, Some("LOUD"))]),
    ("off is no level", "1", &[("root", SET, Some("OFF"))]),
    ("an empty level", "1", &[("root", SET, Some(""))]),
    ("no level", "1", &[("root", SET, None)]),
    ("an unknown logger", "1", &[("no.such.logger", SET, Some("INFO"))]),
    ("an unknown logger and level", "1", &[("no.such.logger", SET, Some("LOUD"))]),
    ("an unknown logger removed", "1", &[("no.such.logger", DELETE, None)]),
    ("no logger", "1", &[("", SET, Some("INFO"))]),
    ("the root removed", "1", &[("root", DELETE, None)]),
    ("the root removed with a value", "1", &[("root", DELETE, Some("INFO"))]),
    ("append", "1", &[("root", APPEND, Some("INFO"))]),
    ("append nothing", "1", &[("root", APPEND, None)]),
    ("subtract", "1", &[("root", SUBTRACT, Some("INFO"))]),
    ("an unknown operation", "1", &[("root", 9, Some("INFO"))]),
    ("one bad of two", "1", &[("root", SET, Some("ERROR")), ("no.such.logger", SET, Some("INFO"))]),
    ("the same twice", "1", &[("root", SET, Some("DEBUG")), ("root", SET, Some("WARN"))]),
    ("nothing", "1", &[]),
    ("another node", "9", &[("root", SET, Some("INFO"))]),
    ("another node, an unknown logger", "9", &[("no.such.logger", SET, Some("INFO"))]),
    ("no number", "one", &[("root", SET, Some("INFO"))]),
    ("no node", "", &[("root", SET, Some("INFO"))]),
];

pub fn run(s: &mut Session) {
    let set = change(LOGGER, "1", &[("root", SET, Some("WARN"))]);
    s.ask_each("a level", 0..=1, &set);
    let shown = describe_one(LOGGER, "1", Some(&["root", "no.such.logger"]));
    s.ask_each("what it did", 1..=4, &shown);
    for (label, name, changes) in CASES {
        s.ask(label, 1, &change(LOGGER, name, changes));
        s.ask_on(CONTROLLER, label, 1, &change(LOGGER, name, changes));
    }
    s.ask("what they did", 4, &shown);
    let checked = IncrementalAlterConfigsRequest {
        validate_only: true,
        ..change(LOGGER, "1", &[("root", SET, Some("INFO"))])
    };
    s.ask("validate only", 1, &checked);
    s.ask("nothing was done", 4, &shown);
    let mut twice = set.clone();
    twice.resources.extend(twice.resources.clone());
    s.ask("a resource twice", 1, &twice);
    s.ask_on(CONTROLLER, "a resource twice", 1, &twice);
    let mut mixed = set;
    mixed.resources.extend(change(2, "nowhere", &[("retention.ms", SET, Some("1"))]).resources);
    s.ask("with another kind", 1, &mixed);
    s.ask_on(CONTROLLER, "with another kind", 1, &mixed);
    let resource = alter::AlterConfigsResource {
        resource_type: LOGGER,
        resource_name: "1".to_owned(),
        configs: vec![alter::AlterableConfig {
            name: "root".to_owned(),
            value: Some("INFO".to_owned()),
        }],
    };
    let replaced = AlterConfigsRequest { resources: vec![resource], validate_only: false };
    s.ask_each("all at once", 0..=2, &replaced);
    s.ask_on(CONTROLLER, "all at once", 2, &replaced);
    for name in ["9", "one", ""] {
        let request = describe_one(LOGGER, name, Some(&["root"]));
        s.ask(&format!("describe '{name}'"), 4, &request);
        s.ask_on(CONTROLLER, &format!("describe '{name}'"), 4, &request);
    }
    s.ask_on(CONTROLLER, "describe", 4, &shown);
}
