//! The profile as code: each type of resource, rendered and parsed side by side.
//!
//! A message is accepted only if it is what we would have rendered from the values found in it. So the profile needs no
//! list of what is forbidden, and what differs can be named.

mod cluster;
mod endpoints;
mod inbound;
mod listener;
mod routes;

use std::fmt::Debug;

use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource};
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

pub(crate) use cluster::Target;
pub(crate) use endpoints::Endpoints;
pub(crate) use listener::Exists;

use crate::kind::Kind;

/// A value of the model that is a resource of its own.
pub(crate) trait Profile: Sized {
    type Message: Message + Name + Default + PartialEq + Debug;
    const KIND: Kind;

    /// The message that says this.
    fn render(&self, name: &str) -> Self::Message;

    /// What the message says. What is out of place but not needed here is for the comparison to find.
    fn extract(message: &mut Self::Message) -> Result<Self, Problem>;
}

/// Why a resource is refused: for the NACK and the log.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{type_name} `{name}`: {problem}", type_name = .kind.type_url().trim_start_matches("type.googleapis.com/"))]
pub(crate) struct Refusal {
    kind: Kind,
    name: String,
    problem: Problem,
}

/// What is wrong with a resource.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Problem {
    /// The payload is no such message, or no payload.
    #[error("{0}")]
    Malformed(String),
    /// The message is not what the profile says.
    #[error("`{path}` is outside of the profile, found `{found}`")]
    Outside {
        /// The field, by the names of the protobuf fields that lead to it.
        path: String,
        /// The first line of it that differs.
        found: String,
    },
}

/// Wraps a value as a resource's payload.
pub(crate) fn pack<P: Profile>(name: &str, value: &P) -> Any {
    any(&value.render(name))
}

/// Reads the payload of the resource called `name`.
pub(crate) fn parse<P: Profile>(name: &str, payload: Option<&Any>) -> Result<P, Refusal> {
    read(name, payload).map_err(|problem| Refusal { kind: P::KIND, name: name.to_owned(), problem })
}

fn read<P: Profile>(name: &str, payload: Option<&Any>) -> Result<P, Problem> {
    let payload = payload.ok_or_else(|| Problem::Malformed("there is no payload".to_owned()))?;
    let mut found = decode::<P::Message>(payload)?;
    let value = P::extract(&mut found)?;
    same(&found, &value.render(name))?;
    Ok(value)
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn decode<M: Message + Name + Default>(any: &Any) -> Result<M, Problem> {
    if any.type_url != M::type_url() {
        return Err(Problem::Malformed(format!("the payload is a `{}`, not a `{}`", any.type_url, M::type_url())));
    }
    M::decode(any.value.as_slice()).map_err(|error| Problem::Malformed(error.to_string()))
}

/// Decodes a nested message, and encodes it again as we do, so that equal messages are equal bytes.
fn unpack<M: Message + Name + Default>(any: Option<&mut Any>) -> Result<M, Problem> {
    let any = any.ok_or_else(|| Problem::Malformed(format!("there is no {}", M::NAME)))?;
    let message: M = decode(any)?;
    any.value = message.encode_to_vec();
    Ok(message)
}

fn same<M: PartialEq + Debug>(found: &M, expected: &M) -> Result<(), Problem> {
    if found == expected { Ok(()) } else { Err(first_difference(&format!("{found:#?}"), &format!("{expected:#?}"))) }
}

/// Names the first field in which two messages differ, from how they print: only a refusal pays for it.
fn first_difference(found: &str, expected: &str) -> Problem {
    let lines: Vec<&str> = found.lines().collect();
    let equal = lines.iter().zip(expected.lines()).take_while(|(found, expected)| *found == expected).count();
    let at = equal.min(lines.len().saturating_sub(1));
    let indent = |line: &str| line.len() - line.trim_start().len();

    let mut path = Vec::new();
    let mut inside = usize::MAX;
    for line in lines.iter().take(at + 1).rev() {
        if indent(line) < inside {
            inside = indent(line);
            path.extend(line.split_once(": ").map(|(field, _value)| field.trim().trim_start_matches("r#")));
        }
    }
    path.reverse();
    let found = lines.get(at).map_or("", |line| line.trim());
    Problem::Outside { path: path.join("."), found: found.chars().take(100).collect() }
}

/// "On this stream."
fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

#[cfg(test)]
mod tests;
