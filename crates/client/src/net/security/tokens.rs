//! Where this side's own tokens of OAUTHBEARER come from.
//!
//! A thread of its own gets them, from an identity provider or a file, and again before they end:
//! whoever logs in finds one that is there, and never waits for anything but the first. What
//! is due when is decided by `naru_security::bearer`. The thread begins with the first login and
//! ends with the source.

use std::fmt;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use naru_security::bearer::{
    Asking, BearerRules, NoToken, OwnToken, Shown, TokenKeeper, TokenPlace, token_of_answer,
    token_of_file,
};
use naru_security::jaas::JaasEntry;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::ClientConfig as TlsConfig;
use tokio::sync::{Notify, watch};

use super::super::http::{HttpUrl, Patience, post_form};
use super::assertions::assertion;
use super::{Lookup, tls};

/// Largest file that is read as a token.
const FILE_MAX: u64 = 128 << 10;
/// The longest time until the clock is looked at: it may be set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct TokenSource {
    getter: Arc<Getter>,
    running: OnceLock<Running>,
}

/// What the thread shows; none before its first attempt is over.
struct Running {
    shown: watch::Receiver<Option<Shown>>,
    /// Its end is that of the thread.
    _alive: watch::Sender<()>,
}

/// Gets one token.
struct Getter {
    rules: BearerRules,
    /// Of the identity provider, if there is one.
    endpoint: Option<(HttpUrl, Option<Arc<TlsConfig>>)>,
    /// Somebody has found that the token has ended.
    wanted: Notify,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("rules", &self.getter.rules).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// Reads the settings.
    ///
    /// # Errors
    /// What is missing, wrong or not served.
    pub(super) fn read(settings: Lookup<'_>, entry: &JaasEntry) -> Result<Self, String> {
        let rules = BearerRules::read(settings, entry)?;
        let endpoint = match &rules.place {
            TokenPlace::Endpoint { url, .. } => {
                let parsed = HttpUrl::parse(url.as_str()).ok_or_else(|| {
                    format!(
                        "sasl.oauthbearer.token.endpoint.url: {url} is no address of https, http \
                         or file"
                    )
                })?;
                let config = parsed.is_secure.then(|| tls::identity_provider_config(entry));
                let config = config.transpose()?;
                Some((parsed, config.map(Arc::new)))
            }
            TokenPlace::File(_) | TokenPlace::Unsecured(_) => None,
        };
        let getter = Getter { rules, endpoint, wanted: Notify::new() };
        Ok(Self { getter: Arc::new(getter), running: OnceLock::new() })
    }

    /// What is told beside a token.
    pub(super) fn extensions(&self) -> &[(String, String)] {
        &self.getter.rules.extensions
    }

    /// A token that is good now.
    pub(super) async fn token(&self) -> io::Result<Arc<OwnToken>> {
        let running = self.running.get_or_init(|| self.start());
        let mut shown = running.shown.clone();
        loop {
            match &*shown.borrow_and_update() {
                Some(Shown::Token(token)) if token.expires_ms > now_ms() => {
                    return Ok(Arc::clone(token));
                }
                Some(Shown::Nothing(why)) => return Err(no_token(why)),
                // It may be that nobody knows yet: clocks are set, and machines sleep.
                Some(Shown::Token(_)) => self.getter.wanted.notify_one(),
                None => {}
            }
            if shown.changed().await.is_err() {
                return Err(no_token("nobody gets any more"));
            }
        }
    }

    fn start(&self) -> Running {
        let (show, shown) = watch::channel(None);
        let (alive, ended) = watch::channel(());
        let getter = Arc::clone(&self.getter);
        let thread = std::thread::Builder::new().name("own-tokens".to_owned());
        let started = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(getter.keep(&show, ended)),
                Err(error) => tracing::error!("nobody gets tokens of OAUTHBEARER: {error}"),
            }
        });
        if let Err(error) = started {
            tracing::error!("nobody gets tokens of OAUTHBEARER: {error}");
        }
        Running { shown, _alive: alive }
    }
}

