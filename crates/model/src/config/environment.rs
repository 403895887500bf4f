//! `KAFKA_*` variables, as Apache Kafka's container image maps them to keys.
//!
//! Owns the mapping. Never reads the environment: variables are handed in.

use super::layers::Props;
use super::properties::{PropertiesError, parse_properties};

const PREFIX: &str = "KAFKA_";

/// Variables of the image's scripts and of the JVM, which are no configs.
const NOT_CONFIGS: [&str; 11] = [
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
];

/// The key a variable stands for: `_` is a dot, `__` an underscore, `___` a dash, letters small.
pub fn key_of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX).filter(|_| !NOT_CONFIGS.contains(&name))?;
    let dotted = rest.to_lowercase().replace('_', ".");
    Some(dotted.replace("...", "-").replace("..", "_"))
}

/// The configs in a set of variables.
///
/// The image writes each as a line of a properties file; so a value's backslashes are escapes
/// here, too. Where only `advertised.listeners` is given, a broker listens on the same ports of
/// every interface.
///
/// # Errors
/// When a value's escape is malformed.
pub fn props_of_variables<'a>(
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Props, PropertiesError> {
    let mut props = Props::new();
    for (name, value) in variables {
        if let Some(key) = key_of_variable(name) {
            props.append(&mut parse_properties(&format!("{key}={value}"))?);
        }
    }
    let controller_only = props.get("process.roles").is_some_and(|roles| roles == "controller");
    let told = props.get("advertised.listeners").filter(|told| !told.is_empty());
    if let Some(told) = told.filter(|_| !controller_only && !props.contains_key("listeners")) {
        let bound = told.split(',').map(on_every_interface).collect::<Vec<_>>().join(",");
        props.insert("listeners".to_owned(), bound);
    }
    Ok(props)
}

/// `NAME://host:port` with the host that means every interface.
fn on_every_interface(endpoint: &str) -> String {
    match (endpoint.split_once("://"), endpoint.rsplit_once(':')) {
        (Some((name, _)), Some((_, port))) => format!("{name}://0.0.0.0:{port}"),
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_map_as_the_image_of_apache_kafka_maps_them() {
        for (variable, key) in [
            ("KAFKA_NODE_ID", "node.id"),
            ("KAFKA_A_B__C___D", "a.b_c-d"),
            ("KAFKA_E____F", "e-.f"),
            ("KAFKA_G_____H", "g-_h"),
            ("KAFKA_I______J", "i--j"),
            ("KAFKA_KAFKA_X", "kafka.x"),
            ("KAFKA_JMX_PORT", "jmx.port"),
        ] {
            assert_eq!(key_of_variable(variable).as_deref(), Some(key));
        }
        for variable in ["KAFKA_HEAP_OPTS", "KAFKA_VERSION", "CLUSTER_ID", "PATH", "XKAFKA_A"] {
            assert_eq!(key_of_variable(variable), None, "{variable}");
        }
    }

    #[test]
    fn values_are_read_as_lines_of_a_properties_file() {
        let props = props_of_variables([("KAFKA_A", "  x "), ("KAFKA_B", "a\\b"), ("KAFKA_C", "")])
            .expect("well-formed");
        assert_eq!(props.get("a").map(String::as_str), Some("x "));
        assert_eq!(props.get("b").map(String::as_str), Some("ab"));
        assert_eq!(props.get("c").map(String::as_str), Some(""));
    }

    #[test]
    fn advertised_listeners_alone_are_also_listened_on() {
        let told = ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://me:9092,OUT://[::1]:19092");
        let props = props_of_variables([told]).expect("well-formed");
        let listeners = props.get("listeners").map(String::as_str);
        assert_eq!(listeners, Some("PLAINTEXT://0.0.0.0:9092,OUT://0.0.0.0:19092"));
        let props = props_of_variables([told, ("KAFKA_LISTENERS", "PLAINTEXT://:1")]);
        let props = props.expect("well-formed");
        assert_eq!(props.get("listeners").map(String::as_str), Some("PLAINTEXT://:1"));
    }
}
