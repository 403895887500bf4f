//! `kafka-delegation-tokens`: tokens that log in for a time (KIP-48, 373).

use std::path::Path;

use naru_client::admin::DelegationToken;
use naru_client::{Admin, Error};
use naru_security::Principal;

use super::bootstrap::client_config;
use super::common::{Ended, Face, block_on, finish};
use super::failure::{Failure, Thrown};
use super::properties::read_properties;
use crate::options::{BOOTSTRAP, COMMAND_CONFIG, HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::time::civil;
use crate::text::{Streams, base64, unbase64};

pub const ABOUT: &str = "This tool helps to create, renew, expire, or describe delegation tokens.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    Row {
        help: "A properties file with settings of the client, under Kafka's names: tokens are \
               given only to who has logged in.",
        ..COMMAND_CONFIG
    },
    HELP,
    VERSION,
    row("create", Takes::Nothing, "Creates a token."),
    row("renew", Takes::Nothing, "Has a token live longer."),
    row("expire", Takes::Nothing, "Has a token end sooner, or at once."),
    row("describe", Takes::Nothing, "Shows tokens."),
    row(
        "owner-principal",
        Takes::Maybe("type:name"),
        "With --create: for whom; with --describe: whose, may be repeated.",
    ),
    row(
        "renewer-principal",
        Takes::Maybe("type:name"),
        "With --create: who may renew it besides the owner; may be repeated.",
    ),
    row(
        "max-life-time-period",
        Takes::Maybe("ms"),
        "How long it may live at most; -1 is delegation.token.max.lifetime.ms of the cluster.",
    ),
    row(
        "renew-time-period",
        Takes::Maybe("ms"),
        "How long it lives on; -1 is delegation.token.expiry.time.ms of the cluster.",
    ),
    row("expiry-time-period", Takes::Maybe("ms"), "When it ends; -1 is at once."),
    row("hmac", Takes::Maybe("base64"), "The token."),
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-delegation-tokens --bootstrap-server localhost:9092 --command-config \
         client.properties --create --max-life-time-period -1 --renewer-principal User:bob",
        "kafka-delegation-tokens --bootstrap-server localhost:9092 --command-config \
         client.properties --describe --owner-principal User:alice",
    ],
    error_prefix: "",
};

/// What each action needs, and what it does not go with.
const ACTIONS: [(&str, &[&str], &[&str]); 4] = [
    ("create", &["max-life-time-period"], &["hmac", "renew-time-period", "expiry-time-period"]),
    (
        "renew",
        &["hmac", "renew-time-period"],
        &["renewer-principal", "max-life-time-period", "expiry-time-period", "owner-principal"],
    ),
    (
        "expire",
        &["hmac", "expiry-time-period"],
        &["max-life-time-period", "renew-time-period", "owner-principal"],
    ),
    ("describe", &[], &["renew-time-period", "max-life-time-period", "hmac", "expiry-time-period"]),
];

const ILLEGAL: &str = "java.lang.IllegalArgumentException";

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    let mut chosen = ACTIONS.iter().filter(|(action, ..)| p.has(action));
    let (Some((action, needed, unfit)), None) = (chosen.next(), chosen.next()) else {
        let text = "Command must include exactly one action: --create, --renew, --expire or \
                    --describe";
        return Err(FACE.usage(text, streams));
    };
    FACE.require(&p, &["bootstrap-server", "command-config"], streams)?;
    FACE.require(&p, needed, streams)?;
    FACE.exclude(&p, action, unfit, streams)?;
    let periods = ["max-life-time-period", "renew-time-period", "expiry-time-period"];
    let mut period = None;
    for option in periods {
        period = period.or(FACE.number::<i64>(&p, option, streams)?);
    }
    let hmac = FACE.one(&p, "hmac", streams)?.unwrap_or_default().to_owned();
    let servers = FACE.servers(&p, "", streams)?;
    let file = FACE.one(&p, "command-config", streams)?.unwrap_or_default();
    let period = period.unwrap_or(-1);
    let outcome = admin(&servers, file).and_then(|admin| {
        block_on(async {
            match *action {
                "create" => create(&p, &admin, period, streams).await,
                "renew" => renew(&admin, &hmac, period, streams).await,
                "expire" => expire(&admin, &hmac, period, streams).await,
                _ => describe(&p, &admin, streams).await,
            }
        })
    });
    match outcome {
        Ok(()) => Ok(0),
        Err(failure) => {
            failure.tell(streams);
            Ok(1)
        }
    }
}

fn admin(servers: &str, file: &str) -> Result<Admin, Failure> {
    let properties = read_properties(Path::new(file)).map_err(|_| {
        Failure::Thrown(Thrown::new("java.nio.file.NoSuchFileException", file.to_owned()))
    })?;
    let label = "AdminClient clientId=adminclient-1";
    let config = client_config(servers, "adminclient-1", label, &properties);
    config
        .map(Admin::new)
        .map_err(|text| Failure::thrown("org.apache.kafka.common.config.ConfigException", text))
}

fn failed(call: &'static str) -> impl Fn(Error) -> Failure {
    move |error| Failure::of(&error, call)
}

fn principals(p: &Parsed, option: &str) -> Result<Vec<Principal>, Failure> {
    let parse = |text: &str| {
        Principal::parse(text.trim()).map_err(|error| Failure::thrown(ILLEGAL, error.to_string()))
    };
    p.all(option).map(parse).collect()
}

