//! Settings: where they come from, and that one run names every mistake.

use std::collections::HashMap;
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

/// Reads with these flags and variables, and with a file `shop.yaml` if `file` says anything.
fn read_with<T: DeserializeOwned>(
    arguments: &[&str],
    variables: &[(&str, &str)],
    file: &str,
) -> Result<T, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml").to_str().unwrap().to_owned();
    std::fs::write(&path, file).unwrap();
    let named = (!file.is_empty()).then_some((SETTINGS_FILE, path.as_str()));
    let environment = variables.iter().copied().chain(named).collect();
    let outcome = Sources::new(environment, arguments.iter().copied().collect()).read("shop");
    let short = |text: &str| text.replace(&path, "shop.yaml");
    outcome.map_err(|SettingsError(reason)| {
        SettingsError(match reason {
            Reason::Answer(text) => Reason::Answer(short(&text)),
            Reason::Wrong(mistakes) => Reason::Wrong(
                mistakes.into_iter().map(|found| Mistake::new(short(&found.place), short(&found.problem))).collect(),
            ),
        })
    })
}

fn read(variables: &[(&str, &str)], file: &str) -> Result<Sample, SettingsError> {
    read_with(&[], variables, file)
}

/// What `--help` or `--print-config` gives.
fn answer<T: DeserializeOwned>(arguments: &[&str], variables: &[(&str, &str)], file: &str) -> String {
    let error = read_with::<T>(arguments, variables, file).map(|_| "settings, and no answer").unwrap_err();
    error.answer().unwrap_or_else(|| panic!("{error}")).to_owned()
}

