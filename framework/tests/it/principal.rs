//! Bearer tokens: whose count, and what becomes of the others (RFC 8725 §3).

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use samspill::{Call, JwtAlgorithm, JwtError, JwtSettings, Problem, test};
use samspill_net::clock;
use serde_json::{Value, json};

use crate::greeter::GreeterServer;
use crate::support::{parts, raw_rpc, say};

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "invoicing";

struct Keys {
    ec: KeyPair,
    rsa: KeyPair,
}

impl Keys {
    fn new() -> Self {
        let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        Self { ec: KeyPair::generate().unwrap(), rsa }
    }

    /// Both keys count.
    fn settings(&self) -> JwtSettings {
        let settings = JwtSettings::new(ISSUER, AUDIENCE);
        let settings = settings.pem(JwtAlgorithm::Es256, &self.ec.public_key_pem()).unwrap();
        settings.pem(JwtAlgorithm::Rs256, &self.rsa.public_key_pem()).unwrap()
    }

    fn ec_signs(&self, claims: &Value) -> String {
        let key = EncodingKey::from_ec_pem(self.ec.serialize_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &key).unwrap()
    }

    fn rsa_signs(&self, algorithm: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_rsa_pem(self.rsa.serialize_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }
}

/// So many seconds from now.
fn seconds(from_now: i64) -> i64 {
    i64::try_from(clock::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + from_now
}

/// Good claims, but for these.
fn claims(other: Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": seconds(600), "role": "clerk" });
    let Value::Object(other) = other else { panic!("claims are an object") };
    claims.as_object_mut().unwrap().extend(other);
    claims
}

async fn server(settings: JwtSettings) -> test::Server {
    let me = async |call: Call| -> Result<String, Problem> {
        let subject = call.require_subject()?;
        Ok(format!("{} of {}, {:?}", subject.id(), subject.issuer(), subject.claim("role")))
    };
    let anybody = async |call: Call| format!("{:?}", call.principal());
    let router = Router::new().route("/me", get(me)).route("/", get(anybody));
    test::Server::start(test::service("invoicing", []).jwt(settings), router).await
}

/// The head and the body of the answer to a request with these further header lines.
async fn ask(server: &test::Server, path: &str, lines: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
    let answer = say(server.address(), request.as_bytes()).await;
    let (head, body) = parts(&answer);
    (head.to_owned(), body.to_owned())
}

async fn bearer(server: &test::Server, token: &str) -> (String, String) {
    ask(server, "/me", &format!("authorization: Bearer {token}\r\n")).await
}

#[tokio::test]
async fn a_good_token_names_the_subject() {
    let keys = Keys::new();
    let server = server(keys.settings()).await;
    let claims = claims(json!({}));
    let named = format!("ada of {ISSUER}, Some(String(\"clerk\"))");
    for token in [keys.ec_signs(&claims), keys.rsa_signs(Algorithm::RS256, &claims)] {
        let (head, body) = bearer(&server, &token).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head} {body}");
        assert_eq!(body, named);
        let (_, body) = ask(&server, "/me", &format!("Authorization: bEARER   {token}\r\n")).await;
        assert_eq!(body, named);
    }
    let several = keys.ec_signs(&self::claims(json!({ "aud": ["statistics", AUDIENCE] })));
    assert_eq!(bearer(&server, &several).await.1, named);
    server.stop().await;
}

#[tokio::test]
async fn without_a_token_there_is_no_subject() {
    let server = server(Keys::new().settings()).await;
    for lines in ["", "authorization: Basic YWRhOmFkYQ==\r\n"] {
        let (head, body) = ask(&server, "/", lines).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("subject: None"), "{head} {body}");
        let (head, body) = ask(&server, "/me", lines).await;
        assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("www-authenticate: Bearer\r\n"), "{head}");
        assert!(body.contains("Send a bearer token"), "{body}");
    }
    server.stop().await;
}

