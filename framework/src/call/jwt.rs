//! Whose bearer tokens count, and the check of one (RFC 7519, RFC 8725).
//!
//! Keys are given as text. None is fetched over the network: a service that needs its issuer to start, or whose issuer can
//! slow it down, is another design.

use std::error::Error;
use std::path::Path;

use http::{HeaderMap, header};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::principal::Subject;

/// How far the clocks of issuer and service may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Whose bearer tokens a service takes: one issuer, one audience (the service itself), and the issuer's public keys.
///
/// A token counts if one of the keys has signed it with that key's own algorithm, and its issuer, audience, subject and
/// times are right; times with 30 s of leeway. Tokens without a signature and those signed by a shared secret never count.
/// With several keys the issuer can change from one to the next; keys are not fetched over the network.
///
/// ```
/// use samspill::{JwtAlgorithm, JwtSettings, Service};
///
/// # const KEY: &str = "-----BEGIN PUBLIC KEY-----
/// # MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
/// # q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
/// # -----END PUBLIC KEY-----";
/// let settings = JwtSettings::new("https://login.example", "invoicing").pem(JwtAlgorithm::Es256, KEY)?;
/// let service = Service::new("invoicing").jwt(settings);
/// # Ok::<(), samspill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwtSettings {
    issuer: String,
    audience: String,
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    /// A token that names a key is checked with no other.
    id: Option<String>,
    /// Never empty, and all of the key's own family: that is what makes confusing them impossible (RFC 8725 §3.1).
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// How tokens are signed: by a private key, of which a service holds the public half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// RSA with PKCS #1 v1.5 and SHA-384.
    Rs384,
    /// RSA with PKCS #1 v1.5 and SHA-512.
    Rs512,
    /// RSA with PSS and SHA-256.
    Ps256,
    /// RSA with PSS and SHA-384.
    Ps384,
    /// RSA with PSS and SHA-512.
    Ps512,
    /// The curve P-256 and SHA-256.
    Es256,
    /// The curve P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// A key that cannot be used. `main` passes it on with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// The text is not a public key of this kind.
    #[error("this is not a public key for {algorithm:?} in PEM (`-----BEGIN PUBLIC KEY-----`)")]
    Pem {
        /// What the key was meant for.
        algorithm: JwtAlgorithm,
        /// What does not fit.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The text is not a JWKS document.
    #[error("this is not a JWKS document (`{{\"keys\":[…]}}`)")]
    Jwks {
        /// What does not fit.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The document has nothing to check a signature with.
    #[error("the JWKS document has no public key of RSA, P-256, P-384 or Ed25519 for signatures")]
    NoKey,
    /// The document cannot be read.
    #[error("cannot read the JWKS document {path}")]
    File {
        /// Where it should be.
        path: String,
        /// What happened.
        source: std::io::Error,
    },
}

impl JwtSettings {
    /// The tokens of `issuer` for `audience`, once a key is added. Until then none counts.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), keys: Vec::new() }
    }

    /// Adds a public key in PEM, and the one algorithm that it is used with.
    ///
    /// # Errors
    /// [`JwtError::Pem`].
    pub fn pem(mut self, algorithm: JwtAlgorithm, pem: &str) -> Result<Self, JwtError> {
        let of_library = algorithm.of_library();
        let read = match of_library.family() {
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem,
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem,
            AlgorithmFamily::Rsa | AlgorithmFamily::Hmac => DecodingKey::from_rsa_pem,
        };
        let key = read(pem.as_bytes()).map_err(|error| JwtError::Pem { algorithm, source: error.into() })?;
        self.keys.push(Key { id: None, algorithms: vec![of_library], key });
        Ok(self)
    }

    /// Adds the public keys of a JWKS document (RFC 7517). Keys of other kinds, and those for encryption, are passed over.
    ///
    /// ```
    /// use samspill::{JwtError, JwtSettings};
    ///
    /// let settings = JwtSettings::new("https://login.example", "invoicing");
    /// let keys = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"Evs_o5-uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf84",
    ///     "y":"kGe5DgSIycKp8w9aJoBnhB1sB3QTugfnRWm5nU_TzsY"}]}"#;
    /// assert!(settings.clone().jwks(keys).is_ok());
    /// assert!(matches!(settings.jwks(r#"{"keys":[]}"#), Err(JwtError::NoKey)));
    /// ```
    ///
    /// # Errors
    /// [`JwtError::Jwks`], or [`JwtError::NoKey`] if no key is left.
    pub fn jwks(mut self, document: &str) -> Result<Self, JwtError> {
        let set: JwkSet = serde_json::from_str(document).map_err(|error| JwtError::Jwks { source: error.into() })?;
        let before = self.keys.len();
        for jwk in &set.keys {
            self.keys.extend(key(jwk).map_err(|error| JwtError::Jwks { source: error.into() })?);
        }
        if self.keys.len() == before { Err(JwtError::NoKey) } else { Ok(self) }
    }

    /// The same, from a file, which is read once.
    ///
    /// # Errors
    /// [`JwtError::File`], and those of [`jwks`](Self::jwks).
    pub fn jwks_file(self, path: impl AsRef<Path>) -> Result<Self, JwtError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| JwtError::File { path: path.display().to_string(), source })?;
        self.jwks(&text)
    }

    /// Whom the request's bearer token names; none where there is none.
    pub(super) fn subject(&self, headers: &HeaderMap) -> Result<Option<Subject>, InvalidToken> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(InvalidToken::Twice);
        }
        let mut words = value.as_bytes().splitn(2, |&byte| byte == b' ');
        if !words.next().unwrap_or_default().eq_ignore_ascii_case(b"bearer") {
            return Ok(None);
        }
        self.check(words.next().unwrap_or_default().trim_ascii()).map(Some)
    }

    fn check(&self, token: &[u8]) -> Result<Subject, InvalidToken> {
        let header = jsonwebtoken::decode_header(token)?;
        if header.crit.is_some() {
            return Err(InvalidToken::Critical); // RFC 7515 §4.1.11: we understand no extension
        }
        let mut outcome = Err(InvalidToken::NoKey);
        for key in self.keys.iter().filter(|key| key.is_for(header.alg, header.kid.as_deref())) {
            outcome = jsonwebtoken::decode(token, &key.key, &self.validation(header.alg))
                .map_err(InvalidToken::from)
                .and_then(|token| self.named(token.claims));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        validation
    }

    fn named(&self, claims: Map<String, Value>) -> Result<Subject, InvalidToken> {
        let id = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        if id.is_empty() {
            return Err(InvalidToken::NoSubject);
        }
        Ok(Subject { id, issuer: self.issuer.clone(), claims })
    }
}