/// Checks the places, and that each problem says what is expected.
fn check_mistakes<T>(outcome: Result<T, SettingsError>, expected: &[(&str, &str)]) {
    let error = outcome.map(|_| "sound settings").unwrap_err();
    let found: Vec<_> = error.mistakes().iter().map(|mistake| mistake.place.as_str()).collect();
    let wanted: Vec<_> = expected.iter().map(|(place, _)| *place).collect();
    assert_eq!(found, wanted, "{error}");
    for (mistake, (_, problem)) in error.mistakes().iter().zip(expected) {
        assert!(mistake.problem.contains(problem), "{mistake:?} does not say {problem:?}");
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Layers {
    #[serde(default)]
    by_default: u8,
    #[serde(default)]
    by_file: u8,
    #[serde(default)]
    by_variable: u8,
    #[serde(default)]
    by_flag: u8,
}

#[test]
fn each_source_beats_the_one_before() {
    let file = "by_file: 1\nby_variable: 1\nby_flag: 1\n";
    let variables = [("BY_VARIABLE", "2"), ("BY_FLAG", "2"), ("HOME", "/root")];
    let settings: Layers = read_with(&["--by-flag", "3"], &variables, file).unwrap();
    assert_eq!(settings, Layers { by_default: 0, by_file: 1, by_variable: 2, by_flag: 3 });
}

#[test]
fn what_is_beaten_is_not_looked_at() {
    let settings: Layers = read_with(&["--by-flag=3"], &[("BY_FLAG", "three")], "by_flag: three\n").unwrap();
    assert_eq!(settings.by_flag, 3);
}

#[test]
fn a_field_is_any_type_that_serde_reads() {
    let file = "database_url: sqlite:file.db\nlisten: 127.0.0.1:1\nlimits: { grams: 31500 }\n";
    let expected = Sample {
        database_url: "sqlite:env.db".into(),
        base_cents: 4900,
        ratio: Some(0.5),
        mode: Mode::VerySafe,
        limits: Limits { grams: 31500 },
        listen: "127.0.0.1:1".parse().unwrap(),
    };
    let variables = [("DATABASE_URL", "sqlite:env.db"), ("MODE", "very-safe")];
    assert_eq!(read_with(&["--ratio", "0.5"], &variables, file), Ok(expected));
}

#[test]
fn an_empty_file_is_no_settings() {
    let variables = [("DATABASE_URL", "sqlite:a"), ("LISTEN", "127.0.0.1:1")];
    assert_eq!(read(&variables, "# nothing yet\n").unwrap().base_cents, 4900);
}

#[test]
fn the_flag_settings_beats_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.yaml");
    std::fs::write(&path, "by_file: 7\n").unwrap();
    let settings: Layers = read_with(&["--settings", path.to_str().unwrap()], &[], "by_file: 1\n").unwrap();
    assert_eq!(settings.by_file, 7);
}

#[test]
fn every_mistake_is_found_in_one_run() {
    let file = "limits: { grams: heavy }\nbase_cent: 1\nweight_of_the_moon: 1\n";
    check_mistakes(
        read_with::<Sample>(
            &["--databse-url", "sqlite:a", "--mode", "slow", "more", "--moonlight", "--check-config=yes"],
            &[("BASE_CENTS", "-1"), ("RATIO", "half"), ("PORT", "http")],
            file,
        ),
        &[
            ("PORT", "`http` is not a port"),
            ("--databse-url", "did you mean `--database-url`?"),
            ("argument 5", "`--name VALUE`"),
            ("--moonlight", "`--help` lists them"),
            ("--check-config", "takes no value"),
            ("shop.yaml: base_cent", "did you mean `base_cents`?"),
            ("shop.yaml: weight_of_the_moon", "there are: database_url, base_cents"),
            ("BASE_CENTS", "`-1` is not a whole number from 0"),
            ("RATIO", "`half` is not a number"),
            ("--mode", "very-safe"),
            ("shop.yaml: limits", "grams"),
            ("DATABASE_URL", "set DATABASE_URL, or --database-url VALUE, or `database_url` in the settings file"),
            ("LISTEN", "missing"),
        ],
    );
}

#[test]
fn several_missing_fields_are_all_named() {
    #[derive(Debug, Deserialize)]
    struct Addresses {
        #[serde(rename = "first")]
        _first: SocketAddr,
        #[serde(rename = "second")]
        _second: std::net::IpAddr,
        #[serde(rename = "third")]
        _third: Limits,
    }
    check_mistakes(read(&[], ""), &[("DATABASE_URL", "missing"), ("LISTEN", "missing")]);
    let expected =
        [("FIRST", "--first VALUE"), ("SECOND", "missing"), ("THIRD", "write `third` into the settings file")];
    check_mistakes(read_with::<Addresses>(&[], &[], ""), &expected);
}

#[test]
fn what_may_be_in_an_unreadable_file_is_not_called_missing() {
    let outcome = read_with::<Sample>(&["--settings", "/nonexistent.yaml", "--ratio", "half"], &[], "");
    check_mistakes(outcome, &[("--settings /nonexistent.yaml", "No such file"), ("--ratio", "`half`")]);
    check_mistakes(read(&[], "- a\n- b\n"), &[("shop.yaml", "must be a mapping")]);
    check_mistakes(read(&[], "a: ["), &[("shop.yaml", "")]);
}

#[test]
fn what_has_parts_is_not_read_from_one_text() {
    let variables = [("DATABASE_URL", "a"), ("LISTEN", "127.0.0.1:1"), ("LIMITS", "grams=1")];
    check_mistakes(read(&variables, ""), &[("LIMITS", "SAMSPILL_SETTINGS")]);
    check_mistakes(read_with::<Sample>(&["--limits", "1"], &variables, ""), &[("--limits", "settings file")]);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Switches {
    #[serde(default)]
    is_fast: bool,
    is_safe: Option<bool>,
    #[serde(default)]
    degrees: i32,
}

#[test]
fn a_switch_needs_no_value() {
    let check = |arguments: &[&str], is_fast, is_safe, degrees| {
        assert_eq!(read_with(arguments, &[], ""), Ok(Switches { is_fast, is_safe, degrees }), "{arguments:?}");
    };
    check(&["--is-fast", "--is-safe"], true, Some(true), 0);
    check(&["--is-fast", "false", "--is-safe=false"], false, Some(false), 0);
    check(&["--is-fast", "--degrees", "-5"], true, None, -5);
    check(&["--degrees=-5", "--is-safe", "true"], false, Some(true), -5);
}

#[test]
fn a_flag_is_given_once_and_with_its_value() {
    let check = |arguments: &[&str], expected: &[(&str, &str)]| {
        check_mistakes(read_with::<Switches>(arguments, &[], ""), expected);
    };
    check(&["--degrees"], &[("--degrees", "needs a value: `--degrees VALUE`")]);
    check(&["--degrees", "--is-fast"], &[("--degrees", "needs a value")]);
    check(&["--degrees=1", "--degrees=2"], &[("--degrees", "given twice")]);
    check(&["--is-fast=yes"], &[("--is-fast", "`yes` is not `true` or `false`")]);
    check(&["--settings"], &[("--settings", "needs a value")]);
    check(&["--degrees", ""], &[("--degrees", "`` is not a whole number")]);
    check(&["-x", "--"], &[("argument 1", "is not a flag"), ("--", "is not a flag")]);
}

#[test]
fn arguments_that_are_not_utf_8_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let broken = std::ffi::OsString::from_vec(vec![0xff]);
    let arguments = [broken.clone(), "--degrees".into(), broken].into_iter().collect();
    let outcome = Sources::new(Environment::default(), arguments).read::<Switches>("shop");
    check_mistakes(outcome, &[("argument 1", "is not UTF-8"), ("--degrees", "not UTF-8")]);
}

#[test]
fn a_field_cannot_take_the_name_of_a_flag_that_every_service_has() {
    #[derive(Debug, Deserialize)]
    struct Taken {
        #[serde(rename = "check_config", default)]
        _check_config: bool,
    }
    check_mistakes(read_with::<Taken>(&[], &[], ""), &[("settings", "the field `check_config` must be renamed")]);
    check_mistakes(read_with::<HashMap<String, String>>(&[], &[], ""), &[("settings", "a struct with named fields")]);
}

/// A secret wherever one may be.
#[derive(Debug, Deserialize)]
struct Secrets {
    #[serde(default)]
    password: Secret<String>,
    pin: Option<Secret<u16>>,
    keys: Option<Vec<Secret<String>>>,
    login: Option<Login>,
    either: Option<Either>,
    listed: Option<Listed>,
    auth: Option<Auth>,
    maybe: Option<Secret<Login>>,
}

#[derive(Debug, Deserialize)]
struct Login {
    user: String,
    password: Secret<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Either {
    Token {
        token: Secret<String>,
    },
    #[expect(dead_code, reason = "printed only")]
    None {
        anonymous: bool,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Auth {
    Open,
    Token(Secret<String>),
}

/// Its secrets are parts of one text.
#[derive(Debug)]
struct Listed(Vec<Secret<String>>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::IntoDeserializer;
        let text = String::deserialize(deserializer)?;
        let parts = text.split(',').map(|part| Secret::deserialize(part.into_deserializer()));
        parts.collect::<Result<_, D::Error>>().map(Self)
    }
}

const SECRETS: &str = r#"
password: hunter2
pin: 2222
keys: [hunter2, hunter3]
login: { user: ada, password: "hunter2" }
either: { token: hunter2 }
listed: hunter2,hunter3
auth: { token: hunter2 }
maybe: { user: hunter2, password: hunter3 }
"#;

#[test]
fn a_secret_is_read_and_never_printed() {
    let settings: Secrets = read_with(&[], &[], SECRETS).unwrap();
    assert_eq!((settings.password.expose().as_str(), settings.pin.as_ref().unwrap().expose()), ("hunter2", &2222));
    let login = settings.login.as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.password.expose().as_str()), ("ada", "hunter2"));
    assert_eq!(settings.keys.as_ref().unwrap()[1].expose(), "hunter3");
    let Some(Either::Token { token }) = &settings.either else { panic!("{:?}", settings.either) };
    assert_eq!((token.expose().as_str(), settings.listed.as_ref().unwrap().0.len()), ("hunter2", 2));
    let Some(Auth::Token(token)) = &settings.auth else { panic!("{:?}", settings.auth) };
    assert_eq!(
        (token.expose().as_str(), settings.maybe.as_ref().unwrap().expose().user.as_str()),
        ("hunter2", "hunter2")
    );

    let printed = format!("{settings:?} {}", settings.password);
    assert!(!printed.contains("hunter") && !printed.contains("2222"), "{printed}");
    assert_eq!(serde_json::to_string(&settings.pin).unwrap(), r#""***""#);
    let sources = Sources::new([("PASSWORD", "hunter2")].into_iter().collect(), ["--pin=2222"].into_iter().collect());
    let service =
        format!("{:?}", crate::test::service_with_arguments("shop", [("PASSWORD", "hunter2")], ["--pin=2222"]));
    for printed in [format!("{sources:?}"), service] {
        assert!(printed.contains("PASSWORD") && !printed.contains("hunter") && !printed.contains("2222"), "{printed}");
    }
}

#[test]
fn secrets_are_hidden_in_the_printed_settings() {
    let expected = r#"password: "***" # shop.yaml
pin: "***" # shop.yaml
keys: ["***","***"] # shop.yaml
login: {"password":"***","user":"ada"} # shop.yaml
either: {"token":"***"} # shop.yaml
listed: "***" # shop.yaml
auth: {"token":"***"} # shop.yaml
maybe: "***" # shop.yaml
"#;
    assert_eq!(answer::<Secrets>(&["--print-config"], &[], SECRETS), expected);
    let variables = [("PASSWORD", "hunter2"), ("LISTED", "hunter2,hunter3")];
    let expected = r#"password: "***" # PASSWORD
pin: "***" # --pin
# keys: # default: not given
# login: # default: not given
either: {"anonymous":true} # shop.yaml
listed: "***" # LISTED
# auth: # default: not given
# maybe: # default: not given
"#;
    let file = "either: { anonymous: true }\n";
    assert_eq!(answer::<Secrets>(&["--print-config", "--pin", "2222"], &variables, file), expected);
}

#[test]
fn where_not_every_secret_was_seen_the_whole_is_hidden() {
    #[derive(Deserialize)]
    struct Logins {
        #[serde(rename = "logins")]
        _logins: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "pin")]
        _pin: Secret<Option<u16>>,
        #[serde(rename = "password")]
        _password: Secret<String>,
    }
    let file = "logins: [{ password: hunter2 }, { password: hunter3 }]\n";
    assert_eq!(answer::<Logins>(&["--print-config"], &[], file), "logins: \"***\" # shop.yaml\n");
}