async fn check_refused(server: &test::Server, why: &str, token: &str) {
    let (head, body) = bearer(server, token).await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{why}: {head} {body}");
    assert!(head.contains("www-authenticate: Bearer error=\"invalid_token\""), "{why}: {head}");
    assert!(head.contains("application/problem+json"), "{why}: {head}");
    // Which of the reasons it was is nobody's business who cannot make a good token.
    assert!(body.contains(r#""detail":"The bearer token is not valid here.""#), "{why}: {body}");
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let keys = Keys::new();
    let server = server(keys.settings()).await;
    let good = claims(json!({}));

    let token = keys.ec_signs(&good);
    let (_header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, {"alg":"None"}, {"alg":"NONE","typ":"JWT"}
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0", "eyJhbGciOiJOT05FIiwidHlwIjoiSldUIn0"] {
        check_refused(&server, "no algorithm", &format!("{header}.{payload}.")).await;
        check_refused(&server, "no algorithm, a signature", &format!("{header}.{payload}.{signature}")).await;
    }

    // A public key is no secret: whoever takes one for the other lets everybody sign.
    for public in [keys.rsa.public_key_pem(), keys.ec.public_key_pem()] {
        for secret in [public.as_bytes(), public.trim_end().as_bytes()] {
            let key = EncodingKey::from_secret(secret);
            let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good, &key).unwrap();
            check_refused(&server, "the public key as a secret", &token).await;
        }
    }
    let key = EncodingKey::from_secret(keys.rsa.public_key_raw());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good, &key).unwrap();
    check_refused(&server, "the public key as a secret, raw", &token).await;

    check_refused(&server, "another algorithm of the same key", &keys.rsa_signs(Algorithm::PS256, &good)).await;
    check_refused(&server, "another's key", &Keys::new().ec_signs(&good)).await;
    let other = keys.ec_signs(&claims(json!({ "sub": "eve" })));
    let (_, eve) = other.split_once('.').unwrap();
    let (eve, _) = eve.split_once('.').unwrap();
    let (header, _) = keys.ec_signs(&good).split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    check_refused(&server, "another payload", &format!("{header}.{eve}.{signature}")).await;
    for nonsense in ["", "x", "a.b", "a.b.c", "a.b.c.d", "..", "\u{e6}"] {
        check_refused(&server, "nonsense", nonsense).await;
    }
    let mut critical = Header::new(Algorithm::ES256);
    critical.crit = Some(vec!["b64".to_owned()]);
    let key = EncodingKey::from_ec_pem(keys.ec.serialize_pem().as_bytes()).unwrap();
    check_refused(&server, "an extension", &jsonwebtoken::encode(&critical, &good, &key).unwrap()).await;

    let twice = format!("authorization: Bearer {0}\r\nauthorization: Bearer {0}\r\n", keys.ec_signs(&good));
    assert!(ask(&server, "/", &twice).await.0.starts_with("HTTP/1.1 401 "));
    // It is refused where nobody asks for a subject, too, and never reaches a handler.
    assert!(ask(&server, "/", "authorization: Bearer x\r\n").await.0.starts_with("HTTP/1.1 401 "));
    server.stop().await;
}

