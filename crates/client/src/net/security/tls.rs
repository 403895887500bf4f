//! Key stores, trust stores and the settings of TLS (`ssl.*`), for clients and servers.
//!
//! Stores are PEM, in files or in the settings themselves (KIP-651). JKS and PKCS12 are refused
//! with what to do instead.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme, SupportedProtocolVersion, version,
};

use super::Lookup;

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
    let provider = provider(settings)?;
    let roots = Arc::new(match trust(settings)? {
        Some(roots) => roots,
        None => system_roots()?,
    });
    let checks_name = settings("ssl.endpoint.identification.algorithm")
        .is_none_or(|algorithm| !algorithm.trim().is_empty());
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
            let text = pem_file(settings, "ssl.keystore", &path)?;
            (text.clone(), text)
        }
    };
    if key.contains("ENCRYPTED") {
        return Err("ssl.keystore: the private key is encrypted, which is not served; write it \
                    anew with `openssl pkey -in KEY -out PLAIN`, readable by this program only"
            .to_owned());
    }
    let chain = certificates(&chain).map_err(|error| format!("ssl.keystore: {error}"))?;
    if chain.is_empty() {
        return Err("ssl.keystore: there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| format!("ssl.keystore: no private key: {error}"))?;
    Ok(Some((chain, key)))
}

/// The trust store; none if none is set.
///
/// # Errors
/// If it cannot be read.
pub fn trust(settings: Lookup<'_>) -> Result<Option<RootCertStore>, String> {
    let inline = set(settings, "ssl.truststore.certificates");
    let text = match (set(settings, "ssl.truststore.location"), inline) {
        (Some(path), _) => pem_file(settings, "ssl.truststore", &path)?,
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

/// The text of a store's file, which must be PEM.
fn pem_file(settings: Lookup<'_>, store: &str, path: &str) -> Result<String, String> {
    let kind = set(settings, &format!("{store}.type")).unwrap_or_else(|| "JKS".to_owned());
    if !kind.eq_ignore_ascii_case("PEM") {
        return Err(format!(
            "{store}.type={kind} is not served, only PEM is: write the store as PEM \
             (`openssl pkcs12 -in STORE.p12 -nodes -out STORE.pem`; a JKS store first becomes \
             PKCS12 with `keytool -importkeystore`) and set {store}.type=PEM"
        ));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{store}.location {path}: {error}"))
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