#[test]
fn mistakes_do_not_repeat_secrets() {
    let check = |arguments: &[&str], variables: &[(&str, &str)], file: &str, places: &[&str]| {
        let error = read_with::<Secrets>(arguments, variables, file).unwrap_err();
        let found: Vec<_> = error.mistakes().iter().map(|mistake| mistake.place.as_str()).collect();
        assert_eq!(found, places, "{error}");
        assert!(!error.to_string().contains("hunter") && !format!("{error:?}").contains("hunter"), "{error}");
    };
    check(&[], &[("PIN", "hunter2")], "", &["PIN"]);
    check(&["--pin", "hunter2"], &[], "", &["--pin"]);
    check(
        &["--pin=hunter2"],
        &[],
        "password: [hunter2]\nkeys: hunter2\n",
        &["shop.yaml: password", "--pin", "shop.yaml: keys"],
    );
    check(
        &[],
        &[],
        "pin: hunter2\nlogin: hunter2\nmaybe: hunter2\n",
        &["shop.yaml: pin", "shop.yaml: login", "shop.yaml: maybe"],
    );
    check(&[], &[], "keys: [a, { b: hunter2 }]\neither: hunter2\n", &["shop.yaml: keys", "shop.yaml: either"]);
    check(&["--auth", "hunter2"], &[("EITHER", "hunter2"), ("LOGIN", "hunter2")], "", &["LOGIN", "EITHER", "--auth"]);
    check(
        &[],
        &[],
        "auth: hunter2\nlogin: { user: a, password: { b: hunter2 } }\n",
        &["shop.yaml: login", "shop.yaml: auth"],
    );
    // Lines around a mistake in YAML, and what YAML takes for its own.
    check(&[], &[], "password: hunter2\n]\n", &["shop.yaml"]);
    check(&[], &[], "password: *hunter2\n", &["shop.yaml"]);
    check(&[], &[], "password: !hunter2 a\npin: a", &["shop.yaml: pin"]);
    // A flag that is misspelt, a value that looks like a flag, a value in two words.
    check(&["--pasword", "hunter2"], &[], "", &["--pasword"]);
    check(&["--pasword=hunter2"], &[], "", &["--pasword"]);
    check(&["--password", "--hunter2", "hunter3"], &[], "", &["argument 3"]);
    check(&["-phunter2"], &[], "", &["argument 1"]);
    check(&["--password", "--pin=1"], &[], "", &["--password"]);
}

