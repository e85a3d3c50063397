//! `huiliu match`.

mod columns;
mod cost;
mod evaluate;
mod explain;
mod learn;
mod model;
mod scores;

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use huiliu_file::delimited;
use huiliu_file::read::{self, Kind as FileKind, Options};
use huiliu_mappings::matching::Teacher;
use huiliu_mappings::matching::linkage::{self, Facts, Found, Kind, STEPS, Settings, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::language::Language;
use crate::{model_file, say};
use cost::Cost;

/// Finds the rows of a file that are the same customer, which needs no deployment, tells why two are or not, and learns.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu match columns people.csv > columns.toml
  huiliu match run people.csv --columns columns.toml --out clusters.csv
  huiliu match evaluate people.csv --columns columns.toml --truth truth.csv
  huiliu match train people.csv --columns columns.toml --out model.json
  huiliu match run others.csv --model model.json --out clusters.csv
  huiliu match explain people.csv 17 23 --columns columns.toml
  huiliu match learn")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Writes for each row the cluster that it belongs to.
    Run(Run),
    /// Learns from the records and keeps what was learned, so that others are judged by it.
    Train(model::Args),
    /// Proposes a model of the records that the hub has stored, for this deployment's own rules.
    Learn(learn::Args),
    /// Prints what each column seems to be, in the form of --columns.
    Columns(Columns),
    /// Holds what `run` finds against a file that knows the truth.
    Evaluate(evaluate::Args),
    /// Tells why two are one customer or not, comparison by comparison, and what would have to be otherwise.
    Explain(explain::Args),
}

/// A file and what its columns are.
#[derive(clap::Args)]
pub(super) struct Records {
    /// The file: CSV, TSV, XLSX or JSON Lines; encoding and delimiter are found out.
    #[arg(value_name = "RECORDS")]
    file: PathBuf,
    /// A TOML file that says what the columns are, a line each: `surname = "family_name"`; a column that it does not name is
    /// not compared. Without it the headers say so, as `huiliu match columns` prints them.
    #[arg(long, value_name = "FILE")]
    columns: Option<PathBuf>,
    /// Learn from the records themselves, never from labels, how telling each agreement is. `--train=false` takes what the
    /// program expects instead.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    train: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu match columns people.csv > columns.toml
  huiliu match run people.csv --columns columns.toml --out clusters.csv

Rows with the same cluster_id are the same customer.")]
struct Run {
    #[command(flatten)]
    of: Records,
    /// Where the clusters go, CSV with the columns record_id and cluster_id, a row of the file each. A record is named by
    /// its column of the kind record_id, otherwise by its place in the file, from 1.
    #[arg(long, value_name = "CLUSTERS.csv")]
    out: PathBuf,
    /// Judge by what `huiliu match train` learned instead of learning from these records. The model knows the columns by their
    /// headers; where these differ, --columns says which they are.
    #[arg(long, value_name = "MODEL.json", conflicts_with = "train")]
    model: Option<PathBuf>,
    /// With --model: take the records one after the other, as they would arrive; whatever their order, the customers are those
    /// of a run over all of them.
    #[arg(long, requires = "model")]
    one_by_one: bool,
}

#[derive(clap::Args)]
struct Columns {
    /// The file.
    records: PathBuf,
}

/// Clusters a file, or says what its columns are.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Action::Run(args) => cluster(args, language),
        Action::Train(args) => model::train(args, language),
        Action::Learn(args) => super::learning::run(folder, Teacher::Records, &args.how, language),
        Action::Columns(args) => propose(args, language),
        Action::Evaluate(args) => evaluate::run(args, language),
        Action::Explain(args) => explain::run(folder, args, language),
    }
}

/// A comparison of a model and one of its levels, in the words of people.
pub(super) fn words_of(comparison: &str, level: &str, language: Language) -> [String; 2] {
    [explain::comparison(comparison, language), explain::level(comparison, level, language)]
}

fn propose(args: &Columns, language: Language) -> Result<ExitCode, String> {
    let headers = read::headers(&args.records, Options::default())?;
    print!("{}", columns::proposed(&headers, language));
    Ok(ExitCode::SUCCESS)
}

fn cluster(args: &Run, language: Language) -> Result<ExitCode, String> {
    let cost = Cost::begin();
    let (ids, found) = match &args.model {
        None => {
            let Loaded { ids, table, .. } = load(&args.of, language)?;
            (ids, linkage::run(table, &settings(&args.of), &mut steps(language)))
        }
        Some(path) => {
            let settings = Settings::shipped();
            let model = model_file::read(path, &settings)?;
            if args.one_by_one {
                return model::one_by_one(&model, settings, &args.of, &args.out, language);
            }
            let (ids, records) = model::records(&model, &args.of, language)?;
            (ids, model.run(records, &Facts::default(), &settings, &mut steps(language)))
        }
    };
    write(&args.out, ids.iter().map(String::as_str).zip(found.clusters.iter().copied()))?;
    eprintln!("{}", summary(&found, language));
    eprintln!("{}", cost.told(language));
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Records) -> Settings {
    if args.train { Settings::shipped() } else { Settings::shipped().untrained() }
}

