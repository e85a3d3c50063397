//! What the import costs, beside what the machine itself can do; benches/README.md says how to read it.

mod arrivals;
mod backfill;
mod pages;
mod people;
mod phases;
mod usage;

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, ValueEnum};
use usage::{Took, median};

/// Records are many small texts: the system's allocator takes a third of the time of an import.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times the import of invented customers against plain parsing and against a raw insert of the same bytes.
#[derive(Parser)]
struct Cli {
    /// Rows in the file.
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// How often each phase runs, in turn; the median is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Instead: import this many rows into one store and print the cost of a row as the store grows.
    #[arg(long)]
    grow: Option<u64>,
    /// Instead: import this many rows into one store and print what a row costs, and what the store and the program take, at
    /// ten thousand rows, a hundred thousand and so on.
    #[arg(long)]
    scale: Option<u64>,
    /// Instead: import this many rows and print what each page of the console costs.
    #[arg(long)]
    pages: Option<u64>,
    /// Instead: import this many rows and print what a record costs that arrives alone then.
    #[arg(long)]
    arrivals: Option<u64>,
    /// Instead: read so many records from scratch while people edit 200 a second, and look for a stale value.
    #[arg(long)]
    backfill: Option<u64>,
    /// Only write the file here.
    #[arg(long)]
    write: Option<PathBuf>,
    /// One phase, in this process; the other arguments are its file and folder.
    #[arg(long, requires_all = ["file", "folder"])]
    phase: Option<Phase>,
    #[arg(long)]
    file: Option<PathBuf>,
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    Parse,
    Raw,
    Import,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Parse, Self::Raw, Self::Import];

    fn word(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Raw => "raw",
            Self::Import => "import",
        }
    }
}

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("import-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<(), String> {
    if let (Some(phase), Some(file), Some(folder)) = (cli.phase, &cli.file, &cli.folder) {
        let took = match phase {
            Phase::Parse => phases::parse(file)?,
            Phase::Raw => phases::raw(file, folder)?,
            Phase::Import => phases::import(file, folder)?,
        };
        println!("{}", serde_json::to_string(&took).map_err(|error| error.to_string())?);
        return Ok(());
    }
    if let Some(path) = &cli.write {
        return write(path, cli.rows);
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    if let Some(records) = cli.backfill {
        return backfill::measure(records, folder.path());
    }
    let file = folder.path().join("people.csv");
    if let Some(rows) = cli.arrivals {
        return arrivals::measure(&file, rows);
    }
    match (cli.grow, cli.scale, cli.pages) {
        (Some(rows), ..) => grow(&file, folder.path(), rows),
        (_, Some(rows), _) => scale(&file, folder.path(), rows),
        (.., Some(rows)) => {
            write(&file, rows)?;
            pages::measure(&file, folder.path())
        }
        _ => compare(&file, cli),
    }
}

fn write(path: &Path, rows: u64) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut out = BufWriter::new(std::fs::File::create(path).map_err(told)?);
    people::write(&mut out, 0, rows).map_err(told)
}

fn compare(file: &Path, cli: &Cli) -> Result<(), String> {
    write(file, cli.rows)?;
    let mut rounds: [Vec<Took>; 3] = Default::default();
    for _ in 0..cli.rounds.max(1) {
        for (phase, took) in Phase::ALL.into_iter().zip(&mut rounds) {
            took.push(alone(phase, file)?);
        }
    }
    println!(
        "{:8}{:>12}{:>14}{:>12}{:>12}  (medians of {})",
        "", "rows/s", "CPU us/row", "user s", "peak MiB", cli.rounds
    );
    let mut rates = Vec::new();
    for (phase, took) in Phase::ALL.into_iter().zip(&rounds) {
        let middle = |of: &dyn Fn(&Took) -> f64| median(took.iter().map(of).collect());
        let (rate, cpu) = (middle(&Took::rate), middle(&Took::cpu_us));
        let (user, peak) = (middle(&|it| it.user), middle(&|it| it.peak));
        println!("{:8}{rate:>12.0}{cpu:>14.1}{user:>12.2}{peak:>12.0}", phase.word());
        rates.push(rate);
    }
    println!("import: {:.1} % of parse, {:.1} % of raw", 100.0 * rates[2] / rates[0], 100.0 * rates[2] / rates[1]);
    println!("{}", rounds[2].first().map_or("", |took| &took.told));
    Ok(())
}

/// Runs a phase in a fresh process, so that its memory is its own.
fn alone(phase: Phase, file: &Path) -> Result<Took, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", phase.word());
    let folder = tempfile::tempdir().map_err(|error| told(&error))?;
    let program = std::env::current_exe().map_err(|error| told(&error))?;
    let mut command = Command::new(program);
    command.arg("--phase").arg(phase.word()).arg("--file").arg(file).arg("--folder").arg(folder.path());
    let ran = command.stderr(Stdio::inherit()).output().map_err(|error| told(&error))?;
    if !ran.status.success() {
        return Err(told(&ran.status));
    }
    serde_json::from_slice(&ran.stdout).map_err(|error| told(&error))
}

/// Lines printed for a growing store.
const MARKS: u64 = 40;

fn grow(file: &Path, folder: &Path, rows: u64) -> Result<(), String> {
    write(file, rows)?;
    let marks = phases::grow(file, folder, (rows / MARKS).clamp(1000, 20_000))?;
    println!("{:>10}{:>16}{:>16}{:>16}", "rows", "wall us/row", "user us/row", "system us/row");
    for (at, [wall, user, system]) in &marks {
        println!("{at:>10}{wall:>16.1}{user:>16.1}{system:>16.1}");
    }
    println!("peak {:.0} MiB", usage::peak_mib());
    Ok(())
}

fn scale(file: &Path, folder: &Path, rows: u64) -> Result<(), String> {
    write(file, rows)?;
    println!(
        "{:>10}{:>14}{:>14}{:>14}{:>14}{:>12}",
        "rows", "wall us/row", "CPU us/row", "of 100,000", "RSS MiB", "store MiB"
    );
    // The first mark is at ten thousand rows, the second at a hundred thousand.
    let mut marks = Vec::new();
    phases::scale(file, folder, &mut |mark| {
        let (wall, cpu) = (mark.took[0], mark.took[1] + mark.took[2]);
        marks.push(cpu);
        let of_base = marks.get(1).map(|base| format!("{:.2}", cpu / base)).unwrap_or_default();
        let (rows, resident, store) = (mark.rows, mark.resident, mark.store);
        println!("{rows:>10}{wall:>14.1}{cpu:>14.1}{of_base:>14}{resident:>14.0}{store:>12}");
    })?;
    Ok(())
}
