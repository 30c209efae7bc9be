//! The metrics of the one table, as OTLP says them.

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value as Any},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric::Data,
        number_data_point,
    },
};
use prometheus_client::metrics::MetricType;

use super::attribute;
use crate::gateway::{
    Shared,
    metrics::{self, Point, Value},
};

/// Everything as it is now; `began` and `now` are nanoseconds since 1970.
pub(super) fn metrics(shared: &Shared, began: u64, now: u64) -> Vec<Metric> {
    let temporality = AggregationTemporality::Cumulative.into();
    let of = |(metric, points): (&metrics::Metric, Vec<Point>)| {
        let mut numbers = Vec::new();
        let mut histograms = Vec::new();
        for Point { labels, value } in points {
            let attributes = labels.into_iter().map(|(name, value)| label(name, value)).collect();
            match value {
                Value::Number(value) => numbers.push(number(attributes, value, began, now)),
                Value::Histogram { sum, buckets } => histograms.push(histogram(attributes, sum, &buckets, began, now)),
            }
        }
        let data = match metric.kind {
            MetricType::Histogram => {
                Data::Histogram(Histogram { data_points: histograms, aggregation_temporality: temporality })
            }
            MetricType::Counter => {
                Data::Sum(Sum { data_points: numbers, aggregation_temporality: temporality, is_monotonic: true })
            }
            _ => Data::Gauge(Gauge { data_points: numbers }),
        };
        let unit = match metric.name.rsplit('_').next() {
            Some("seconds") => "s",
            Some("bytes") => "By",
            _ => "",
        };
        Metric {
            name: metric.name.into(),
            description: metric.help.into(),
            unit: unit.into(),
            data: Some(data),
            ..Metric::default()
        }
    };
    metrics::points(shared).into_iter().filter(|(_, points)| !points.is_empty()).map(of).collect()
}

fn label(name: &'static str, value: String) -> KeyValue {
    attribute(name, Any::StringValue(value))
}

fn number(attributes: Vec<KeyValue>, value: u64, began: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))),
        ..NumberDataPoint::default()
    }
}

/// `buckets` have their upper bounds, and each what is in it alone; the last one is without end.
fn histogram(attributes: Vec<KeyValue>, sum: f64, buckets: &[(f64, u64)], began: u64, now: u64) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: began,
        time_unix_nano: now,
        count: buckets.iter().map(|(_, count)| count).sum(),
        sum: Some(sum),
        bucket_counts: buckets.iter().map(|(_, count)| *count).collect(),
        explicit_bounds: buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect(),
        ..HistogramDataPoint::default()
    }
}