fn summary(found: &Found, language: Language) -> String {
    let clusters: HashSet<u32> = found.clusters.iter().copied().collect();
    say!(
        language,
        "{rows} records, {pairs} pairs compared, {linked} of them linked, {clusters} clusters",
        "{rows} 条记录，比较了 {pairs} 对，其中 {linked} 对相连，共 {clusters} 个簇",
        rows = found.clusters.len(),
        pairs = found.compared,
        linked = found.linked,
        clusters = clusters.len(),
    )
}

/// A file in memory: its headers, the names of its records, and what of them is compared.
struct Loaded {
    headers: Vec<String>,
    ids: Vec<String>,
    table: Table,
}

fn load(args: &Records, language: Language) -> Result<Loaded, String> {
    let (headers, kinds) = kinds(args)?;
    if let Some(told) = columns::left_out(&headers, &kinds, language) {
        eprintln!("{told}");
    }
    if !kinds.iter().any(|kind| !matches!(kind, Kind::RecordId | Kind::Source | Kind::Ignore)) {
        return Err(format!("{}: no column is compared; say with --columns what they are", args.file.display()));
    }
    let mut table = Table::new(&kinds);
    let ids = each(args, &headers, &kinds, &mut |_, cells| table.push(cells.iter().copied()))?;
    Ok(Loaded { headers, ids, table })
}

/// The headers of the file and what they are.
fn kinds(args: &Records) -> Result<(Vec<String>, Vec<Kind>), String> {
    let headers = read::headers(&args.file, Options::default())?;
    let kinds = match &args.columns {
        Some(file) => columns::read(file, &headers)?,
        None => headers.iter().map(|header| Kind::guess(header)).collect(),
    };
    Ok((headers, kinds))
}

/// Reads the rows of the file and hands the cells of each to `take`; returns the names of the records.
fn each(
    args: &Records,
    headers: &[String],
    kinds: &[Kind],
    take: &mut dyn FnMut(&str, &[&str]),
) -> Result<Vec<String>, String> {
    let id_at = kinds.iter().position(|kind| *kind == Kind::RecordId);
    let mut ids: Vec<String> = Vec::new();
    let mut wrong: Option<String> = None;
    let place = args.file.display().to_string();
    let mut add = |line: u64, cells: Result<&mut dyn Iterator<Item = &str>, String>| {
        let cells: Vec<&str> = match cells {
            Ok(cells) => cells.collect(),
            Err(told) => {
                wrong = Some(format!("{place}:{line}: {told}"));
                return false;
            }
        };
        let id = id_at.and_then(|at| cells.get(at)).filter(|id| !id.is_empty());
        let id = id.map_or_else(|| (ids.len() + 1).to_string(), |id| (*id).to_owned());
        take(&id, &cells);
        ids.push(id);
        true
    };
    match FileKind::of(&args.file)? {
        FileKind::Delimited(usual) => {
            let mut file = delimited::Table::open(&args.file, usual)?;
            let reason_at = file.headers.reason_at();
            file.records(&place, &mut |line, _, record| match record {
                // The reader of files skips rows without a value, and the column in which rejects say why.
                Ok(record) if record.iter().all(|cell| cell.trim().is_empty()) => true,
                Ok(record) => {
                    let cells = record.iter().enumerate().filter(|(at, _)| Some(*at) != reason_at);
                    add(line, Ok(&mut cells.map(|(_, cell)| cell)))
                }
                Err(told) => add(line, Err(told)),
            })?;
        }
        _ => read::rows(&args.file, &mut |(line, row)| match row {
            Ok(row) => {
                let texts: Vec<String> = headers.iter().map(|header| text(row.get(header))).collect();
                add(line, Ok(&mut texts.iter().map(String::as_str)))
            }
            Err(told) => add(line, Err(told)),
        })?,
    }
    match wrong {
        Some(told) => Err(told),
        None => Ok(ids),
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Plain CSV without a mark at its beginning, so that any program reads it.
fn write<'a>(path: &Path, clusters: impl Iterator<Item = (&'a str, u32)>) -> Result<(), String> {
    let cannot = |error: &dyn std::fmt::Display| format!("{}: cannot be written: {error}", path.display());
    let mut out = csv::Writer::from_path(path).map_err(|error| cannot(&error))?;
    out.write_record(["record_id", "cluster_id"]).map_err(|error| cannot(&error))?;
    for (id, cluster) in clusters {
        out.write_record([id, &cluster.to_string()]).map_err(|error| cannot(&error))?;
    }
    out.flush().map_err(|error| cannot(&error))
}

/// Shows each step; on a terminal as a line that moves.
fn steps(language: Language) -> impl FnMut(usize, &'static str) {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    move |step, what| {
        bar.set_message(format!("{step}/{STEPS} {}", language.told(what)));
        if step == STEPS {
            bar.set_message(String::new());
        }
    }
}
