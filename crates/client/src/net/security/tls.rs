//! Key stores, trust stores and the settings of TLS (`ssl.*`), for clients and servers.
//!
//! Stores are PEM, in files or in the settings themselves (KIP-651), or files of Java's types, JKS
//! and PKCS12.

use std::io::Read as _;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme, SupportedProtocolVersion, version,
};

use naru_security::jaas::JaasEntry;
use naru_security::stores::{Store, decrypted_key, read_store};

use super::Lookup;

/// What stands in the PEM of an encrypted key.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// A certificate with those that vouch for it, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Where systems keep the certificates that everybody trusts.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The settings of a client.
///
/// # Errors
/// What is missing or wrong, in words.
pub fn client_config(settings: Lookup<'_>) -> Result<ClientConfig, String> {
    let algorithm = settings("ssl.endpoint.identification.algorithm");
    let checks_name = algorithm.is_none_or(|algorithm| !algorithm.trim().is_empty());
    config_of(settings, checks_name)
}

/// The settings towards an identity provider. As in Kafka they are those of the login's entry
/// alone, else what the system trusts; and its name is always checked.
///
/// # Errors
/// What is missing or wrong, in words.
pub fn identity_provider_config(entry: &JaasEntry) -> Result<ClientConfig, String> {
    let config = config_of(&|name| entry.option(name).map(str::to_owned), true);
    config.map_err(|error| format!("options of sasl.jaas.config: {error}"))
}

fn config_of(settings: Lookup<'_>, checks_name: bool) -> Result<ClientConfig, String> {
    let provider = provider(settings)?;
    let roots = Arc::new(match trust(settings)? {
        Some(roots) => roots,
        None => system_roots()?,
    });
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| format!("ssl.truststore: {error}"))?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if checks_name { verifier } else { Arc::new(AnyName(verifier)) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(settings)?)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match identity(settings)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("ssl.keystore: {error}")),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The cipher suites offered: `ssl.cipher.suites`, all if it is empty.
///
/// # Errors
/// If none of those named is known.
pub fn provider(settings: Lookup<'_>) -> Result<Arc<CryptoProvider>, String> {
    let mut provider = rustls::crypto::ring::default_provider();
    let text = settings("ssl.cipher.suites").unwrap_or_default();
    let wanted: Vec<&str> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if !wanted.is_empty() {
        provider.cipher_suites.retain(|suite| {
            let name = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
            wanted.contains(&name.as_str())
        });
        if provider.cipher_suites.is_empty() {
            return Err(format!("ssl.cipher.suites: none of {text} is served"));
        }
    }
    Ok(Arc::new(provider))
}

/// `ssl.enabled.protocols`: TLS 1.2 and 1.3 unless it says otherwise.
///
/// # Errors
/// If nothing of it is served.
pub fn versions(settings: Lookup<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let text = settings("ssl.enabled.protocols").unwrap_or_default();
    let named: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let all = [("TLSv1.3", &version::TLS13), ("TLSv1.2", &version::TLS12)];
    let chosen: Vec<&'static SupportedProtocolVersion> = all
        .into_iter()
        .filter(|(name, _)| named.is_empty() || named.contains(name))
        .map(|(_, version)| version)
        .collect();
    if chosen.is_empty() {
        return Err(format!(
            "ssl.enabled.protocols: {text} is not served; there are TLSv1.2, TLSv1.3"
        ));
    }
    Ok(chosen)
}

/// The key store; none if none is set.
///
/// # Errors
/// If it cannot be read.
pub fn identity(settings: Lookup<'_>) -> Result<Option<Identity>, String> {
    let location = set(settings, "ssl.keystore.location");
    if let Some(store) = java_store(settings, "ssl.keystore", location.as_deref())? {
        let first = store.keys.into_iter().next();
        let entry = first.ok_or("ssl.keystore: there is no private key in it")?;
        let chain = entry.chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(entry.key));
        return Ok(Some((chain, key)));
    }
    let (chain, key) =
        (set(settings, "ssl.keystore.certificate.chain"), set(settings, "ssl.keystore.key"));
    let (chain, key) = match (location, chain, key) {
        (None, None, None) => return Ok(None),
        (None, Some(chain), Some(key)) => (chain, key),
        (None, ..) => {
            return Err(
                "ssl.keystore.key and ssl.keystore.certificate.chain belong together".into()
            );
        }
        (Some(path), ..) => {
            let text = pem_file("ssl.keystore", &path)?;
            (text.clone(), text)
        }
    };
    let chain = certificates(&chain).map_err(|error| format!("ssl.keystore: {error}"))?;
    if chain.is_empty() {
        return Err("ssl.keystore: there is no certificate in it".to_owned());
    }
    let key = private_key(&key, settings("ssl.key.password").as_deref());
    let key = key.map_err(|error| match error {
        KeyError::NoPassword => "ssl.key.password is not set, but the key is encrypted".to_owned(),
        KeyError::Wrong(error) => format!("ssl.keystore: {error}"),
    })?;
    Ok(Some((chain, key)))
}

