//! Strategies for the parts of records, with their unusual values.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use slipring::attribute::Attributes;
use slipring::metric::{
    Buckets, Exemplar, ExponentialHistogram, Histogram, MetricKind, Number, PointValue, Quantile,
    Summary, Temporality,
};
use slipring::resource::EntityRef;
use slipring::span::{SpanEvent, SpanLink};
use slipring::{Resource, Scope, SpanId, TraceId, Value};

pub fn whole() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(127), Just(128), Just(u64::MAX), Just(1 << 63), any::<u64>()]
}

pub fn small() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()]
}

pub fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MIN),
        Just(f64::MIN_POSITIVE),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

/// Texts that are empty, in other alphabets, or so long that their length takes two bytes.
pub fn text() -> BoxedStrategy<Box<str>> {
    prop_oneof![
        3 => "[a-c]{0,2}".prop_map(String::into_boxed_str),
        1 => "\\PC{0,12}".prop_map(String::into_boxed_str),
        1 => (120..300_usize).prop_map(|length| "x".repeat(length).into()),
    ]
    .boxed()
}

pub fn trace_id() -> impl Strategy<Value = TraceId> {
    prop_oneof![Just(TraceId::default()), any::<u128>().prop_map(TraceId::from)]
}

pub fn span_id() -> impl Strategy<Value = SpanId> {
    prop_oneof![Just(SpanId::default()), any::<u64>().prop_map(SpanId::from)]
}

pub fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![Just(0), Just(-1), Just(i64::MIN), Just(i64::MAX), any::<i64>()]
            .prop_map(Value::Int),
        double().prop_map(Value::Double),
        text().prop_map(Value::Text),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::Array(values.into())),
            vec((text(), inner), 0..4)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Attributes whose names may repeat.
pub fn attributes() -> BoxedStrategy<Attributes> {
    vec((text(), value()), 0..4).prop_map(|attributes| attributes.into_iter().collect()).boxed()
}

pub fn resource_and_scope() -> BoxedStrategy<(Resource, Scope)> {
    let entity = (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, kind, ids, others)| EntityRef {
            schema_url,
            kind,
            id_keys: ids.into(),
            description_keys: others.into(),
        },
    );
    let resource = (attributes(), small(), text(), vec(entity, 0..3)).prop_map(
        |(attributes, dropped, url, entities)| {
            let resource = Resource::new(attributes).with_dropped_attributes_count(dropped);
            resource.with_schema_url(url).with_entity_refs(entities)
        },
    );
    let scope = (text(), text(), attributes(), small(), text());
    (resource, scope)
        .prop_map(
            |(resource, (name, version, attributes, dropped_attributes_count, schema_url))| {
                (
                    resource,
                    Scope { name, version, attributes, dropped_attributes_count, schema_url },
                )
            },
        )
        .boxed()
}

prop_compose! {
    pub fn event()(name in text(), time_unix_nanos in whole(), attributes in attributes(), dropped in small()) -> SpanEvent {
        SpanEvent { time_unix_nanos, name, attributes, dropped_attributes_count: dropped }
    }
}

prop_compose! {
    pub fn link()(trace_id in trace_id(), span_id in span_id(), trace_state in text(), attributes in attributes(), dropped in small(),
        flags in small()) -> SpanLink {
        SpanLink { trace_id, span_id, trace_state, attributes, dropped_attributes_count: dropped, flags }
    }
}

prop_compose! {
    pub fn exemplar()(filtered_attributes in attributes(), time_unix_nanos in whole(), value in option::of(number()),
        span_id in span_id(), trace_id in trace_id()) -> Exemplar {
        let (span_id, trace_id) = (Some(span_id).filter(|id| !id.is_zero()), Some(trace_id).filter(|id| !id.is_zero()));
        Exemplar { filtered_attributes, time_unix_nanos, value, span_id, trace_id }
    }
}

pub fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::Int),
        Just(Number::Int(0)),
        double().prop_map(Number::Double)
    ]
}

pub fn buckets() -> impl Strategy<Value = Buckets> {
    let offset = prop_oneof![Just(0), Just(i32::MIN), Just(i32::MAX), any::<i32>()];
    (offset, vec(whole(), 0..5))
        .prop_map(|(offset, counts)| Buckets { offset, bucket_counts: counts.into() })
}

/// A value, and a kind of metric that it suits.
pub fn measured() -> BoxedStrategy<(MetricKind, PointValue)> {
    let temporality = || {
        prop_oneof![
            Just(Temporality::Unspecified),
            Just(Temporality::Delta),
            Just(Temporality::Cumulative)
        ]
    };
    let number =
        || prop_oneof![2 => number().prop_map(PointValue::from), 1 => Just(PointValue::Empty)];
    let three = || [option::of(double()), option::of(double()), option::of(double())];
    let sum = (temporality(), any::<bool>(), number());
    let histogram = (temporality(), whole(), three(), vec(whole(), 0..5), vec(double(), 0..5));
    let scale = prop_oneof![Just(0), Just(i32::MIN), Just(i32::MAX), any::<i32>()];
    let exponential =
        (temporality(), whole(), three(), scale, whole(), double(), buckets(), buckets());
    let quantile = (double(), double()).prop_map(|(quantile, value)| Quantile { quantile, value });
    prop_oneof![
        number().prop_map(|value| (MetricKind::Gauge, value)),
        sum.prop_map(|(temporality, monotonic, value)| (
            MetricKind::Sum { temporality, monotonic },
            value
        )),
        histogram.prop_map(|(temporality, count, [sum, min, max], counts, bounds)| {
            let (bucket_counts, explicit_bounds) = (counts.into(), bounds.into());
            (
                MetricKind::Histogram { temporality },
                Histogram { count, sum, min, max, bucket_counts, explicit_bounds }.into(),
            )
        }),
        exponential.prop_map(
            |(
                temporality,
                count,
                [sum, min, max],
                scale,
                zero_count,
                zero_threshold,
                positive,
                negative,
            )| {
                let value = ExponentialHistogram {
                    count,
                    sum,
                    min,
                    max,
                    scale,
                    zero_count,
                    zero_threshold,
                    positive,
                    negative,
                };
                (MetricKind::ExponentialHistogram { temporality }, value.into())
            }
        ),
        (whole(), double(), vec(quantile, 0..4)).prop_map(|(count, sum, quantiles)| {
            (MetricKind::Summary, Summary { count, sum, quantiles: quantiles.into() }.into())
        }),
    ]
    .boxed()
}