impl Key {
    fn is_for(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let is_named = match (self.id.as_deref(), id) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        is_named && self.algorithms.contains(&algorithm)
    }
}

/// The key in a JWK, if it is one that we can use.
fn key(jwk: &Jwk) -> Result<Option<Key>, jsonwebtoken::errors::Error> {
    let can_do: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms(),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => &[],
    };
    // RFC 7517 §4.4: a key that names its algorithm is for no other.
    let algorithms: Vec<Algorithm> = match jwk.common.key_algorithm {
        None => can_do.to_vec(),
        Some(named) => Algorithm::try_from(named).into_iter().filter(|named| can_do.contains(named)).collect(),
    };
    let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    if algorithms.is_empty() || !is_for_signatures {
        return Ok(None);
    }
    Ok(Some(Key { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk)? }))
}

impl JwtAlgorithm {
    fn of_library(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Ps384 => Algorithm::PS384,
            Self::Ps512 => Algorithm::PS512,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// Why a token does not count: for the log; a caller is told only that it does not.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidToken {
    #[error("there is more than one Authorization header")]
    Twice,
    #[error("no key is there for the token's algorithm and key id")]
    NoKey,
    #[error("the token has extensions that must be understood")]
    Critical,
    #[error("the token names nobody")]
    NoSubject,
    #[error("the token is not valid")]
    Invalid(#[from] jsonwebtoken::errors::Error),
}
