//! `huiliu match train`, and records that are judged by what it learned.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use huiliu_mappings::matching::linkage::{self, Frozen, Kind, Records as Judged, Resident, Settings};

use super::cost::Cost;
use super::{Loaded, Records, each, kinds, load, settings, steps, write};
use crate::language::Language;
use crate::say;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu match train people.csv --columns columns.toml --out model.json
  huiliu match run others.csv --model model.json --out clusters.csv

The file holds weights, rules and how common values are, of which it keeps marks and not the values.")]
pub(super) struct Args {
    #[command(flatten)]
    of: Records,
    /// Where the model goes, a JSON file.
    #[arg(long, value_name = "MODEL.json")]
    out: PathBuf,
}

pub(super) fn train(args: &Args, language: Language) -> Result<ExitCode, String> {
    let cost = Cost::begin();
    let Loaded { headers, table, .. } = load(&args.of, language)?;
    let model = linkage::train(table, &headers, &settings(&args.of), &mut steps(language))
        .map_err(|told| format!("{}: {told}", args.of.file.display()))?;
    std::fs::write(&args.out, model.to_json())
        .map_err(|error| format!("{}: cannot be written: {error}", args.out.display()))?;
    eprintln!(
        "{}",
        say!(
            language,
            "learned from {rows} records, {columns} columns",
            "学自 {rows} 条记录，{columns} 列",
            rows = model.rows(),
            columns = model.columns().count(),
        )
    );
    eprintln!("{}", cost.told(language));
    Ok(ExitCode::SUCCESS)
}

/// The records of a file in the columns of a model, and their names.
pub(super) fn records(model: &Frozen, args: &Records, language: Language) -> Result<(Vec<String>, Judged), String> {
    let mut records = model.records();
    let ids = rows(model, args, language, &mut |id, cells| records.push(id, cells.iter().copied()))?;
    Ok((ids, records))
}

/// Clusters the records of a file one after the other, and says what each cost.
pub(super) fn one_by_one(
    model: &Frozen,
    settings: Settings,
    args: &Records,
    out: &Path,
    language: Language,
) -> Result<ExitCode, String> {
    let cost = Cost::begin();
    let mut resident = Resident::new(model.clone(), settings);
    let mut micros: Vec<u128> = Vec::new();
    let ids = rows(model, args, language, &mut |id, cells| {
        let begin = Instant::now();
        resident.put(id, cells);
        micros.push(begin.elapsed().as_micros());
    })?;
    if resident.len() < ids.len() {
        let file = args.file.display();
        return Err(format!("{file}: two rows have the same record_id; one by one the second would replace the first"));
    }
    let clusters: HashMap<&str, u32> = resident.clusters().into_iter().collect();
    write(out, ids.iter().map(|id| (id.as_str(), clusters[id.as_str()])))?;
    micros.sort_unstable();
    let at = |percent: usize| micros.get(micros.len() * percent / 100).copied().unwrap_or_default();
    eprintln!(
        "{}",
        say!(
            language,
            "{rows} records one by one, {clusters} clusters; half of them took {half} µs at most, 99 % {most} µs",
            "逐条处理 {rows} 条记录，共 {clusters} 个簇；一半记录不超过 {half} 微秒，99 % 不超过 {most} 微秒",
            rows = ids.len(),
            clusters = clusters.values().collect::<HashSet<_>>().len(),
            half = at(50),
            most = at(99),
        )
    );
    eprintln!("{}", cost.told(language));
    Ok(ExitCode::SUCCESS)
}

/// Hands the rows of a file to `take`, in the columns of a model; returns the names of the records.
fn rows(
    model: &Frozen,
    args: &Records,
    language: Language,
    take: &mut dyn FnMut(&str, &[&str]),
) -> Result<Vec<String>, String> {
    let (headers, kinds) = kinds(args)?;
    let places = places(model, &headers, &kinds);
    let missing: Vec<&str> =
        model.columns().zip(&places).filter(|(_, at)| at.is_none()).map(|((header, _), _)| header).collect();
    if missing.len() == places.len() {
        let file = args.file.display();
        return Err(format!("{file}: no column of the model is there; say with --columns what the columns are"));
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        eprintln!("{}", say!(language, "not in the file: {missing}", "文件中没有：{missing}", missing = missing));
    }
    each(args, &headers, &kinds, &mut |id, cells| {
        let cell = |at: &Option<usize>| at.and_then(|at| cells.get(at)).copied().unwrap_or_default();
        take(id, &places.iter().map(cell).collect::<Vec<_>>());
    })
}

/// Where each column of the model stands in the file: under its header, otherwise the next that is of its kind.
fn places(model: &Frozen, headers: &[String], kinds: &[Kind]) -> Vec<Option<usize>> {
    let mut free: Vec<bool> = kinds.iter().map(|kind| *kind != Kind::RecordId).collect();
    let mut places: Vec<Option<usize>> = Vec::new();
    for (header, _) in model.columns() {
        let at = headers.iter().position(|it| it == header).filter(|at| free[*at]);
        if let Some(at) = at {
            free[at] = false;
        }
        places.push(at);
    }
    for ((_, kind), place) in model.columns().zip(&mut places).filter(|(_, place)| place.is_none()) {
        *place = (0..kinds.len()).find(|at| free[*at] && kinds[*at] == kind);
        if let Some(at) = place {
            free[*at] = false;
        }
    }
    places
}
