use super::*;

static ROWS: &[Row] = &[
    BOOTSTRAP,
    row("topic", Takes::Text("topic"), "t"),
    row("topics-with-overrides", Takes::Nothing, "o"),
    row("partitions", Takes::Int("n"), "p"),
    row("partition-size-limit-per-response", Takes::Int("n"), "l"),
    row("describe", Takes::Nothing, "d"),
    row("state", Takes::Maybe("s"), "s"),
    old("partition", Takes::Int("n"), Old::Same("partitions")),
    old("force", Takes::Nothing, Old::Nothing),
    ZOOKEEPER,
    BROKER_LIST,
];

fn read(line: &str) -> Result<Parsed, OptionError> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse(ROWS, &args)
}

#[test]
fn a_value_stands_behind_a_space_or_an_equals_sign() {
    for line in
        ["--topic a --describe", "--describe --topic=a", "-topic a --desc", "--desc --topic a"]
    {
        let parsed = read(line).unwrap();
        assert_eq!(parsed.one("topic"), Ok(Some("a")), "{line}");
        assert!(parsed.has("describe"), "{line}");
    }
}

#[test]
fn a_value_may_look_like_an_option() {
    assert_eq!(read("--topic --describe").unwrap().one("topic"), Ok(Some("--describe")));
    assert_eq!(read("--partitions -1").unwrap().number("partitions"), Ok(Some(-1)));
}

#[test]
fn an_optional_value_is_not_taken_from_the_next_option() {
    let parsed = read("--state --describe").unwrap();
    assert!(parsed.has("state") && parsed.has("describe"));
    assert_eq!(parsed.one("state"), Ok(None));
    assert_eq!(read("--state Empty").unwrap().one("state"), Ok(Some("Empty")));
}

#[test]
fn unknown_and_ambiguous_names_are_refused_in_kafkas_words() {
    for (line, text) in [
        ("--lst", "lst is not a recognized option"),
        ("--to x", "to is not a recognized option"),
        ("--topic", "Option topic requires an argument"),
        ("--partitions x", "Cannot parse argument 'x' of option partitions"),
    ] {
        assert_eq!(read(line).unwrap_err().to_string(), text);
    }
}

#[test]
fn a_repeated_option_has_all_values_but_not_one() {
    let parsed = read("--topic a --topic b").unwrap();
    assert_eq!(parsed.all("topic").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(parsed.one("topic"), Err(OptionError::Repeated("topic".to_owned())));
}

#[test]
fn options_of_the_past_lead_to_those_of_today_with_a_notice() {
    let parsed = read("--zookeeper h:2181 --partition 3 --force --broker-list b:9092").unwrap();
    assert_eq!(parsed.zookeeper.as_deref(), Some("h:2181"));
    assert_eq!(parsed.number("partitions"), Ok(Some(3)));
    assert_eq!(parsed.one("bootstrap-server"), Ok(Some("b:9092")));
    assert_eq!(parsed.notices.len(), 3);
}

#[test]
fn suggestions_are_near_or_begin_the_same() {
    let names = ["list", "describe", "delete"];
    assert_eq!(nearest("lst", names), Some("list"));
    assert_eq!(nearest("ilst", names), Some("list"));
    assert_eq!(nearest("desc", names), Some("describe"));
    assert_eq!(nearest("zzz", names), None);
}

#[test]
fn help_shows_every_option_of_today_and_none_of_the_past() {
    let text = help("About.", ROWS, &["example"]);
    assert!(text.contains("--topic <topic>") && text.contains("--state [s]"));
    assert!(!text.contains("zookeeper"));
}
