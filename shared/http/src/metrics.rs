//! `/metrics`: the counts of every env, in Prometheus' text format.
//!
//! Labels are `env`, `status` and `verb`, never a service: a thousand of those would be a thousand time series each.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lamplighter_core::EnvName;
use lamplighter_core::health::Health;
use lamplighter_store::Verb;
use tokio::time::Instant;

use crate::home::Home;
use crate::operation::{Access, Given, Operation};

/// How long one answer is repeated: nobody needs a token to ask, and it reads the whole fleet.
const KEPT: Duration = Duration::from_secs(10);
/// How long an env may take to be read before it counts as not answering.
const ENV_LIMIT: Duration = Duration::from_secs(5);
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![Operation {
        method: Method::GET,
        path: "/metrics",
        id: "metrics",
        tag: "probes",
        summary: "Prometheus metrics",
        description: "Counts by env, status and verb; no service is named. At most 10 s old.",
        access: Access::Anyone,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "The metrics.", media: "text/plain", schema: "" }],
        problems: &[],
        route: get(show),
    }]
}

async fn show(State(home): State<Arc<Home>>) -> Response {
    let mut said = home.said.lock().await;
    let text = match &said.metrics {
        Some((at, text)) if at.elapsed() < KEPT => text.clone(),
        Some(_) | None => {
            let text = written(&home).await;
            said.metrics = Some((Instant::now(), text.clone()));
            text
        }
    };
    ([(CONTENT_TYPE, TEXT)], text).into_response()
}

async fn written(home: &Home) -> String {
    let mut page = Page::default();
    let mut read = Vec::new();
    for env in home.envs() {
        let health = tokio::time::timeout(ENV_LIMIT, lamplighter_app::health(env)).await;
        let health = health.ok().and_then(Result::ok);
        read.push((env, health));
    }
    if let Some((env, _)) = read.first() {
        let uptime = env.clock().now().since(home.started).as_secs_f64();
        page.family("uptime_seconds", Kind::Gauge, "Time since this process started.");
        page.sample("uptime_seconds", &[], uptime);
    }
    page.family("env_up", Kind::Gauge, "1 if the env's store answers.");
    for (env, health) in &read {
        page.sample("env_up", &[("env", env.name().as_str())], f64::from(u8::from(health.is_some())));
    }
    let healths: Vec<(&EnvName, &Health)> =
        read.iter().filter_map(|(env, health)| Some((env.name(), health.as_ref()?))).collect();
    fleet(&mut page, &healths);
    sweeps(&mut page, &healths);
    page.family("store_calls_total", Kind::Counter, "Calls to the store.");
    page.family("store_read_units_total", Kind::Counter, "Read capacity units consumed.");
    page.family("store_write_units_total", Kind::Counter, "Write capacity units consumed.");
    for (env, _) in &read {
        for verb in Verb::ALL {
            let consumed = env.store().ledger().of(verb);
            let labels = [("env", env.name().as_str()), ("verb", verb.as_str())];
            page.sample("store_calls_total", &labels, count(consumed.calls));
            page.sample("store_read_units_total", &labels, consumed.read_units);
            page.sample("store_write_units_total", &labels, consumed.write_units);
        }
    }
    page.family("http_requests_total", Kind::Counter, "Requests answered, by the class of their status.");
    for (class, requests) in home.answered.classes() {
        page.sample("http_requests_total", &[("status", class.as_str())], count(requests));
    }
    page.text()
}

fn fleet(page: &mut Page, healths: &[(&EnvName, &Health)]) {
    page.family("services", Kind::Gauge, "Services by status.");
    page.family("blind", Kind::Gauge, "1 while the blindness guard holds.");
    page.family("anomalies", Kind::Gauge, "Anomalies that stand.");
    for (env, health) in healths {
        for (status, services) in &health.counts {
            page.sample(
                "services",
                &[("env", env.as_str()), ("status", status.as_str())],
                f64::from(*services),
            );
        }
        page.sample("blind", &[("env", env.as_str())], f64::from(u8::from(health.blind.is_some())));
        page.sample("anomalies", &[("env", env.as_str())], count(health.anomalies.len() as u64));
    }
}

fn sweeps(page: &mut Page, healths: &[(&EnvName, &Health)]) {
    page.family("last_sweep_timestamp_seconds", Kind::Gauge, "When the last sweep finished.");
    page.family("last_sweep_duration_seconds", Kind::Gauge, "How long the last sweep took.");
    page.family("last_sweep_services", Kind::Gauge, "What the last sweep saw.");
    for (env, health) in healths {
        let (Some(report), Some(at)) = (&health.last_sweep, health.last_sweep_at) else { continue };
        let labels = [("env", env.as_str())];
        let seconds = count(u64::try_from(at.as_millis()).unwrap_or(0)) / 1_000.0;
        page.sample("last_sweep_timestamp_seconds", &labels, seconds);
        page.sample("last_sweep_duration_seconds", &labels, count(report.duration_ms) / 1_000.0);
        for (status, services) in [
            ("healthy", report.healthy),
            ("unhealthy", report.unhealthy),
            ("unreachable", report.unreachable),
            ("restarting", report.restarting),
            ("skipped", report.skipped),
        ] {
            page.sample(
                "last_sweep_services",
                &[("env", env.as_str()), ("status", status)],
                f64::from(services),
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; counts beyond 2^53 are not reached")]
fn count(number: u64) -> f64 {
    number as f64
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// The families of a page in the order they were announced, each with its samples together, as the format asks.
#[derive(Default)]
struct Page(Vec<(&'static str, String)>);

impl Page {
    fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let head = format!("# HELP lamplighter_{name} {help}\n# TYPE lamplighter_{name} {kind}\n");
        self.0.push((name, head));
    }

    fn sample(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let Some((_, lines)) = self.0.iter_mut().find(|(known, _)| *known == name) else { return };
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        lines.push_str(&format!("lamplighter_{name}{labels} {value}\n"));
    }

    fn text(self) -> String {
        self.0.into_iter().map(|(_, lines)| lines).collect()
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_with_their_family_and_labels_are_escaped() {
        let mut page = Page::default();
        page.family("a", Kind::Gauge, "First.");
        page.family("b_total", Kind::Counter, "Second.");
        page.sample("b_total", &[], 2.0);
        page.sample("a", &[("env", "x\"y\\z\n")], 0.5);
        page.sample("a", &[("env", "w")], 1.0);
        assert_eq!(
            page.text(),
            "# HELP lamplighter_a First.\n# TYPE lamplighter_a gauge\nlamplighter_a{env=\"x\\\"y\\\\z\\n\"} 0.5\n\
             lamplighter_a{env=\"w\"} 1\n# HELP lamplighter_b_total Second.\n# TYPE lamplighter_b_total counter\n\
             lamplighter_b_total 2\n"
        );
    }
}