#[test]
fn a_secret_that_cannot_be_read_says_what_it_should_be() {
    check_mistakes(
        read_with::<Secrets>(&[], &[("PIN", "hunter2")], "keys: [a, [b]]"),
        &[("PIN", "cannot be read as u16"), ("shop.yaml: keys", "[1]: is a secret that cannot be read as String")],
    );
    #[derive(Debug, Deserialize)]
    struct Required {
        #[serde(rename = "password")]
        _password: Secret<String>,
        #[serde(rename = "pin")]
        _pin: Secret<Option<u16>>,
    }
    check_mistakes(read_with::<Required>(&[], &[], ""), &[("PASSWORD", "is missing: set PASSWORD")]);
}

#[test]
fn the_printed_settings_are_a_settings_file() {
    let file = "database_url: \"sqlite:a: #b\"\nlimits: { grams: 31500 }\n";
    let variables = [("LISTEN", "127.0.0.1:1"), ("BASE_CENTS", " 4700 ")];
    let arguments = ["--ratio", "1e-1", "--mode=very-safe"];
    let printed = answer::<Sample>(&[&arguments[..], &["--print-config"]].concat(), &variables, file);
    let expected = r##"database_url: "sqlite:a: #b" # shop.yaml
base_cents: 4700 # BASE_CENTS
ratio: 0.1 # --ratio
mode: "very-safe" # --mode
limits: {"grams":31500} # shop.yaml
listen: "127.0.0.1:1" # LISTEN
"##;
    assert_eq!(printed, expected);
    assert_eq!(read(&[], &printed), read_with(&arguments, &variables, file));
    assert!(read(&[], &printed).is_ok());
}