#[tokio::test]
async fn a_token_for_others_or_of_another_time_is_refused() {
    let keys = Keys::new();
    let server = server(keys.settings()).await;
    for (why, other) in [
        ("another issuer", json!({ "iss": "https://evil.example" })),
        ("no issuer", json!({ "iss": null })),
        ("another audience", json!({ "aud": "statistics" })),
        ("other audiences", json!({ "aud": ["statistics", "tracking"] })),
        ("no audience", json!({ "aud": null })),
        ("no subject", json!({ "sub": null })),
        ("an empty subject", json!({ "sub": "" })),
        ("a subject that is no text", json!({ "sub": 7 })),
        ("expired, beyond the leeway", json!({ "exp": seconds(-31) })),
        ("no end", json!({ "exp": null })),
        ("an end that is no number", json!({ "exp": "never" })),
        ("not yet, beyond the leeway", json!({ "nbf": seconds(600) })),
    ] {
        check_refused(&server, why, &keys.ec_signs(&claims(other))).await;
    }
    for (why, other) in [
        ("expired, within the leeway", json!({ "exp": seconds(-5) })),
        ("not yet, within the leeway", json!({ "nbf": seconds(25) })),
    ] {
        let (head, body) = bearer(&server, &keys.ec_signs(&claims(other))).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{why}: {head} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_jwks_document_has_the_keys_of_today_and_tomorrow() {
    let (today, tomorrow, stranger) = (Keys::new(), Keys::new(), Keys::new());
    let encoding = |keys: &Keys| EncodingKey::from_ec_pem(keys.ec.serialize_pem().as_bytes()).unwrap();
    let jwk = |keys: &Keys, id: &str| {
        let mut jwk = Jwk::from_encoding_key(&encoding(keys), Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        jwk
    };
    let set = JwkSet { keys: vec![jwk(&today, "today"), jwk(&tomorrow, "tomorrow")] };
    let mut document = serde_json::to_value(&set).unwrap();
    // What others publish beside them is passed over.
    document["keys"].as_array_mut().unwrap().extend([
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "shared" }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "x" }),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let server = server(JwtSettings::new(ISSUER, AUDIENCE).jwks_file(&path).unwrap()).await;

    let sign = |keys: &Keys, id: Option<&str>| {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = id.map(str::to_owned);
        jsonwebtoken::encode(&header, &claims(json!({})), &encoding(keys)).unwrap()
    };
    for (keys, id) in [(&today, Some("today")), (&tomorrow, Some("tomorrow")), (&tomorrow, None)] {
        let (head, body) = bearer(&server, &sign(keys, id)).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{id:?}: {head} {body}");
    }
    check_refused(&server, "under another key's name", &sign(&today, Some("tomorrow"))).await;
    check_refused(&server, "an unknown key", &sign(&today, Some("yesterday"))).await;
    check_refused(&server, "a stranger", &sign(&stranger, Some("today"))).await;
    let shared =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(json!({})), &EncodingKey::from_secret(b"secret"));
    check_refused(&server, "a shared secret", &shared.unwrap()).await;
    server.stop().await;
}

#[test]
fn keys_that_are_none_are_refused_at_the_start() {
    let settings = || JwtSettings::new(ISSUER, AUDIENCE);
    let rsa = Keys::new().rsa;
    for (algorithm, pem) in [
        (JwtAlgorithm::Es256, rsa.public_key_pem()),
        (JwtAlgorithm::EdDsa, rsa.public_key_pem()),
        (JwtAlgorithm::Rs256, "nonsense".to_owned()),
    ] {
        let error = settings().pem(algorithm, &pem).unwrap_err();
        assert!(matches!(error, JwtError::Pem { .. }), "{algorithm:?}: {error:?}");
    }
    assert!(matches!(settings().jwks("nonsense"), Err(JwtError::Jwks { .. })));
    assert!(matches!(settings().jwks(r#"{"keys":[]}"#), Err(JwtError::NoKey)));
    assert!(matches!(settings().jwks(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#), Err(JwtError::NoKey)));
    let error = settings().jwks_file("/nowhere/jwks.json").unwrap_err();
    assert_eq!(error.to_string(), "cannot read the JWKS document /nowhere/jwks.json");
}

#[tokio::test]
async fn a_service_without_keys_believes_nobody_and_one_without_settings_ignores_tokens() {
    let keys = Keys::new();
    let token = keys.ec_signs(&claims(json!({})));
    let keyless = server(JwtSettings::new(ISSUER, AUDIENCE)).await;
    check_refused(&keyless, "no key", &token).await;
    keyless.stop().await;

    let anybody = async |call: Call| format!("{:?}", call.principal().subject);
    let server = test::Server::start(test::service("test", []), Router::new().route("/", get(anybody))).await;
    let (_, body) = ask(&server, "/", &format!("authorization: Bearer {token}\r\n")).await;
    assert_eq!(body, "None");
    server.stop().await;
}

#[tokio::test]
async fn the_token_is_forwarded_to_nobody() {
    let heard = async |headers: HeaderMap| headers.contains_key("authorization").to_string();
    let far = test::Server::start(test::service("far", []), Router::new().route("/", get(heard))).await;
    let client = far.client();
    let relay = async move |call: Call| -> Result<String, Problem> {
        call.require_subject()?;
        Ok(client.get(&call, "/").send().await?.text().await?)
    };
    let keys = Keys::new();
    let service = test::service("near", []).jwt(keys.settings());
    let near = test::Server::start(service, Router::new().route("/", get(relay))).await;
    let token = keys.ec_signs(&claims(json!({})));
    let call = test::call().with_timeout(Duration::from_secs(60));
    let answer = near.client().get(&call, "/").header("authorization", format!("Bearer {token}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.text().await.unwrap(), "false");
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn over_grpc_a_token_that_does_not_count_is_unauthenticated() {
    let keys = Keys::new();
    let service = test::service("test", []).jwt(keys.settings()).grpc(GreeterServer);
    let server = test::Server::start(service, Router::new()).await;
    let token = keys.ec_signs(&claims(json!({})));
    for (token, status) in [(token.as_str(), "0"), ("x", "16")] {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        assert_eq!(raw_rpc(&server, "/test.v1.Greeter/Greet", &headers, "Ada").await, status);
    }
    server.stop().await;
}
