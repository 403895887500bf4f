//! TLS of a listener: the server's settings, and who a certificate belongs to.

use std::sync::Arc;

use naru_client::net::security::tls;
use naru_model::config::SecurityProtocol;
use naru_security::Principal;
use naru_security::names::{PrincipalRules, alternatives_of, subject_of};
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
    /// Whom the server's own certificate names.
    identity: Identity,
}

/// Whom a server's certificate names, and how that may change while the node runs.
#[derive(Debug)]
struct Identity {
    subject: Option<String>,
    alternatives: Vec<String>,
    may_change_subject: bool,
    may_lose_alternatives: bool,
}

impl Identity {
    fn of(certificate: Option<&CertificateDer<'_>>, settings: Settings<'_>) -> Self {
        let is_set = |key| settings.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        Self {
            subject: certificate.and_then(|own| subject_of(own)),
            alternatives: certificate.map(|own| alternatives_of(own)).unwrap_or_default(),
            may_change_subject: is_set("ssl.allow.dn.changes"),
            may_lose_alternatives: is_set("ssl.allow.san.changes"),
        }
    }

    fn check_successor_of(&self, before: &Self) -> Result<(), String> {
        let name = |subject: &Option<String>| subject.clone().unwrap_or_default();
        if !self.may_change_subject && self.subject != before.subject {
            return Err(format!(
                "Keystore DistinguishedName does not match: existing={}, new={}; \
                 ssl.allow.dn.changes=true in the node's file allows that",
                name(&before.subject),
                name(&self.subject)
            ));
        }
        let is_lost = |name: &&String| !self.alternatives.contains(*name);
        if !self.may_lose_alternatives && before.alternatives.iter().any(|name| is_lost(&name)) {
            return Err(format!(
                "Keystore SubjectAltNames do not match: existing=[{}], new=[{}]; \
                 ssl.allow.san.changes=true in the node's file allows that",
                before.alternatives.join(", "),
                self.alternatives.join(", ")
            ));
        }
        Ok(())
    }
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
        // Read in any case: what is set has to be right.
        let roots = tls::trust(&lookup)?;
        let builder = match auth.unwrap_or("none") {
            "none" => builder.with_no_client_auth(),
            auth @ ("required" | "requested") => {
                let roots = roots.ok_or(
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
        let identity = Identity::of(chain.first(), settings);
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|error| format!("ssl.keystore: {error}"))?;
        let rules = settings.text("ssl.principal.mapping.rules").unwrap_or("DEFAULT");
        let rules = PrincipalRules::parse(rules)
            .map_err(|error| format!("ssl.principal.mapping.rules: {error}"))?;
        Ok(Self { config: Arc::new(config), names: (!has_login).then_some(rules), identity })
    }

    /// Whether this may take the place of `before` while connections are open: clients that look
    /// at names must go on finding theirs.
    pub(super) fn check_successor_of(&self, before: &Self) -> Result<(), String> {
        self.identity.check_successor_of(&before.identity)
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
