//! TLS of a listener: the server's settings, and who a certificate belongs to.

use std::sync::Arc;

use naru_client::net::security::tls;
use naru_model::config::SecurityProtocol;
use naru_security::Principal;
use naru_security::names::{PrincipalRules, subject_of};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;

use super::settings::Settings;

/// TLS of one listener.
#[derive(Debug)]
pub(super) struct TlsRules {
    pub(super) config: Arc<ServerConfig>,
    /// `ssl.principal.mapping.rules`; none where logins say who somebody is.
    names: Option<PrincipalRules>,
}

impl TlsRules {
    pub(super) fn read(settings: Settings<'_>, protocol: SecurityProtocol) -> Result<Self, String> {
        let lookup = |name: &str| settings.text(name).map(str::to_owned);
        let (chain, key) = tls::identity(&lookup)?.ok_or(
            "TLS needs a certificate: set ssl.keystore.type to JKS, PKCS12 or PEM, and \
             ssl.keystore.location to a file with the private key and the certificate chain",
        )?;
        let has_login = protocol == SecurityProtocol::SaslSsl;
        // As in Kafka: certificates count besides logins only if this listener itself says so.
        let auth = if has_login {
            settings.own("ssl.client.auth")
        } else {
            settings.text("ssl.client.auth")
        };
        let provider = tls::provider(&lookup)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&tls::versions(&lookup)?)
            .map_err(|error| error.to_string())?;
        let builder = match auth.unwrap_or("none") {
            "none" => builder.with_no_client_auth(),
            auth @ ("required" | "requested") => {
                let roots = tls::trust(&lookup)?.ok_or(
                    "ssl.client.auth needs to know whom to trust: set ssl.truststore.type and \
                     ssl.truststore.location",
                )?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if auth == "required" { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|error| error.to_string())?;
                builder.with_client_cert_verifier(verifier)
            }
            other => return Err(format!("ssl.client.auth: there is no {other}")),
        };
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|error| format!("ssl.keystore: {error}"))?;
        let rules = settings.text("ssl.principal.mapping.rules").unwrap_or("DEFAULT");
        let rules = PrincipalRules::parse(rules)
            .map_err(|error| format!("ssl.principal.mapping.rules: {error}"))?;
        Ok(Self { config: Arc::new(config), names: (!has_login).then_some(rules) })
    }

    /// Who shows these certificates.
    ///
    /// # Errors
    /// If no mapping rule fits the name.
    pub(super) fn principal(
        &self,
        certificates: Option<&[CertificateDer<'_>]>,
    ) -> Result<Principal, String> {
        let own = certificates.and_then(|chain| chain.first());
        let (Some(rules), Some(own)) = (&self.names, own) else {
            return Ok(Principal::anonymous());
        };
        let subject = subject_of(own).ok_or("the certificate has no subject")?;
        let name = rules.name(&subject);
        name.map(Principal::user)
            .ok_or_else(|| format!("no rule of ssl.principal.mapping.rules fits {subject}"))
    }
}
