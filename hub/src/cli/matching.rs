//! `huiliu match`.

mod columns;
mod cost;
mod evaluate;
mod scores;

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use huiliu_file::delimited;
use huiliu_file::read::{self, Kind as FileKind, Options};
use huiliu_mappings::matching::linkage::{self, Found, Kind, STEPS, Settings, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::language::Language;
use crate::say;
use cost::Cost;

/// Finds the rows of a file that are the same customer; needs no deployment.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu match columns people.csv > columns.toml
  huiliu match run people.csv --columns columns.toml --out clusters.csv
  huiliu match evaluate people.csv --columns columns.toml --truth truth.csv")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Writes for each row the cluster that it belongs to.
    Run(Run),
    /// Prints what each column seems to be, in the form of --columns.
    Columns(Columns),
    /// Holds what `run` finds against a file that knows the truth.
    Evaluate(evaluate::Args),
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
}

#[derive(clap::Args)]
struct Columns {
    /// The file.
    records: PathBuf,
}

/// Clusters a file, or says what its columns are.
pub fn run(args: &Args, language: Language) -> Result<ExitCode, String> {
    match &args.action {
        Action::Run(args) => cluster(args, language),
        Action::Columns(args) => propose(args, language),
        Action::Evaluate(args) => evaluate::run(args, language),
    }
}

fn propose(args: &Columns, language: Language) -> Result<ExitCode, String> {
    let headers = read::headers(&args.records, Options::default())?;
    print!("{}", columns::proposed(&headers, language));
    Ok(ExitCode::SUCCESS)
}

fn cluster(args: &Run, language: Language) -> Result<ExitCode, String> {
    let cost = Cost::begin();
    let Loaded { ids, table } = load(&args.of, language)?;
    let found = linkage::run(table, &settings(&args.of), &mut steps(language));
    write(&args.out, &ids, &found)?;
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

/// A file in memory: the names of its records, and what of them is compared.
struct Loaded {
    ids: Vec<String>,
    table: Table,
}

fn load(args: &Records, language: Language) -> Result<Loaded, String> {
    let headers = read::headers(&args.file, Options::default())?;
    let kinds = match &args.columns {
        Some(file) => columns::read(file, &headers)?,
        None => headers.iter().map(|header| Kind::guess(header)).collect(),
    };
    if let Some(told) = columns::left_out(&headers, &kinds, language) {
        eprintln!("{told}");
    }
    if !kinds.iter().any(|kind| !matches!(kind, Kind::RecordId | Kind::Source | Kind::Ignore)) {
        return Err(format!("{}: no column is compared; say with --columns what they are", args.file.display()));
    }
    let id_at = kinds.iter().position(|kind| *kind == Kind::RecordId);
    let mut loaded = Loaded { ids: Vec::new(), table: Table::new(&kinds) };
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
        loaded.ids.push(id.map_or_else(|| (loaded.ids.len() + 1).to_string(), |id| (*id).to_owned()));
        loaded.table.push(cells);
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
        None => Ok(loaded),
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
fn write(path: &Path, ids: &[String], found: &Found) -> Result<(), String> {
    let cannot = |error: &dyn std::fmt::Display| format!("{}: cannot be written: {error}", path.display());
    let mut out = csv::Writer::from_path(path).map_err(|error| cannot(&error))?;
    out.write_record(["record_id", "cluster_id"]).map_err(|error| cannot(&error))?;
    for (id, cluster) in ids.iter().zip(&found.clusters) {
        out.write_record([id.as_str(), &cluster.to_string()]).map_err(|error| cannot(&error))?;
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
