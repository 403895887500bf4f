//! The settings of this side's own logins with OAUTHBEARER.

use super::address::Address;
use super::request::ClientSecret;
use super::unsecured::PREFIX;
use super::{AssertionGrant, AssertionPlace, Lookup, RefreshRules, RetryRules, UnsecuredToken};
use crate::jaas::JaasEntry;

const JAAS: &str = "sasl.jaas.config";
const MODULE: &str = "OAuthBearerLoginModule";
const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const HANDLER: &str = "sasl.login.callback.handler.class";
/// Who gets tokens from an identity provider or a file in Apache Kafka.
const FETCHING: &str = "OAuthBearerLoginCallbackHandler";
/// Who makes tokens that nobody signs, and Kafka's default.
const UNSECURED: &str = "OAuthBearerUnsecuredLoginCallbackHandler";
const RETRIEVER: &str = "sasl.oauthbearer.jwt.retriever.class";
const ID: &str = "sasl.oauthbearer.client.credentials.client.id";
const SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";
/// How long connecting to an identity provider, and its answer, may take if nothing is said.
const PATIENCE_MS: i64 = 10_000;

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenPlace {
    /// They are made here, and nobody signs them.
    Unsecured(UnsecuredToken),
    /// They are in a file that somebody keeps fresh.
    File(String),
    /// An identity provider gives them.
    Endpoint {
        /// Where it is asked.
        url: Address,
        /// Who asks.
        asking: Asking,
        /// `sasl.oauthbearer.scope`.
        scope: Option<String>,
    },
}

/// What an identity provider is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Asking {
    /// A secret.
    Secret(ClientSecret),
    /// An assertion.
    Assertion(AssertionPlace, AssertionGrant),
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct BearerRules {
    /// Where tokens come from.
    pub place: TokenPlace,
    /// What is told beside the token (RFC 7628, 3.1).
    pub extensions: Vec<(String, String)>,
    /// `sasl.oauthbearer.sub.claim.name`.
    pub subject_claim: String,
    /// `sasl.login.refresh.*`.
    pub refresh: RefreshRules,
    /// `sasl.login.retry.*`.
    pub retry: RetryRules,
    /// `sasl.login.connect.timeout.ms`.
    pub connect_timeout_ms: i64,
    /// `sasl.login.read.timeout.ms`.
    pub read_timeout_ms: i64,
}

