//! Spans that wait, as the request that they will be.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use prost::Message;

use crate::protobuf;

/// The scope of our spans.
const SCOPE: &str = "samspill";

/// What a request holds, but for its first lines: the spans.
#[derive(Debug, Default)]
pub(super) struct Spans {
    written: Vec<u8>,
    /// How many they are.
    pub(super) count: u64,
}

impl Spans {
    /// How long they are, in bytes.
    pub(super) fn len(&self) -> usize {
        self.written.len()
    }

    /// Adds the one that `write` writes, if they are no longer than `limit_bytes` with it.
    pub(super) fn push(&mut self, limit_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = self.written.len();
        protobuf::message(&mut self.written, 2, write);
        let has_room = self.written.len() <= limit_bytes;
        if has_room {
            self.count += 1;
        } else {
            self.written.truncate(before);
        }
        has_room
    }

    pub(super) fn clear(&mut self) {
        self.written.clear();
        self.count = 0;
    }

    /// The request, in the name of `resource`.
    pub(super) fn to_request(&self, resource: &ResourceMessage) -> Bytes {
        let scope = InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() };
        let mut request = Vec::with_capacity(self.written.len() + 1024);
        protobuf::message(&mut request, 1, |resource_spans| {
            protobuf::message(resource_spans, 1, |out| resource.encode_raw(out));
            protobuf::message(resource_spans, 2, |scope_spans| {
                protobuf::message(scope_spans, 1, |out| scope.encode_raw(out));
                scope_spans.extend_from_slice(&self.written);
            });
        });
        request.into()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    use super::*;
    use crate::context::TraceContext;
    use crate::otlp;
    use crate::testing::{record, resource};

    #[test]
    fn a_request_is_read_by_the_generated_types() {
        let mut spans = Spans::default();
        let records = [record(&TraceContext::new_root(true)), record(&TraceContext::new_root(true))];
        spans.push(usize::MAX, |out| records[0].write(out));
        let limit_bytes = 2 * spans.len();
        spans.clear();
        assert_eq!(records.each_ref().map(|record| spans.push(limit_bytes, |out| record.write(out))), [true, true]);
        assert!(!spans.push(limit_bytes, |out| records[0].write(out)), "there is room for two");
        let resource = otlp::resource_message(&resource());
        let request = ExportTraceServiceRequest::decode(spans.to_request(&resource)).unwrap();
        let [resource_spans] = request.resource_spans.as_slice() else { panic!("{request:?}") };
        assert_eq!(resource_spans.resource, Some(resource));
        let [scope_spans] = resource_spans.scope_spans.as_slice() else { panic!("{request:?}") };
        assert_eq!(scope_spans.scope.as_ref().unwrap().name, SCOPE);
        let trace_ids: Vec<_> = scope_spans.spans.iter().map(|span| span.trace_id.as_slice()).collect();
        assert_eq!(trace_ids, records.each_ref().map(|record| record.trace_id));
        assert_eq!(spans.count, 2);
    }
}
