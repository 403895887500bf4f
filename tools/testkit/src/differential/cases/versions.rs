//! ApiVersions.

use naru_protocol::messages::api_versions_request::ApiVersionsRequest;

use crate::differential::session::Session;

pub fn run(s: &mut Session) {
    let named = |name: &str, version: &str| ApiVersionsRequest {
        client_software_name: name.to_owned(),
        client_software_version: version.to_owned(),
    };
    s.ask_each("named", 0..=4, &named("a-client", "1.0"));
    s.ask("a name with a space", 3, &named("a client", "1.0"));
    s.ask("no name", 3, &named("", ""));
    s.ask("a version with a slash", 4, &named("c", "1/0"));
    s.ask("a name that begins with a dash", 4, &named("-c", "1.0"));
    s.ask("again on the same connection", 4, &named("c", "1.0"));
}