impl BearerRules {
    /// Reads the settings; `entry` is the one of `sasl.jaas.config`.
    ///
    /// # Errors
    /// What is missing, wrong or not served.
    pub fn read(settings: Lookup<'_>, entry: &JaasEntry) -> Result<Self, String> {
        let text = |name: &str| {
            settings(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        if class_name(&entry.module) != MODULE {
            return Err(format!("{JAAS}: OAUTHBEARER needs the login module {MODULE}"));
        }
        let place = place(&text, entry)?;
        let prefix = match &place {
            TokenPlace::Unsecured(_) => "unsecuredLoginExtension_",
            TokenPlace::File(_) | TokenPlace::Endpoint { .. } => "extension_",
        };
        let subject_claim = match &place {
            TokenPlace::Unsecured(token) => token.subject_claim.clone(),
            _ => text("sasl.oauthbearer.sub.claim.name").unwrap_or_else(|| "sub".to_owned()),
        };
        let whole = |name: &str, default, max| number(&text, name, default, (0, max));
        let seconds = |name: &str, default: i64, max: i64| whole(name, default, max);
        // Java waits for ever then, which helps nobody: what hangs is asked again.
        let patience = |name: &str| match whole(name, PATIENCE_MS, i64::MAX) {
            Ok(0) => Ok(PATIENCE_MS),
            other => other,
        };
        let fraction =
            |name: &str, default: f64, range: (f64, f64)| number(&text, name, default, range);
        Ok(Self {
            place,
            extensions: extensions(entry, prefix)?,
            subject_claim,
            refresh: RefreshRules {
                window_factor: fraction("sasl.login.refresh.window.factor", 0.8, (0.5, 1.0))?,
                window_jitter: fraction("sasl.login.refresh.window.jitter", 0.05, (0.0, 0.25))?,
                min_period_ms: 1000 * seconds("sasl.login.refresh.min.period.seconds", 60, 900)?,
                buffer_ms: 1000 * seconds("sasl.login.refresh.buffer.seconds", 300, 3600)?,
            },
            retry: RetryRules {
                first_ms: whole("sasl.login.retry.backoff.ms", 100, i64::MAX)?,
                longest_ms: whole("sasl.login.retry.backoff.max.ms", 10_000, i64::MAX)?,
            },
            connect_timeout_ms: patience("sasl.login.connect.timeout.ms")?,
            read_timeout_ms: patience("sasl.login.read.timeout.ms")?,
        })
    }
}

fn place(text: Lookup<'_>, entry: &JaasEntry) -> Result<TokenPlace, String> {
    let handler = text(HANDLER);
    let is_unsecured = match handler.as_deref().map(class_name) {
        Some(UNSECURED) => true,
        Some(FETCHING) => false,
        Some(other) => {
            return Err(format!(
                "{HANDLER}: no Java class can be loaded, so there is no {other}; there are \
                 {FETCHING} and {UNSECURED}"
            ));
        }
        // Kafka's default. Whoever names an address and forgets the class gets what was meant.
        None => text(URL).is_none() || entry.options().any(|(name, _)| name.starts_with(PREFIX)),
    };
    if is_unsecured {
        let token = UnsecuredToken::read(entry);
        return token.map(TokenPlace::Unsecured).map_err(|error| {
            format!("{JAAS}: {error}; tokens of an identity provider need {HANDLER} and {URL}")
        });
    }
    let url = text(URL).map(Address::new).ok_or_else(|| {
        format!("{URL} is not set: tokens are got from an address of https, http or file")
    })?;
    let file = file_of_url(url.as_str());
    let retriever = text(RETRIEVER);
    match (retriever.as_deref().map(class_name), file) {
        (None | Some("DefaultJwtRetriever" | "FileJwtRetriever"), Some(file)) => {
            Ok(TokenPlace::File(file))
        }
        (Some("FileJwtRetriever"), None) => {
            Err(format!("{URL}: {url} is no file, which {RETRIEVER} asks for"))
        }
        (None | Some("DefaultJwtRetriever" | "ClientCredentialsJwtRetriever"), None) => {
            endpoint(text, entry, url)
        }
        (Some("ClientCredentialsJwtRetriever" | "JwtBearerJwtRetriever"), Some(_)) => {
            Err(format!("{URL}: {url} is a file, but {RETRIEVER} asks an identity provider"))
        }
        (Some("JwtBearerJwtRetriever"), None) => {
            let asking = Asking::Assertion(AssertionPlace::read(text)?, AssertionGrant::JwtBearer);
            Ok(TokenPlace::Endpoint { asking, scope: text("sasl.oauthbearer.scope"), url })
        }
        (Some(other), _) => {
            Err(format!("{RETRIEVER}: no Java class can be loaded, so there is no {other}"))
        }
    }
}

/// Who asks an identity provider, and for what.
fn endpoint(text: Lookup<'_>, entry: &JaasEntry, url: Address) -> Result<TokenPlace, String> {
    // As in Kafka the settings count, then the older options.
    let either = |key: &str, option: &str| {
        let option = entry.option(option).map(str::trim).filter(|value| !value.is_empty());
        text(key).or_else(|| option.map(str::to_owned))
    };
    let missing = |key: &str, option: &str| {
        format!(
            "{key} is not set, nor is the option {option} of {JAAS}: {url} asks who wants a token"
        )
    };
    let scope = either("sasl.oauthbearer.scope", "scope");
    if AssertionPlace::is_asked_for(text) {
        let grant = AssertionGrant::ClientCredentials { client_id: either(ID, "clientId") };
        let asking = Asking::Assertion(AssertionPlace::read(text)?, grant);
        return Ok(TokenPlace::Endpoint { url, asking, scope });
    }
    let is_encoded = text("sasl.oauthbearer.header.urlencode");
    let asking = Asking::Secret(ClientSecret {
        id: either(ID, "clientId").ok_or_else(|| missing(ID, "clientId"))?,
        secret: either(SECRET, "clientSecret").ok_or_else(|| missing(SECRET, "clientSecret"))?,
        is_encoded: is_encoded.is_some_and(|text| text.eq_ignore_ascii_case("true")),
    });
    Ok(TokenPlace::Endpoint { url, asking, scope })
}

/// What is told beside a token: letters, and text that can be printed.
fn extensions(entry: &JaasEntry, prefix: &str) -> Result<Vec<(String, String)>, String> {
    let named =
        entry.options().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
    named
        .map(|(name, value)| {
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic());
            if name.is_empty() || !is_name || name == "auth" {
                return Err(format!(
                    "{JAAS}: {prefix}{name}: an extension's name has letters only"
                ));
            }
            let is_text = |byte: u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
            if value.is_empty() || !value.bytes().all(is_text) {
                return Err(format!("{JAAS}: {prefix}{name}: the value cannot be sent"));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The path of an address that begins with `file:`; none if it is another.
pub fn file_of_url(url: &str) -> Option<String> {
    let scheme = url.get(..5)?;
    let rest = url.get(5..).filter(|_| scheme.eq_ignore_ascii_case("file:"))?;
    Some(match rest.strip_prefix("//") {
        Some(path) => path.strip_prefix("localhost").unwrap_or(path).to_owned(),
        None => rest.to_owned(),
    })
}

fn class_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

pub(super) fn number<N: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(
    text: Lookup<'_>,
    name: &str,
    default: N,
    (min, max): (N, N),
) -> Result<N, String> {
    let Some(text) = text(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("{name}: {text} is not between {min} and {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &str = "org.apache.kafka.common.security.oauthbearer.";

    fn read(options: &str, settings: &[(&str, &str)]) -> Result<BearerRules, String> {
        let jaas = format!("{CLASS}OAuthBearerLoginModule required {options};");
        let lookup = |name: &str| {
            let found = settings.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        BearerRules::read(&lookup, &JaasEntry::parse(&jaas).unwrap())
    }

    #[test]
    fn what_asks_for_a_token_is_in_the_settings_or_in_the_entry() {
        let url = (URL, "https://id/token");
        let rules = read("clientId=\"a\" clientSecret=\"b\" scope=\"c\" extension_x=\"y\"", &[url]);
        let rules = rules.unwrap();
        let TokenPlace::Endpoint { asking, scope, .. } = &rules.place else { panic!("{rules:?}") };
        let secret = |id: &str, secret: &str| {
            let (id, secret) = (id.to_owned(), secret.to_owned());
            Asking::Secret(ClientSecret { id, secret, is_encoded: false })
        };
        assert_eq!(*asking, secret("a", "b"));
        assert_eq!(scope.as_deref(), Some("c"));
        assert_eq!(rules.extensions, [("x".to_owned(), "y".to_owned())]);
        assert_eq!((rules.retry.first_ms, rules.connect_timeout_ms), (100, 10_000));
        let settings = [url, (ID, "d"), (SECRET, "e"), ("sasl.login.read.timeout.ms", "7")];
        let newer = read("clientId=\"a\" clientSecret=\"b\"", &settings).unwrap();
        let TokenPlace::Endpoint { asking, .. } = &newer.place else { panic!("{newer:?}") };
        assert_eq!((asking, newer.read_timeout_ms), (&secret("d", "e"), 7));
        let hidden = read("clientSecret=\"hidden\"", &[url, (ID, "d")]).unwrap();
        assert!(!format!("{hidden:?}").contains("hidden"));
    }

    #[test]
    fn tokens_are_in_files_or_made_here() {
        let fetching = (
            HANDLER,
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
        );
        let file = read("", &[fetching, (URL, "file:///run/token")]).unwrap();
        assert_eq!(file.place, TokenPlace::File("/run/token".to_owned()));
        let here = read("unsecuredLoginStringClaim_sub=\"a\"", &[]).unwrap();
        assert!(matches!(here.place, TokenPlace::Unsecured(_)));
        assert!(read("", &[]).unwrap_err().contains("unsecuredLoginStringClaim_sub"));
        assert!(read("", &[fetching]).unwrap_err().contains(URL));
    }

    #[test]
    fn assertions_are_shown_for_a_token_or_instead_of_a_secret() {
        let url = (URL, "http://id/token");
        let file = ("sasl.oauthbearer.assertion.file", "here");
        for (retriever, grant) in [
            ("a.JwtBearerJwtRetriever", AssertionGrant::JwtBearer),
            ("a.DefaultJwtRetriever", AssertionGrant::ClientCredentials { client_id: None }),
        ] {
            let rules = read("", &[url, file, (RETRIEVER, retriever)]).unwrap();
            let TokenPlace::Endpoint { asking, .. } = rules.place else { panic!("an address") };
            let place = AssertionPlace::File("here".to_owned());
            assert_eq!(asking, Asking::Assertion(place, grant));
        }
    }

    #[test]
    fn what_is_not_served_is_said() {
        let url = (URL, "http://id/token");
        let with = |key, value| read("clientId=\"a\" clientSecret=\"b\"", &[url, (key, value)]);
        for (key, value, told) in [
            (HANDLER, "org.example.Handler", "no Handler"),
            (RETRIEVER, "org.example.Retriever", "no Retriever"),
            (RETRIEVER, "a.JwtBearerJwtRetriever", "private.key.file"),
            ("sasl.oauthbearer.assertion.claim.iss", "me", "private.key.file"),
            (RETRIEVER, "a.FileJwtRetriever", "no file"),
            ("sasl.login.refresh.window.factor", "0.1", "between 0.5 and 1"),
            ("sasl.login.retry.backoff.ms", "soon", "soon is not between"),
        ] {
            let error = with(key, value).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        assert!(read("clientId=\"a\"", &[url]).unwrap_err().contains("clientSecret"));
        assert!(read("extension_auth=\"a\"", &[(URL, "file:/x")]).unwrap_err().contains("letters"));
        let other = JaasEntry::parse("PlainLoginModule required;").unwrap();
        assert!(BearerRules::read(&|_| None, &other).unwrap_err().contains(MODULE));
    }

    #[test]
    fn a_timeout_of_nothing_is_none_and_secrets_in_an_address_are_not_shown() {
        let url = (URL, "https://id:hidden@id/token?key=hidden");
        let none = ("sasl.login.connect.timeout.ms", "0");
        let rules = read("clientId=\"a\" clientSecret=\"b\"", &[url, none]).unwrap();
        assert_eq!(rules.connect_timeout_ms, PATIENCE_MS);
        assert!(!format!("{rules:?}").contains("hidden"), "{rules:?}");
        let told = read("", &[url]).unwrap_err();
        assert!(told.contains("https://id/token asks") && !told.contains("hidden"), "{told}");
    }

    #[test]
    fn files_have_addresses() {
        for (url, path) in [
            ("file:///a/b", Some("/a/b")),
            ("FILE:/a", Some("/a")),
            ("file://localhost/a", Some("/a")),
            ("http://a", None),
            ("ä", None),
        ] {
            assert_eq!(file_of_url(url).as_deref(), path, "{url}");
        }
    }
}