/// Why a private key cannot be read.
pub(super) enum KeyError {
    NoPassword,
    Wrong(String),
}

/// A private key in PEM, encrypted or not.
pub(super) fn private_key(
    text: &str,
    password: Option<&str>,
) -> Result<PrivateKeyDer<'static>, KeyError> {
    if text.contains(ENCRYPTED) {
        return encrypted_key(text, password.ok_or(KeyError::NoPassword)?).map_err(KeyError::Wrong);
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| KeyError::Wrong(format!("no private key: {error}")))
}

/// The private key in an encrypted one of PKCS#8.
fn encrypted_key(text: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let (kind, encrypted) = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes())
        .filter_map(Result::ok)
        .find(|(kind, _)| !matches!(kind, SectionKind::Certificate))
        .ok_or("there is no private key in it")?;
    let key = decrypted_key(&encrypted, password);
    let key = key.map_err(|error| format!("{kind:?}: {error}"))?;
    Ok(PrivatePkcs8KeyDer::from(key).into())
}

/// A store of one of Java's types; none if there is no file, or it is of PEM.
fn java_store(
    settings: Lookup<'_>,
    store: &str,
    location: Option<&str>,
) -> Result<Option<Store>, String> {
    let kind = set(settings, &format!("{store}.type")).unwrap_or_else(|| "JKS".to_owned());
    let Some(path) = location.filter(|_| !kind.eq_ignore_ascii_case("PEM")) else {
        return Ok(None);
    };
    if !["JKS", "PKCS12"].iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(format!("{store}.type: {kind} is not served; there are JKS, PKCS12 and PEM"));
    }
    let bytes = store_file(store, path)?;
    let password = settings(&format!("{store}.password"));
    let key_password = settings("ssl.key.password");
    let read = read_store(&bytes, password.as_deref(), key_password.as_deref());
    read.map(Some).map_err(|error| format!("{store}.location {path}: {error}"))
}

/// The trust store; none if none is set.
///
/// # Errors
/// If it cannot be read.
pub fn trust(settings: Lookup<'_>) -> Result<Option<RootCertStore>, String> {
    let inline = set(settings, "ssl.truststore.certificates");
    let location = set(settings, "ssl.truststore.location");
    if let Some(store) = java_store(settings, "ssl.truststore", location.as_deref())? {
        // As Java: of a key only its own certificate is trusted.
        let own = store.keys.into_iter().filter_map(|key| key.chain.into_iter().next());
        let trusted = store.certificates.into_iter().chain(own).map(CertificateDer::from);
        let mut roots = RootCertStore::empty();
        return match roots.add_parsable_certificates(trusted) {
            (0, _) => Err("ssl.truststore: there is no certificate in it".to_owned()),
            _ => Ok(Some(roots)),
        };
    }
    let text = match (location, inline) {
        (Some(path), _) => pem_file("ssl.truststore", &path)?,
        (None, Some(text)) => text,
        (None, None) => return Ok(None),
    };
    roots_of(&text).map(Some).map_err(|error| format!("ssl.truststore: {error}"))
}

fn system_roots() -> Result<RootCertStore, String> {
    let text = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read_to_string(path).ok());
    roots_of(&text.ok_or("ssl.truststore.location is not set, and this system has no store")?)
}

fn roots_of(text: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(text)?);
    if added == 0 { Err("there is no certificate in it".to_owned()) } else { Ok(roots) }
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())
}

/// The text of a store's file.
fn pem_file(store: &str, path: &str) -> Result<String, String> {
    let bytes = store_file(store, path)?;
    String::from_utf8(bytes).map_err(|_| format!("{store}.location {path}: it is no text"))
}

/// Most bytes of a store: the stores of whole systems have some hundred KiB.
const STORE_BYTES_MAX: u64 = 8 << 20;

