//! `/metrics`: the figures of the store, of the API and of this process.

use axum::response::Response;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::answer;
use super::context::Context;
use super::process::{self, Process};

/// What Prometheus negotiates first; it is also read as the older text format.
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`.
pub(crate) fn metrics(context: &Context) -> Response {
    let mut registry = Registry::default();
    context.store().register(&mut registry);
    register(context, &mut registry);
    // Outside Linux there is no such account.
    if let Some(process) = process::read() {
        register_process(&process, &mut registry);
    }
    let mut shown = String::new();
    match text::encode(&mut shown, &registry) {
        Ok(()) => answer::bytes(200, MEDIA, shown),
        Err(error) => answer::text(500, error.to_string()),
    }
}

fn register(context: &Context, to: &mut Registry) {
    let of = "Watches open at this server";
    let watchers = context.hub.watchers() as u64;
    to.register("stoa_watchers", of, ConstGauge::new(watchers));
    let of = "Requests in work, watches and logs aside";
    let (working, waiting) = context.requests.load();
    to.register("stoa_requests_in_work", of, ConstGauge::new(working as u64));
    let of = "Requests that wait for their turn";
    to.register("stoa_requests_waiting", of, ConstGauge::new(waiting as u64));
    if let Some(audit) = &context.audit {
        let of = "Notes the audit log could not take";
        to.register("stoa_audit_lost", of, ConstCounter::new(audit.lost()));
    }
}

/// Under the names all exporters use.
fn register_process(process: &Process, to: &mut Registry) {
    let to = to.sub_registry_with_prefix("process");
    let of = "Resident memory";
    let resident = process.resident_bytes;
    to.register("resident_memory_bytes", of, ConstGauge::new(resident));
    let of = "Virtual memory";
    let mapped = process.virtual_bytes;
    to.register("virtual_memory_bytes", of, ConstGauge::new(mapped));
    let of = "Processor time, user and system";
    to.register("cpu_seconds", of, ConstCounter::new(process.cpu_s));
    let of = "Open file descriptors";
    to.register("open_fds", of, ConstGauge::new(process.open_fds));
    let of = "File descriptors that may be open";
    to.register("max_fds", of, ConstGauge::new(process.max_fds));
    to.register("threads", "Threads", ConstGauge::new(process.threads));
    let of = "Start of the process, in seconds since 1970";
    to.register("start_time_seconds", of, ConstGauge::new(process.start_s));
}
