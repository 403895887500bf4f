//! Certificates by openssl: an authority, and those that it vouches for.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::run as run_to_end;

/// An authority of its own: `ca.key` and `ca.crt`.
pub(super) fn authority(folder: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
    command.args(["-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=authority"]);
    run_to_end(&mut command).map(drop)
}

/// A key and a certificate for this machine: `{name}.key`, `.crt`, and both in `.pem`.
pub(super) fn issue(folder: &Path, name: &str, serial: u32) -> Result<()> {
    let subject = format!("/O=tests/OU=naru/CN={name}");
    let (key, request, certificate) =
        (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key]);
    run_to_end(command.args(["-out", &request, "-subj", &subject]))?;
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["x509", "-req", "-in", &request, "-CA", "ca.crt"]);
    command.args(["-CAkey", "ca.key", "-set_serial", &serial.to_string(), "-days", "2"]);
    run_to_end(command.args(["-extfile", "names", "-out", &certificate]))?;
    let both = [fs::read(folder.join(&key))?, fs::read(folder.join(&certificate))?].concat();
    Ok(fs::write(folder.join(format!("{name}.pem")), both)?)
}

/// The serial number of the certificate that a server shows.
pub(super) fn serial(address: &str) -> Result<String> {
    let mut command = Command::new("bash");
    let script =
        "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -noout -serial";
    run_to_end(command.args(["-c", script, address]))
}
