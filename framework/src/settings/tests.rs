//! Settings: where they come from, and that one run names every mistake.

use std::net::SocketAddr;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
struct Sample {
    database_url: String,
    #[serde(default = "base")]
    base_cents: u64,
    ratio: Option<f64>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    limits: Limits,
    listen: SocketAddr,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Fast,
    VerySafe,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Limits {
    grams: u32,
}

fn base() -> u64 {
    4900
}

fn read(variables: &[(&str, &str)], file: &str) -> Result<Sample, SettingsError> {
    let environment: Environment = variables.iter().copied().collect();
    de::read(&environment, Some(&de::File::parse("shop.yaml", file)?))
}

/// Checks the places, and that each problem says what is expected.
fn check_mistakes(outcome: Result<Sample, SettingsError>, expected: &[(&str, &str)]) {
    let error = outcome.unwrap_err();
    let found: Vec<_> = error.mistakes().iter().map(|mistake| mistake.place.as_str()).collect();
    let wanted: Vec<_> = expected.iter().map(|(place, _)| *place).collect();
    assert_eq!(found, wanted, "{error}");
    for (mistake, (_, problem)) in error.mistakes().iter().zip(expected) {
        assert!(mistake.problem.contains(problem), "{mistake:?} does not say {problem:?}");
    }
}

#[test]
fn the_environment_beats_the_file_beats_the_default() {
    let file = "database_url: sqlite:file.db\nlisten: 127.0.0.1:1\nlimits: { grams: 31500 }\n";
    let expected = Sample {
        database_url: "sqlite:env.db".into(),
        base_cents: 4900,
        ratio: Some(0.5),
        mode: Mode::VerySafe,
        limits: Limits { grams: 31500 },
        listen: "127.0.0.1:1".parse().unwrap(),
    };
    let variables = [("DATABASE_URL", "sqlite:env.db"), ("RATIO", "0.5"), ("MODE", "very-safe"), ("HOME", "/root")];
    assert_eq!(read(&variables, file), Ok(expected));
}

#[test]
fn an_empty_file_is_no_settings() {
    let variables = [("DATABASE_URL", "sqlite:a"), ("LISTEN", "127.0.0.1:1")];
    assert_eq!(read(&variables, "# nothing yet\n").unwrap().base_cents, 4900);
}

#[test]
fn every_mistake_is_found_in_one_run() {
    let file = "listen: 127.0.0.1:1\nlimits: { grams: heavy }\nbase_cent: 1\n";
    check_mistakes(
        read(&[("BASE_CENTS", "-1"), ("RATIO", "half"), ("MODE", "slow")], file),
        &[
            ("shop.yaml: base_cent", "base_cents"),
            ("BASE_CENTS", "`-1` is not a whole number from 0"),
            ("RATIO", "`half` is not a number"),
            ("MODE", "very-safe"),
            ("shop.yaml: limits", "grams"),
            ("DATABASE_URL", "missing"),
        ],
    );
}

#[test]
fn several_missing_fields_are_all_named() {
    check_mistakes(read(&[], ""), &[("DATABASE_URL", "missing"), ("LISTEN", "missing")]);
}

#[test]
fn what_has_parts_is_not_read_from_one_variable() {
    let variables = [("DATABASE_URL", "a"), ("LISTEN", "127.0.0.1:1"), ("LIMITS", "grams=1")];
    check_mistakes(read(&variables, ""), &[("LIMITS", "SAMSPILL_SETTINGS")]);
}

#[test]
fn a_file_that_is_no_mapping_is_refused() {
    assert!(de::File::parse("shop.yaml", "- a\n- b\n").is_err());
    assert!(de::File::parse("shop.yaml", "a: [").is_err());
    assert!(de::File::read("/nonexistent/shop.yaml").unwrap_err().to_string().contains("/nonexistent/shop.yaml"));
}

#[test]
fn the_framework_reads_its_own_variables() {
    let environment = [
        ("PORT", "3000"),
        ("PORT_HTTP", "3000"),
        ("PORT_GRPC", "3001"),
        ("PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SAMSPILL_OUTBOUND", "http://127.0.0.1:9000"),
        ("DATABASE_URL", "sqlite:///data/a.db"),
    ];
    let outside = Outside::read(&environment.into_iter().collect()).unwrap();
    assert_eq!(outside.ports, [3000, 3001]);
    assert_eq!(outside.outbound, Some("127.0.0.1:9000".parse().unwrap()));
    assert_eq!(outside.database_system, "sqlite");

    let wrong = [("PORT", "http"), ("SAMSPILL_OUTBOUND", "https://sidecar"), ("SAMSPILL_DEVELOPMENT", "yes")];
    assert_eq!(Outside::read(&wrong.into_iter().collect()).unwrap_err().mistakes().len(), 3);
}

#[test]
fn development_is_said_or_is_where_no_mesh_is() {
    const OUTBOUND: (&str, &str) = ("SAMSPILL_OUTBOUND", "http://127.0.0.1:9000");
    for (variables, expected) in [
        (&[][..], true),
        (&[OUTBOUND], false),
        (&[OUTBOUND, ("SAMSPILL_DEVELOPMENT", "1")], true),
        (&[("SAMSPILL_DEVELOPMENT", "0")], false),
    ] {
        let outside = Outside::read(&variables.iter().copied().collect()).unwrap();
        assert_eq!(outside.is_development, expected, "{variables:?}");
    }
}
