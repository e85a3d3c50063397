//! What one record costs that arrives alone while many customers are stored: into the inbox, mapped, matched, merged and
//! logged, by two commits on the disk.

use std::path::Path;
use std::time::Instant;

use huiliu_core::engine::Engine;
use huiliu_core::pipeline::process;
use huiliu_core::store::inbox::{self, InboxItem, ItemKind};
use serde_json::{Map, Value};

use crate::usage::Usage;
use crate::{people, phases};

/// Customers stored at first, with which the larger store is compared.
const FEW: u64 = 10_000;

/// Records that arrive.
const ARRIVALS: u64 = 5000;

/// Before any is timed, so that caches are as they are in a hub that runs.
const BEFORE: u64 = 500;

/// Imports so many rows and prints what arrivals cost then, beside the same with few rows.
pub fn measure(file: &Path, rows: u64) -> Result<(), String> {
    println!(
        "{:>10}{:>12}{:>10}{:>10}{:>10}{:>10}{:>16}{:>16}",
        "rows", "customers", "p50 ms", "p99 ms", "worst ms", "CPU us", "joined", "tidying, worst"
    );
    for stored in [FEW, rows] {
        let folder = tempfile::tempdir().map_err(text)?;
        crate::write(file, stored)?;
        phases::import(file, folder.path())?;
        let at = phases::deployment(folder.path())?;
        // As `huiliu serve` does.
        at.engine.store.keep_small().map_err(text)?;
        arrive(&at.engine, stored)?;
    }
    Ok(())
}

fn arrive(engine: &Engine, stored: u64) -> Result<(), String> {
    let items = records(engine, stored)?;
    let (mut took, mut tidied, mut matched, mut from) = (Vec::new(), Vec::new(), 0, Usage::now());
    let customers = engine.store.read(|tx| tx.max("id", "golden")).map_err(text)?;
    for (at, item) in items.iter().enumerate() {
        if at as u64 == BEFORE {
            (took, tidied, matched, from) = (Vec::new(), Vec::new(), 0, Usage::now());
        }
        let began = Instant::now();
        engine.store.write(|tx| inbox::append(tx, std::slice::from_ref(item))).map_err(text)?;
        let created = process::batch(engine).map_err(text)?.created;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        matched += usize::from(created == 0);
        // Between arrivals a hub tidies up, a part at a time.
        let began = Instant::now();
        process::tidy(engine).map_err(text)?;
        tidied.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let [_, user, system] = Usage::now().since(from);
    took.sort_by(f64::total_cmp);
    let of = |part: usize| took[(took.len() * part / 1000).min(took.len() - 1)];
    let cpu = (user + system) * 1e6 / f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX));
    println!(
        "{stored:>10}{customers:>12}{:>10.2}{:>10.2}{:>10.2}{cpu:>10.0}{:>16}{:>16.1}",
        of(500),
        of(990),
        of(1000),
        format!("{matched} of {}", took.len()),
        tidied.iter().copied().fold(0.0, f64::max)
    );
    Ok(())
}

/// The rows that follow those that are stored, each as a source tells of it.
fn records(engine: &Engine, from: u64) -> Result<Vec<InboxItem>, String> {
    let mut file = Vec::new();
    people::write(&mut file, from, BEFORE + ARRIVALS).map_err(text)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file.as_slice());
    let headers = reader.headers().map_err(text)?.clone();
    let item = |row: csv::Result<csv::StringRecord>| {
        let row = row.map_err(text)?;
        let cells = headers.iter().zip(&row).map(|(name, cell)| (name.to_owned(), Value::from(cell)));
        let body = Value::from(cells.collect::<Map<String, Value>>());
        Ok(InboxItem {
            connection: "people".to_owned(),
            kind: ItemKind::Record,
            stream: Some("rows".to_owned()),
            external_id: row.get(0).map(str::to_owned),
            body: body.to_string().into_bytes(),
            received_us: engine.clock.now_us(),
            ..InboxItem::default()
        })
    };
    reader.records().map(item).collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
