//! ConfigMaps of 1 KiB: created, read, updated and listed, and what they weigh in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};

use super::load::{self, Load, Make};
use super::wire::{Ask, JSON, Lane};
use super::{Bench, Figures, Options, Progress, line};
use crate::bench::figure::{milliseconds, number, percentile};
use crate::{Outcome, fault};

const NAMESPACE: &str = "bench";

/// Bytes of the one value in each ConfigMap.
const VALUE_BYTES: usize = 1_024;

/// Connections of one client, and of many.
const CONNECTIONS: usize = 8;
const CONNECTIONS_BUSY: usize = 32;

/// Clients of gets and updates.
const CLIENTS: usize = 64;

/// Allocators give back what work needed only after a while.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) async fn measure(
    bench: &Bench,
    options: &Options,
    progress: Progress<'_>,
) -> Outcome<Figures> {
    let mut figures = Figures::new();
    bench.create_namespace(NAMESPACE).await?;
    tokio::time::sleep(SETTLE).await;
    figures.insert(line::IDLE, bench.resident_mb()?);
    let few = bench.dialer.dial_all(&bench.doors, CONNECTIONS).await?;
    let many = bench
        .dialer
        .dial_all(&bench.doors, CONNECTIONS_BUSY)
        .await?;
    creates(&few, &many, options.objects, &mut figures, progress).await?;
    tokio::time::sleep(SETTLE).await;
    figures.insert(line::FILLED, bench.resident_mb()?);
    list(&few[0], options, &mut figures).await?;
    gets(&many, options, &mut figures, progress).await?;
    let update: Make = Arc::new({
        let objects = options.objects;
        move |n| {
            let name = name(n % objects);
            Ask::new(Method::PUT, path(&name), JSON, body(&name, n + objects))
        }
    });
    let load = load::drive(&many, CLIENTS, 0..options.requests, StatusCode::OK, &update).await?;
    note(&line::UPDATE, &load, &mut figures, progress);
    tokio::time::sleep(SETTLE).await;
    figures.insert(line::AFTER, bench.resident_mb()?);
    Ok(figures)
}

/// An eleventh by one client, the rest in halves by 64 and by 256.
async fn creates(
    few: &[Lane],
    many: &[Lane],
    objects: usize,
    figures: &mut Figures,
    progress: Progress<'_>,
) -> Outcome<()> {
    let create: Make = Arc::new(|n| post(NAMESPACE, n));
    let alone = objects / 11;
    let half = alone + (objects - alone) / 2;
    let shapes = [
        (&line::CREATE_1, few, 1, 0..alone),
        (&line::CREATE_64, many, 64, alone..half),
        (&line::CREATE_256, many, 256, half..objects),
    ];
    for (names, lanes, clients, range) in shapes {
        let load = load::drive(lanes, clients, range, StatusCode::CREATED, &create).await?;
        note(names, &load, figures, progress);
    }
    Ok(())
}

async fn gets(
    lanes: &[Lane],
    options: &Options,
    figures: &mut Figures,
    progress: Progress<'_>,
) -> Outcome<()> {
    let objects = options.objects;
    for (names, query) in [(&line::GET, ""), (&line::GET_ANY, "?resourceVersion=0")] {
        // Steps of a prime, so that neighbours in time are no neighbours in the tree.
        let make: Make =
            Arc::new(move |n| Ask::get(format!("{}{query}", path(&name(n * 7_919 % objects)))));
        let range = 0..options.requests;
        let load = load::drive(lanes, CLIENTS, range, StatusCode::OK, &make).await?;
        note(names, &load, figures, progress);
    }
    Ok(())
}

/// The whole list, plain and compressed.
async fn list(lane: &Lane, options: &Options, figures: &mut Figures) -> Outcome<()> {
    let mut plain = Vec::new();
    let mut packed = Vec::new();
    for _ in 0..options.lists {
        let (took, bytes) = listed(lane, false).await?;
        plain.push(took);
        figures.insert(line::LIST_BYTES, number(bytes) / 1e6);
        let least = options.objects * VALUE_BYTES;
        fault::ensure(bytes > least, || format!("a list had {bytes} bytes"))?;
        let (took, bytes) = listed(lane, true).await?;
        packed.push(took);
        figures.insert(line::LIST_GZIP_BYTES, number(bytes) / 1e6);
    }
    figures.insert(line::LIST, milliseconds(percentile(&plain, 50)));
    figures.insert(line::LIST_GZIP, milliseconds(percentile(&packed, 50)));
    Ok(())
}

async fn listed(lane: &Lane, gzip: bool) -> Outcome<(Duration, usize)> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let ask = Ask {
        gzip,
        ..Ask::get(path)
    };
    let start = Instant::now();
    let bytes = lane.call(ask, StatusCode::OK).await?;
    Ok((start.elapsed(), bytes))
}

fn note(names: &line::Three, load: &Load, figures: &mut Figures, progress: Progress<'_>) {
    progress(&format!("  {}: {load}", names.rate));
    figures.insert(names.rate, load.rate());
    figures.insert(names.p50, load.milliseconds(50));
    figures.insert(names.p99, load.milliseconds(99));
}

/// The request that creates the n-th ConfigMap of a namespace.
pub(super) fn post(namespace: &str, n: usize) -> Ask {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    Ask::new(Method::POST, path, JSON, body(&name(n), n))
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}")
}

fn name(n: usize) -> String {
    format!("cm-{n:06}")
}

fn body(name: &str, seed: usize) -> Bytes {
    let text = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\"}},\
         \"data\":{{\"payload\":\"{}\"}}}}",
        letters(seed)
    );
    text.into()
}

/// Letters that no two seeds share and that do not compress to nothing.
fn letters(seed: usize) -> String {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap_or(0))
    };
    (0..VALUE_BYTES).map(|_| letter()).collect()
}
