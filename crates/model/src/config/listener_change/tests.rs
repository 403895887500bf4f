//! Changes and refusals; the texts are what a real 4.3.1 broker answered.

use super::*;
use crate::config::{BrokerConfig, Props};

const CONTROLLER: &str = "CONTROLLER://127.0.0.1:3";
const BOTH: Roles = Roles { broker: true, controller: true };

fn props(pairs: &[(&str, &str)]) -> Props {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A node's file with the listeners A, B and the controller's, and C and LOGIN in its map.
fn file(advertised: Option<&str>) -> Props {
    let mut file = props(&[
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", "1@127.0.0.1:3"),
        ("listeners", "A://127.0.0.1:1,B://127.0.0.1:2,CONTROLLER://127.0.0.1:3"),
        ("inter.broker.listener.name", "A"),
        ("listener.security.protocol.map", MAP),
        ("listener.name.b.ssl.keystore.location", "/b.pem"),
        ("log.dirs", "/data"),
    ]);
    file.extend(advertised.map(|told| ("advertised.listeners".to_owned(), told.to_owned())));
    file
}

const MAP: &str = "A:PLAINTEXT,B:SSL,CONTROLLER:PLAINTEXT,C:PLAINTEXT,LOGIN:SASL_PLAINTEXT";

/// What a node with this file says to `after` where `before` is set.
fn judge(file: &Props, before: &[(&str, &str)], after: &[(&str, &str)]) -> Result<(), String> {
    let started = BrokerConfig::resolve(&Layers::of_file(file)).unwrap().listeners;
    let (before, after, none) = (props(before), props(after), Props::new());
    let before = Layers { broker: &before, cluster: &none, file };
    let after = Layers { broker: &after, cluster: &none, file };
    started.may_change(&[], &before, &after, BOTH).map_err(|error| {
        assert_eq!(error.broker_code(), crate::ErrorCode::InvalidRequest, "{error}");
        error.to_string()
    })
}

/// What is wrong with these listeners, beside the controller's.
fn wrong(file: &Props, listeners: &str) -> String {
    let listeners = format!("{listeners},{CONTROLLER}");
    judge(file, &[], &[("listeners", &listeners)]).unwrap_err()
}

fn running(file: &Props, set: &[(&str, &str)]) -> Vec<String> {
    let running = running_from(&[], file, set).unwrap();
    running.iter().map(ToString::to_string).collect()
}

/// What is to run where `open` does, or why it goes on as it is.
fn running_from(
    open: &[Endpoint],
    file: &Props,
    set: &[(&str, &str)],
) -> Result<Vec<Endpoint>, String> {
    let started = BrokerConfig::resolve(&Layers::of_file(file)).unwrap().listeners;
    let (own, none) = (props(set), Props::new());
    let layers = Layers { broker: &own, cluster: &none, file };
    started.running(open, &layers, BOTH).map_err(|error| error.to_string())
}

fn endpoint(name: &str, protocol: SecurityProtocol, port: u16) -> Endpoint {
    Endpoint { name: name.to_owned(), protocol, host: String::new(), port }
}

#[test]
fn a_listener_of_the_map_may_be_added_and_taken_away_again() {
    let file = file(Some("A://a:1,B://b:2"));
    let more = "A://127.0.0.1:1,B://127.0.0.1:2,CONTROLLER://127.0.0.1:3,c://:9";
    assert_eq!(judge(&file, &[], &[("listeners", more)]), Ok(()));
    assert_eq!(judge(&file, &[("listeners", more)], &[]), Ok(()));
    assert_eq!(running(&file, &[]), ["A://127.0.0.1:1", "B://127.0.0.1:2"]);
    assert_eq!(running(&file, &[("listeners", more)]).last().unwrap(), "C://:9");
    let plain = |name: &str| endpoint(name, SecurityProtocol::Plaintext, 9);
    let open = [plain("A"), plain("B")];
    let change = ListenerChange::between(&open, &[plain("A"), plain("C")]);
    assert_eq!(change, ListenerChange { begin: vec![plain("C")], end: vec!["B".to_owned()] });
}

#[test]
fn an_open_listener_never_gets_another_protocol_from_a_controller() {
    let file = file(Some("A://a:1,B://b:2"));
    let started = running_from(&[], &file, &[]).unwrap();
    let open: Vec<Endpoint> =
        started.iter().cloned().chain([endpoint("C", SecurityProtocol::Ssl, 9)]).collect();
    let set = |listener: &str, protocol: &str| {
        let listeners = format!("A://:1,B://:2,{listener},{CONTROLLER}");
        let map = MAP.replace("C:PLAINTEXT,", &format!("C:{protocol},"));
        let set = [("listeners", listeners.as_str()), ("listener.security.protocol.map", &map)];
        running_from(&open, &file, &set)
    };
    assert_eq!(set("C://:9", "SSL"), Ok(open.clone()));
    assert_eq!(set("C://:8", "SSL"), Ok(open.clone()), "the address is for the next start");
    let refused = set("C://:9", "PLAINTEXT").unwrap_err();
    assert!(refused.contains("cannot be updated for existing listener ListenerName(C)"));
    // Taken away and added in one go.
    let wanted = set("C://:8", "SASL_PLAINTEXT").unwrap();
    let another = endpoint("C", SecurityProtocol::SaslPlaintext, 8);
    assert_eq!(wanted.last(), Some(&another));
    let change = ListenerChange::between(&open, &wanted);
    assert_eq!(change, ListenerChange { begin: vec![another], end: vec!["C".to_owned()] });
}

#[test]
fn what_a_controller_let_be_set_and_does_not_run_may_be_put_right() {
    let file = file(Some("A://a:1,B://b:2"));
    let started = BrokerConfig::resolve(&Layers::of_file(&file)).unwrap().listeners;
    let listeners = format!("A://:1,B://:2,C://:9,{CONTROLLER}");
    let with = |protocol: &str| {
        let map = MAP.replace("C:PLAINTEXT,", &format!("C:{protocol},"));
        props(&[("listeners", &listeners), ("listener.security.protocol.map", &map)])
    };
    let (wrong, right, none) = (with("PLAINTEXT"), with("SSL"), Props::new());
    let before = Layers { broker: &wrong, cluster: &none, file: &file };
    let after = Layers { broker: &right, cluster: &none, file: &file };
    let open = [endpoint("C", SecurityProtocol::Ssl, 9)];
    assert!(started.may_change(&open, &before, &after, BOTH).is_ok());
    assert!(started.may_change(&open, &after, &before, BOTH).is_err());
}

#[test]
fn a_listener_of_the_file_keeps_its_address() {
    let file = file(Some("A://a:1,B://b:2"));
    let moved = "A://127.0.0.1:1,B://127.0.0.1:77,CONTROLLER://127.0.0.1:3";
    assert_eq!(judge(&file, &[], &[("listeners", moved)]), Ok(()));
    assert_eq!(running(&file, &[("listeners", moved)]), ["A://127.0.0.1:1", "B://127.0.0.1:2"]);
}

#[test]
fn what_is_advertised_stays() {
    let told = file(Some("A://a:1,B://b:2"));
    assert_eq!(
        wrong(&told, "A://:1"),
        "requirement failed: advertised.listeners listener names must be equal to or a subset of \
         the ones defined in listeners. Found A,B. The valid options based on the current \
         configuration are A,CONTROLLER"
    );
    let untold = file(None);
    assert_eq!(
        wrong(&untold, "A://:1"),
        "Invalid value org.apache.kafka.common.config.ConfigException: Advertised listeners \
         'Set(ListenerName(A), ListenerName(B))' must be a subset of listeners \
         'Set(ListenerName(A), ListenerName(CONTROLLER))' for configuration Invalid dynamic \
         configuration"
    );
    // Nor does it end when a controller let it be set.
    let listeners = format!("A://:1,{CONTROLLER}");
    let refused = running_from(&[], &untold, &[("listeners", &listeners)]).unwrap_err();
    assert!(refused.contains("must be a subset of listeners"), "{refused}");
    assert!(wrong(&untold, "B://:2,C://:9").ends_with("configured listeners are B,C"));
    assert!(wrong(&untold, "A://:1,B://:2,C://0.0.0.0:9").contains("meta-address 0.0.0.0"));
    let only = judge(&untold, &[], &[("listeners", CONTROLLER)]).unwrap_err();
    assert!(only.contains("There must be at least one broker advertised listener"), "{only}");
    // One that is not advertised may end.
    let inner = file(Some("A://a:1"));
    let listeners = format!("A://:1,{CONTROLLER}");
    assert_eq!(judge(&inner, &[], &[("listeners", &listeners)]), Ok(()));
}

#[test]
fn the_controllers_listener_stays() {
    let file = file(Some("A://a:1"));
    let text = judge(&file, &[], &[("listeners", "A://:1,B://:2")]).unwrap_err();
    assert!(text.starts_with("requirement failed: controller.listener.names must contain"));
}

#[test]
fn addresses_are_well_formed_and_different() {
    let file = file(Some("A://a:1,B://b:2"));
    let from = |rest: &str| {
        format!("Error creating broker listeners from '[A://:1, B://:2, {rest}, {CONTROLLER}]': ")
    };
    for (entry, problem) in [
        ("NONE://:9", "No security protocol defined for listener NONE".to_owned()),
        ("C://:x", "Unable to parse C://:x to a broker endpoint".to_owned()),
        (
            "a://:9",
            format!(
                "Each listener must have a different name, listeners: [A://:1, B://:2, a://:9, \
                 {CONTROLLER}]"
            ),
        ),
        (
            "C://:2",
            format!(
                "Each listener must have a different port, listeners: [A://:1, B://:2, C://:2, \
                 {CONTROLLER}]"
            ),
        ),
        (
            "C://127.0.0.9:3",
            format!(
                "If you have two listeners on the same port then one needs to be IPv4 and the \
                 other IPv6, listeners: [A://:1, B://:2, C://127.0.0.9:3, {CONTROLLER}], port: 3"
            ),
        ),
    ] {
        assert_eq!(wrong(&file, &format!("A://:1,B://:2,{entry}")), from(entry) + &problem);
    }
}

#[test]
fn protocols_and_settings_of_what_is_open_stay() {
    let file = file(Some("A://a:1,B://b:2"));
    let mapped = |map: &str| judge(&file, &[], &[("listener.security.protocol.map", map)]);
    assert_eq!(
        mapped("A:PLAINTEXT,B:PLAINTEXT,CONTROLLER:PLAINTEXT").unwrap_err(),
        "Invalid value org.apache.kafka.common.config.ConfigException: Security protocol cannot \
         be updated for existing listener ListenerName(B) for configuration Invalid dynamic \
         configuration"
    );
    assert_eq!(mapped("A:PLAINTEXT,B:SSL,CONTROLLER:PLAINTEXT,NEW:SSL"), Ok(()));
    assert!(mapped("A:PLAINTEXT,B:SSL").unwrap_err().ends_with("listener CONTROLLER"));
    assert_eq!(
        mapped("A:NOPE").unwrap_err(),
        "Invalid security protocol `NOPE` defined in listener.security.protocol.map"
    );
    let listeners = format!("A://:1,B://:2,C://:9,{CONTROLLER}");
    let with = |key| judge(&file, &[], &[("listeners", listeners.as_str()), (key, "x")]);
    let text = with("listener.name.b.sasl.enabled.mechanisms").unwrap_err();
    assert!(text.contains("existing listener ListenerName(B), restart broker"), "{text}");
    assert_eq!(with("listener.name.b.ssl.keystore.location"), Ok(()), "a store may change");
    assert_eq!(with("listener.name.c.sasl.enabled.mechanisms"), Ok(()), "a new listener");
    assert_eq!(judge(&file, &[], &[("listener.name.b.x", "y")]), Ok(()), "no listener changes");
}