#[test]
fn what_is_given_decides_what_is_answered() {
    let sound = [("DATABASE_URL", "sqlite:a"), ("LISTEN", "127.0.0.1:1")];
    assert_eq!(answer::<Sample>(&["--check-config"], &sound, ""), "settings are sound\n");
    let outcome = read_with::<Sample>(&["--check-config", "--print-config"], &sound[..1], "");
    check_mistakes(outcome, &[("LISTEN", "missing")]);
    assert!(answer::<Sample>(&["--check-config", "--print-config"], &sound, "").starts_with("database_url: "));
    // Help is for whoever does not know what is wrong.
    assert!(
        answer::<Sample>(&["--check-config", "--halp", "-h"], &[("PORT", "http")], "a: [").starts_with("Usage: shop")
    );
}

#[test]
fn the_help_has_one_line_for_each_setting() {
    let expected = "\
Usage: shop [FLAG]...

Settings. A flag beats the variable, which beats the file, which beats the default.

  flag                   variable      key in the file
  --database-url VALUE   DATABASE_URL  database_url     required
  --base-cents NUMBER    BASE_CENTS    base_cents       has a default
  --ratio NUMBER         RATIO         ratio            optional
  --mode fast|very-safe  MODE          mode             has a default
  (only in the file)                   limits           has a default
  --listen VALUE         LISTEN        listen           required

Every service has

  --settings FILE  SAMSPILL_SETTINGS  the YAML file with the keys above
  --check-config                      say whether the settings are sound, and end
  --print-config                      print the settings and where each comes from, and end
  --help                              print this, and end

and obeys PORT, SAMSPILL_OUTBOUND, OTEL_EXPORTER_OTLP_ENDPOINT and RUST_LOG.
";
    assert_eq!(answer::<Sample>(&["--help"], &[], ""), expected);
    let help = answer::<Secrets>(&["--help"], &[], "");
    assert!(help.contains("--pin NUMBER        PIN       pin              optional, secret\n"), "{help}");
    let help = answer::<Switches>(&["--help"], &[], "");
    assert!(help.contains("  --is-fast         IS_FAST   is_fast          has a default\n"), "{help}");
}

