//! OTLP over gRPC, the client's side: our spans as messages, and one attempt to deliver some.
//!
//! A request is encoded once, however often it is sent: what waits is bytes, so its memory is known exactly.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::Uri;
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::conventions::resource;
use crate::span::Resource;

/// How long one attempt may take. A collector on the same machine answers in milliseconds; one that hangs is away.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Why a text names no collector.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Only cleartext gRPC is spoken to a collector.
    #[error("`{0}`: a collector is reached by http:// here; put a local collector in front of one that wants TLS")]
    Scheme(String),
    /// No address in it.
    #[error("`{endpoint}` is no address of an OTLP/gRPC collector; write http://127.0.0.1:4317")]
    Malformed {
        /// What was given.
        endpoint: String,
        /// What the parser said.
        #[source]
        source: http::uri::InvalidUri,
    },
}

/// Reads `http://host:port`, or `host:port` as people type it.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    let url = match text.split_once("://") {
        Some(("http", _)) => text.to_owned(),
        Some(_) => return Err(EndpointError::Scheme(text.to_owned())),
        None => format!("http://{text}"),
    };
    let url: Uri = url.parse().map_err(|source| EndpointError::Malformed { endpoint: text.to_owned(), source })?;
    Ok(Endpoint::from(url)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ATTEMPT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(ATTEMPT_TIMEOUT))
}

/// How one attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The collector is away, slow or overloaded: try again later.
    Away(Status),
    /// It does not want this request, and will not want it the next time.
    Refused(Status),
}

/// A collector. The connection is made at the first attempt, and again after each failure.
#[derive(Debug)]
pub(crate) struct Collector {
    grpc: tonic::client::Grpc<Channel>,
}

impl Collector {
    /// Must be called inside of the runtime that will drive the connection.
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Self { grpc: tonic::client::Grpc::new(endpoint.connect_lazy()) }
    }

    /// One attempt to deliver one encoded request; gives the number of spans that the collector did not keep.
    pub(crate) async fn export(&mut self, request: Bytes) -> Result<u64, Failure> {
        self.grpc.ready().await.map_err(|error| Failure::Away(Status::unavailable(error.to_string())))?;
        let path = PathAndQuery::from_static(EXPORT_PATH);
        match self.grpc.unary(Request::new(request), path, Encoded).await {
            Ok(response) => {
                let rejected = response.into_inner().partial_success.map_or(0, |partial| partial.rejected_spans);
                Ok(u64::try_from(rejected).unwrap_or(0))
            }
            Err(status) if may_be_sent_again(&status) => Err(Failure::Away(status)),
            Err(status) => Err(Failure::Refused(status)),
        }
    }
}

/// The OTLP specification's table "Failures", without `OutOfRange`: that is how tonic says "too long", which stays so.
fn may_be_sent_again(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::DataLoss
            | Code::ResourceExhausted
    )
}

/// Growing pauses between attempts: 100 ms, doubled up to 5 s, each shortened at random by up to half.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self(Self::FIRST)
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(rand::random_range(0.5..=1.0));
        self.0 = (self.0 * 2).min(Self::LONGEST);
        pause
    }
}

/// Sends a request that is encoded already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = source.copy_to_bytes(source.remaining());
        ExportTraceServiceResponse::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Who made the spans.
pub(crate) fn resource_message(from: &Resource) -> ResourceMessage {
    let named = [
        (resource::SERVICE_NAME, &from.service_name),
        (resource::SERVICE_NAMESPACE, &from.service_namespace),
        (resource::SERVICE_INSTANCE_ID, &from.service_instance_id),
        (resource::SERVICE_VERSION, &from.service_version),
    ];
    let known = named.into_iter().filter(|(_, value)| !value.is_empty());
    let attributes = known.map(|(key, value)| attribute(key, any_value::Value::StringValue(value.clone()))).collect();
    ResourceMessage { attributes, ..ResourceMessage::default() }
}

pub(crate) fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = endpoint(text).map_or_else(|error| error.to_string(), |endpoint| endpoint.uri().to_string());
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }

    #[test]
    fn an_endpoint_is_read_as_people_type_it() {
        check("http://127.0.0.1:4317", "http://127.0.0.1:4317");
        check("127.0.0.1:4317", "http://127.0.0.1:4317");
        check("jaeger:4317", "http://jaeger:4317");
        check("https://collector:4317", "`https://collector:4317`: a collector is reached by http://");
        check("http://", "`http://` is no address");
        check("two words", "`two words` is no address");
    }
}