/// `[User:a, User:b]`.
fn listed(principals: &[Principal]) -> String {
    let names: Vec<String> = principals.iter().map(Principal::to_string).collect();
    format!("[{}]", names.join(", "))
}

async fn create(
    p: &Parsed,
    admin: &Admin,
    period: i64,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let renewers = principals(p, "renewer-principal")?;
    let shown = listed(&renewers);
    streams.line(format!(
        "Calling create token operation with renewers :{shown} , max-life-time-period :{period}"
    ));
    let owners = principals(p, "owner-principal")?;
    let created = admin.create_token(owners.first(), &renewers, period).await;
    let token = created.map_err(failed("createDelegationToken"))?;
    streams.line(format!("Created delegation token with tokenId : {}", token.id));
    streams.text(table(&[token]));
    Ok(())
}

async fn renew(
    admin: &Admin,
    hmac: &str,
    period: i64,
    streams: &mut Streams,
) -> Result<(), Failure> {
    streams.line(format!(
        "Calling renew token operation with hmac :{hmac} , renew-time-period :{period}"
    ));
    let ends = admin.renew_token(&decoded(hmac)?.into(), period).await;
    let ends = ends.map_err(failed("renewDelegationToken"))?;
    streams.text(format!("Completed renew operation. New expiry date : {}", minute(ends)));
    Ok(())
}

async fn expire(
    admin: &Admin,
    hmac: &str,
    period: i64,
    streams: &mut Streams,
) -> Result<(), Failure> {
    streams.line(format!(
        "Calling expire token operation with hmac :{hmac} , expire-time-period :{period}"
    ));
    let ends = admin.expire_token(&decoded(hmac)?.into(), period).await;
    let ends = ends.map_err(failed("expireDelegationToken"))?;
    streams.text(format!("Completed expire operation. New expiry date : {}", minute(ends)));
    Ok(())
}

async fn describe(p: &Parsed, admin: &Admin, streams: &mut Streams) -> Result<(), Failure> {
    let owners = principals(p, "owner-principal")?;
    if owners.is_empty() {
        streams.line("Calling describe token operation for current user.");
    } else {
        let shown = listed(&owners);
        streams.line(format!("Calling describe token operation for owners: {shown}"));
    }
    let tokens = admin.describe_tokens(Some(&owners)).await;
    let tokens = tokens.map_err(failed("describeDelegationToken"))?;
    streams.text(format!("Total number of tokens : {}", tokens.len()));
    streams.text(table(&tokens));
    Ok(())
}

fn decoded(hmac: &str) -> Result<Vec<u8>, Failure> {
    unbase64(hmac).ok_or_else(|| {
        let wrong =
            hmac.bytes().find(|byte| !byte.is_ascii_alphanumeric() && !b"+/=".contains(byte));
        let words = match wrong {
            Some(byte) => format!("Illegal base64 character {byte:x}"),
            None => "Input byte array has wrong 4-byte ending unit".to_owned(),
        };
        Failure::thrown(ILLEGAL, words)
    })
}

/// The tokens as Kafka shows them: an empty line before each, columns that grow with what is in
/// them.
fn table(tokens: &[DelegationToken]) -> String {
    let row = |[id, hmac, owner, requester, renewers, issued, expires, max]: [&str; 8]| {
        format!(
            "\n{id:<15} {hmac:<30} {owner:<15} {requester:<15} {renewers:<25} {issued:<15} \
             {expires:<15} {max:<15}\n"
        )
    };
    let mut text = row([
        "TOKENID",
        "HMAC",
        "OWNER",
        "REQUESTER",
        "RENEWERS",
        "ISSUEDATE",
        "EXPIRYDATE",
        "MAXDATE",
    ]);
    for token in tokens {
        text.push_str(&row([
            &token.id,
            &base64(&token.hmac),
            &token.owner.to_string(),
            &token.requester.to_string(),
            &listed(&token.renewers),
            &minute(token.issued),
            &minute(token.expires),
            &minute(token.max),
        ]));
    }
    text
}

/// A moment to the minute, in UTC.
fn minute(millis: i64) -> String {
    let t = civil(millis);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_as_apache_kafka_shows_it() {
        let token = DelegationToken {
            id: "ONoxaC4zRtSRt0nf0vLKOg".to_owned(),
            hmac: vec![0; 24].into(),
            owner: Principal::user("alice"),
            requester: Principal::user("admin"),
            renewers: vec![Principal::user("bob"), Principal::user("carol")],
            issued: 1_795_256_254_480,
            expires: 1_795_342_654_480,
            max: 1_795_861_054_480,
        };
        let expect = "
TOKENID         HMAC                           OWNER           REQUESTER       RENEWERS                  \
                      ISSUEDATE       EXPIRYDATE      MAXDATE        

ONoxaC4zRtSRt0nf0vLKOg AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA User:alice      User:admin      \
                      [User:bob, User:carol]    2026-11-21T10:17 2026-11-22T10:17 2026-11-28T10:17
";
        assert_eq!(table(&[token]), expect);
    }

    #[test]
    fn what_is_no_base64_is_told_as_java_tells_it() {
        assert_eq!(decoded("!!").unwrap_err().words(), "Illegal base64 character 21");
        assert_eq!(decoded("AAAA").unwrap(), [0, 0, 0]);
    }
}