impl Getter {
    /// Gets tokens until nobody wants any.
    async fn keep(&self, show: &watch::Sender<Option<Shown>>, mut ended: watch::Receiver<()>) {
        let mut keeper = TokenKeeper::new(self.rules.refresh, self.rules.retry);
        loop {
            let tried = tokio::select! {
                tried = self.get() => tried,
                _ = ended.changed() => return,
            };
            match &tried {
                Ok(token) => tracing::debug!(
                    subject = token.subject,
                    expires_ms = token.expires_ms,
                    "a token of OAUTHBEARER for own logins"
                ),
                Err(NoToken { why, .. }) => {
                    let place = self.place();
                    tracing::warn!("no token of OAUTHBEARER for own logins from {place}: {why}");
                }
            }
            let tried = tried.map_err(|error| NoToken {
                why: format!("{}: {}", self.place(), error.why),
                ..error
            });
            let next = keeper.take(tried, now_ms(), random());
            let tried_at = Instant::now();
            show.send_replace(Some(next.shown.clone()));
            let mut is_wanted = false;
            loop {
                let left = next.left(tried_at.elapsed(), now_ms(), is_wanted);
                if left.is_zero() {
                    break;
                }
                tokio::select! {
                    () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
                    () = self.wanted.notified() => is_wanted |= next.shown.is_over(now_ms()),
                    _ = ended.changed() => return,
                }
            }
        }
    }

    async fn get(&self) -> Result<OwnToken, NoToken> {
        let subject = &self.rules.subject_claim;
        match (&self.rules.place, &self.endpoint) {
            (TokenPlace::Unsecured(token), _) => OwnToken::read(&token.text(now_ms()), subject)
                .map_err(|error| NoToken::lasting(error.to_string())),
            (TokenPlace::File(path), _) => {
                let bytes = read_file(Path::new(path));
                let bytes = bytes.map_err(|error| NoToken::passing(error.to_string()))?;
                token_of_file(&bytes, subject)
            }
            (TokenPlace::Endpoint { asking, scope, .. }, Some((url, tls))) => {
                let patience = Patience {
                    connect: millis(self.rules.connect_timeout_ms),
                    answer: millis(self.rules.read_timeout_ms),
                };
                let scope = scope.as_deref();
                let request = match asking {
                    Asking::Secret(client) => client.request(scope),
                    Asking::Assertion(place, grant) => grant.request(&assertion(place)?, scope),
                };
                let answer = post_form(url, tls.clone(), &request, patience).await;
                let answer = answer.map_err(NoToken::passing)?;
                token_of_answer(answer.status, &answer.body, subject)
            }
            (TokenPlace::Endpoint { .. }, None) => Err(NoToken::lasting("it has no address")),
        }
    }

    /// Where tokens come from, for people.
    fn place(&self) -> String {
        match &self.rules.place {
            TokenPlace::Unsecured(_) => "sasl.jaas.config".to_owned(),
            TokenPlace::File(path) => path.clone(),
            TokenPlace::Endpoint { url, .. } => url.to_string(),
        }
    }
}