#[test]
fn the_help_does_not_call_a_default_what_it_does_not_know() {
    /// Accepts one word only.
    #[derive(Debug)]
    struct Picky;
    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let word = String::deserialize(deserializer)?;
            if word == "please" { Ok(Self) } else { Err(serde::de::Error::custom("say please")) }
        }
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its names are used")]
    struct Unknown {
        ratio: Option<f64>,
        picky: Picky,
        after: String,
    }
    let help = answer::<Unknown>(&["--help"], &[], "");
    assert!(help.contains("  picky            required\n") && help.contains("  after\n"), "{help}");
    assert!(help.contains("  ratio            optional\n"), "{help}");
}

#[test]
fn a_service_without_settings_refuses_flags_before_it_serves() {
    let sources = |arguments: &[&str]| Sources::new(Environment::default(), arguments.iter().copied().collect());
    check_mistakes(sources(&["--port=1"]).check("shop"), &[("--port", "is not a flag of this service")]);
    assert!(sources(&["--help"]).check("shop").unwrap_err().answer().unwrap().starts_with("Usage: shop"));
    assert_eq!(sources(&["--print-config"]).check("shop").unwrap_err().answer(), Some(""));
    assert_eq!(sources(&[]).check("shop"), Ok(()));
}

#[test]
fn nothing_is_served_with_settings_that_were_refused() {
    let service = |arguments: &[&'static str]| {
        let sources = Sources::new(Environment::default(), arguments.iter().copied().collect());
        let degrees = sources.read::<Switches>("shop").map_or(0, |switches| switches.degrees);
        (degrees, sources.check("shop"))
    };
    assert_eq!(service(&["--degrees=1"]), (1, Ok(())));
    check_mistakes(service(&["--degrees=one"]).1, &[("--degrees", "`one`")]);
    assert!(service(&["--help"]).1.unwrap_err().answer().is_some());
}

#[test]
fn the_database_is_the_one_that_the_settings_name() {
    let system = |arguments: &[&'static str], variables: &[(&'static str, &'static str)]| {
        let service = crate::test::service_with_arguments("shop", variables.iter().copied(), arguments.iter().copied());
        #[derive(Deserialize)]
        struct Database {
            #[serde(rename = "database_url")]
            _database_url: Option<Secret<String>>,
        }
        let _settings: Database = service.settings().unwrap();
        service.database_system()
    };
    assert_eq!(system(&["--database-url", "postgres://shop"], &[("DATABASE_URL", "sqlite:a")]), "postgresql");
    assert_eq!(system(&[], &[("DATABASE_URL", "sqlite:a")]), "sqlite");
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
    let (outside, mistakes) = Outside::read(&environment.into_iter().collect());
    assert_eq!(mistakes, []);
    assert_eq!(outside.ports, [3000, 3001]);
    assert_eq!(outside.outbound, Some("127.0.0.1:9000".parse().unwrap()));
    assert_eq!(outside.database_system, "sqlite");

    let wrong = [("PORT", "http"), ("SAMSPILL_OUTBOUND", "https://sidecar"), ("SAMSPILL_DEVELOPMENT", "yes")];
    let (outside, mistakes) = Outside::read(&wrong.into_iter().collect());
    assert_eq!(mistakes.len(), 3);
    // No call goes around a sidecar that is misspelt.
    assert_eq!(outside.outbound, Some(NOBODY));
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
        let (outside, mistakes) = Outside::read(&variables.iter().copied().collect());
        assert_eq!((outside.is_development, mistakes.len()), (expected, 0), "{variables:?}");
    }
}