/// The bytes of a store's file. Pipes, which never end, and devices are none.
fn store_file(store: &str, path: &str) -> Result<Vec<u8>, String> {
    let wrong = |problem: String| format!("{store}.location {path}: {problem}");
    let about = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !about.is_file() {
        return Err(wrong("it is no file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(STORE_BYTES_MAX + 1).read_to_end(&mut bytes);
    match read.map_err(|error| wrong(error.to_string()))? as u64 {
        size if size > STORE_BYTES_MAX => {
            Err(wrong(format!("it has more than {STORE_BYTES_MAX} bytes")))
        }
        _ => Ok(bytes),
    }
}

fn set(settings: Lookup<'_>, name: &str) -> Option<String> {
    // Properties files write the lines of a certificate in one, with escapes.
    settings(name).map(|text| text.replace("\\n", "\n")).filter(|text| !text.trim().is_empty())
}

/// Trusts a certificate whatever name it is for (`ssl.endpoint.identification.algorithm=`).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let judged =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores that keytool and openssl made, with a key of an elliptic curve.
    const STORES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../security/src/stores/testdata");

    fn config(key: (&str, &str, Option<&str>), trust: (&str, &str)) -> Result<(), String> {
        let lookup = |name: &str| -> Option<String> {
            Some(match name {
                "ssl.keystore.type" => key.0.to_owned(),
                "ssl.keystore.location" => format!("{STORES}/{}", key.1),
                "ssl.key.password" => key.2?.to_owned(),
                "ssl.truststore.type" => trust.0.to_owned(),
                "ssl.truststore.location" => format!("{STORES}/{}", trust.1),
                "ssl.keystore.password" | "ssl.truststore.password" => "store-secret".to_owned(),
                _ => return None,
            })
        };
        client_config(&lookup).map(drop)
    }

    #[test]
    fn an_identity_provider_s_name_is_checked_and_it_is_trusted_by_the_entry_alone() {
        let entry = |more: &str| {
            let trust = format!(
                "ssl.truststore.location=\"{STORES}/trust.jks\" \
                 ssl.truststore.password=\"store-secret\""
            );
            let entry = JaasEntry::parse(&format!("Module required {trust} {more};"));
            identity_provider_config(&entry.unwrap())
        };
        let unchecked = "ssl.endpoint.identification.algorithm";
        let config = entry(&format!("{unchecked}=\"\"")).unwrap();
        assert!(!format!("{config:?}").contains("AnyName"), "the name is checked all the same");
        let trust = format!("{STORES}/trust.jks");
        let lookup = |name: &str| match name {
            "ssl.truststore.location" => Some(trust.clone()),
            "ssl.truststore.password" => Some("store-secret".to_owned()),
            name if name == unchecked => Some(String::new()),
            _ => None,
        };
        let config = client_config(&lookup).unwrap();
        assert!(format!("{config:?}").contains("AnyName"), "this is what would be seen");
        let told = entry("ssl.truststore.type=\"BCFKS\"").unwrap_err();
        assert!(told.starts_with("options of sasl.jaas.config: ssl.truststore.type"), "{told}");
    }

    #[test]
    fn what_is_no_file_is_no_store() {
        let told = store_file("ssl.keystore", "/dev/zero").unwrap_err();
        assert_eq!(told, "ssl.keystore.location /dev/zero: it is no file");
        assert!(store_file("ssl.keystore", STORES).unwrap_err().ends_with("it is no file"));
    }

    #[test]
    fn stores_of_all_types_are_taken() {
        let own = Some("key-secret");
        let good = Ok(());
        assert_eq!(config(("JKS", "key.jks", own), ("JKS", "trust.jks")), good);
        assert_eq!(config(("PKCS12", "key.p12", None), ("PKCS12", "trust.p12")), good);
        assert_eq!(config(("pkcs12", "legacy.p12", None), ("PKCS12", "trust.p12")), good);
        assert_eq!(config(("PKCS12", "openssl.p12", None), ("JKS", "trust.p12")), good);
    }

    #[test]
    fn what_is_wrong_with_a_store_is_said() {
        let trust = ("JKS", "trust.jks");
        let wrong = config(("JKS", "key.jks", Some("x")), trust).unwrap_err();
        assert!(wrong.contains("key.jks: the password of the key is wrong"), "{wrong}");
        let kind = config(("BCFKS", "key.jks", None), trust).unwrap_err();
        assert!(kind.contains("BCFKS is not served"), "{kind}");
        let empty = config(("JKS", "trust.jks", None), trust).unwrap_err();
        assert!(empty.contains("no private key"), "{empty}");
    }
}