/// The bytes of a small file. Pipes, which never end, and devices are none. This blocks, but only
/// the thread of this module.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn no_token(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("no token of OAUTHBEARER: {why}"))
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// 0 or more, and less than 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without random bits everybody looks at the same time, which is all it would change.
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MODULE: &str = "OAuthBearerLoginModule required";
    /// Of `a`, over since 1970.
    const OVER: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiaWF0IjowLCJleHAiOjk5fQ.";

    fn source(options: &str, settings: &[(&str, &str)]) -> TokenSource {
        let lookup = |name: &str| {
            let found = settings.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let entry = JaasEntry::parse(&format!("{MODULE} {options};")).unwrap();
        TokenSource::read(&lookup, &entry).unwrap()
    }

    /// Answers everybody with this status and with `body` of how many there were.
    fn serve(
        status: u16,
        body: impl Fn(usize) -> String + Send + 'static,
    ) -> (String, Arc<AtomicUsize>) {
        use std::io::Write as _;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"grant_type=client_credentials") {
                    let mut byte = [0; 1];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                let text = String::from_utf8(request).unwrap();
                assert!(text.starts_with("POST /token HTTP/1.1\r\n"), "{text}");
                assert!(text.contains("Authorization: Basic YTpi\r\n"), "{text}");
                let body = body(counter.fetch_add(1, Ordering::SeqCst));
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        (url, asked)
    }

    /// A token that nobody signs.
    fn made(seconds: i64) -> String {
        let options = format!(
            "unsecuredLoginStringClaim_sub=\"me\" unsecuredLoginLifetimeSeconds=\"{seconds}\""
        );
        match &source(&options, &[]).getter.rules.place {
            TokenPlace::Unsecured(token) => token.text(now_ms()),
            _ => unreachable!("the default"),
        }
    }

    #[tokio::test]
    async fn a_token_is_asked_for_once_and_renewed_before_it_ends() {
        let (url, asked) = serve(200, |_| format!("{{\"access_token\":\"{}\"}}", made(4)));
        let source = source(
            "clientId=\"a\" clientSecret=\"b\"",
            &[("sasl.oauthbearer.token.endpoint.url", &url)],
        );
        let first = source.token().await.unwrap();
        assert_eq!(first.subject, "me");
        assert_eq!(source.token().await.unwrap(), first);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::sleep(Duration::from_millis(4500)).await;
        let later = source.token().await.unwrap();
        assert!(later.expires_ms > first.expires_ms);
        drop(source);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = asked.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(4000)).await;
        assert_eq!(asked.load(Ordering::SeqCst), before, "who asks has ended with the source");
    }

    #[tokio::test]
    async fn whoever_finds_that_the_token_has_ended_gets_another_one_soon() {
        let (url, asked) = serve(200, |_| format!("{{\"access_token\":\"{}\"}}", made(60)));
        let source = source(
            "clientId=\"a\" clientSecret=\"b\"",
            &[("sasl.oauthbearer.token.endpoint.url", &url)],
        );
        // As if the clock had been set forward, or the machine had slept.
        let over = Shown::Token(Arc::new(OwnToken::read(OVER, "sub").unwrap()));
        let (show, shown) = watch::channel(Some(over));
        let (alive, ended) = watch::channel(());
        source.running.set(Running { shown, _alive: alive }).ok().unwrap();
        let getter = Arc::clone(&source.getter);
        // What a thread would do that waits for long.
        let keeping = tokio::spawn(async move {
            getter.wanted.notified().await;
            getter.keep(&show, ended).await;
        });
        let token = tokio::time::timeout(Duration::from_secs(5), source.token()).await;
        assert!(token.unwrap().unwrap().expires_ms > now_ms());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        drop(source);
        keeping.await.unwrap();
    }

    #[tokio::test]
    async fn who_gets_no_token_is_told_why() {
        let (url, _) = serve(401, |_| "{\"error\":\"invalid_client\"}".to_owned());
        let credentials = "clientId=\"a\" clientSecret=\"b\"";
        let refused = source(credentials, &[("sasl.oauthbearer.token.endpoint.url", &url)]);
        let told = refused.token().await.unwrap_err().to_string();
        assert_eq!(
            told,
            format!("no token of OAUTHBEARER: {url}: the answer is 401: invalid_client")
        );
        let nobody = ("sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1:1/");
        let told = source(credentials, &[nobody]).token().await.unwrap_err().to_string();
        assert!(told.contains("refused"), "{told}");
    }

    #[tokio::test]
    async fn a_file_is_a_token_too() {
        let path = std::env::temp_dir().join(format!("naru-own-token-{}", std::process::id()));
        let url = format!("file://{}", path.display());
        let settings = [("sasl.oauthbearer.token.endpoint.url", url.as_str())];
        let missing = source("", &settings).token().await.unwrap_err().to_string();
        assert!(missing.contains("naru-own-token"), "{missing}");
        std::fs::write(&path, made(60) + "\n").unwrap();
        assert_eq!(source("", &settings).token().await.unwrap().subject, "me");
        std::fs::remove_file(&path).unwrap();
    }
}
