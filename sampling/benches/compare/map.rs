//! A tail sampler of an afternoon.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Id = [u8; 16];
pub type Whole = (Arc<(Option<Resource>, Option<InstrumentationScope>)>, Span);

#[derive(Default)]
pub struct MapSampler {
    traces: HashMap<Id, Vec<Whole>>,
    deadlines: VecDeque<(Instant, Id)>,
    decided: HashMap<Id, bool>,
}

impl MapSampler {
    pub fn take(&mut self, request: Bytes, now: Instant) {
        let request = ExportTraceServiceRequest::decode(request).unwrap();
        for resource in request.resource_spans {
            for scope in resource.scope_spans {
                let source = Arc::new((resource.resource.clone(), scope.scope));
                for span in scope.spans {
                    let Ok(id) = Id::try_from(&span.trace_id[..]) else { continue };
                    if self.decided.contains_key(&id) {
                        continue;
                    }
                    let spans = self.traces.entry(id).or_insert_with(|| {
                        self.deadlines.push_back((now + Duration::from_secs(30), id));
                        Vec::new()
                    });
                    spans.push((Arc::clone(&source), span));
                }
            }
        }
    }

    pub fn advance(&mut self, now: Instant, keep: &mut dyn FnMut(Vec<Whole>)) {
        while self.deadlines.front().is_some_and(|(due, _)| *due <= now) {
            let (_, id) = self.deadlines.pop_front().unwrap();
            let Some(spans) = self.traces.remove(&id) else { continue };
            let is_kept = is_kept(&id, &spans);
            self.decided.insert(id, is_kept);
            if is_kept {
                keep(spans);
            }
        }
    }
}

fn is_kept(id: &Id, spans: &[Whole]) -> bool {
    let failed = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == 2);
    let bad = |span: &Span| {
        span.attributes.iter().any(|attribute| {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            attribute.key == "http.response.status_code"
                && matches!(value, Some(Value::IntValue(code)) if *code >= 500)
        })
    };
    if spans.iter().any(|(_, span)| failed(span)) {
        return true;
    }
    let duration = |span: &Span| span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let root = spans.iter().find(|(_, span)| span.parent_span_id.is_empty());
    let slow = root.is_some_and(|(_, root)| duration(root) > 2_000_000_000);
    let random = u64::from_be_bytes(id[8..].try_into().unwrap()) & ((1 << 56) - 1);
    slow || spans.iter().any(|(_, span)| bad(span)) || random as f64 / (1u64 << 56) as f64 >= 0.95
}
