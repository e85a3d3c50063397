//! What the mapping of a record costs alone: a line of JSON in, the canonical fields as a line of JSON out, one thread;
//! benches/README.md says how to read it.

#[path = "../customers/mod.rs"]
mod customers;
#[path = "../usage.rs"]
mod usage;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use customers::by_hand;
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use serde_json::Value;
use usage::Usage;

/// The hub's own, so that everybody allocates alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Maps 18 fields of invented customers: by hand, by the hub's lens, and by VRL if its program is given.
#[derive(Parser)]
struct Cli {
    /// Records.
    #[arg(long, default_value_t = 50_000)]
    records: u64,
    /// How often each has its turn; medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The program of benches/peers/vrl.
    #[arg(long)]
    vrl: Option<PathBuf>,
    /// Instead: the lens alone, over and over, for a profiler.
    #[arg(long)]
    profile: bool,
}

/// Records whose results are compared field by field.
const COMPARED: usize = 2000;

/// Appends to its second argument what it makes of the first.
type Map<'a> = dyn FnMut(&str, &mut Vec<u8>) -> Result<(), String> + 'a;

type Mapper<'a> = (&'static str, Box<Map<'a>>);

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("mapping-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<(), String> {
    let lines = lines(cli.records);
    let [fields, matched] = [false, true].map(|matched| lens(&customers::mapping(matched)));
    let (fields, matched) = (fields?, matched?);
    let mut mappers: Vec<Mapper<'_>> = vec![
        (
            "by hand",
            Box::new(|line, out| {
                let record: by_hand::Record<'_> = serde_json::from_str(line).map_err(text)?;
                serde_json::to_writer(out, &by_hand::map(&record)).map_err(text)
            }),
        ),
        ("lens", Box::new(|line, out| by_lens(&fields, line, out))),
        ("lens, identities too", Box::new(|line, out| by_lens(&matched, line, out))),
    ];
    if cli.profile {
        mappers.retain(|(name, _)| *name == "lens");
    } else {
        compare(&lines, &mut mappers, cli.vrl.as_deref())?;
    }
    let mut took: Vec<Vec<f64>> = vec![Vec::new(); mappers.len() + 1];
    for _ in 0..cli.rounds.max(1) {
        for (at, (_, map)) in mappers.iter_mut().enumerate() {
            took[at].push(turn(&lines, map)?);
        }
        if let Some(program) = &cli.vrl {
            took[mappers.len()].push(peer(program, &lines, lines.len())?.0);
        }
    }
    let bytes = lines.iter().map(String::len).sum::<usize>();
    println!("{} records of {} bytes, medians of {}", lines.len(), bytes / lines.len(), cli.rounds);
    println!("{:22}{:>16}{:>12}{:>12}", "", "records/CPU s", "CPU us", "of by hand");
    let names = mappers.iter().map(|(name, _)| *name).chain(["VRL"]);
    let mut by_hand = None;
    for (name, mut took) in names.zip(took).filter(|(_, took)| !took.is_empty()) {
        took.sort_by(f64::total_cmp);
        let seconds = took[took.len() / 2];
        let first = *by_hand.get_or_insert(seconds);
        let count = f64::from(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        println!("{name:22}{:>16.0}{:>12.2}{:>12.2}", count / seconds, seconds * 1e6 / count, first / seconds);
    }
    Ok(())
}

fn lines(records: u64) -> Vec<String> {
    let made = (0..records.max(1)).map(|number| {
        let mut line = String::new();
        customers::write(&mut line, number);
        line
    });
    made.collect()
}

fn lens(mapping: &str) -> Result<Lens, String> {
    let parsed = Lens::parse_file("shop.toml", mapping, &Model::shipped());
    let told = |told: Vec<huiliu_mappings::diagnose::Diagnostic>| told.iter().map(ToString::to_string).collect();
    parsed.map_err(|it| -> String { told(it) })?.pop().ok_or_else(|| "no lens".to_owned())
}

fn by_lens(lens: &Lens, line: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let body = lens.pick(line.as_bytes()).map_err(text)?;
    let (mapped, issues) = lens.map(&body);
    black_box(&mapped.identities);
    if let Some(issue) = issues.first() {
        return Err(format!("{}: {}", issue.at, issue.message));
    }
    serde_json::to_writer(out, &mapped.fields).map_err(text)
}

/// Processor seconds of one turn.
fn turn(lines: &[String], map: &mut Map<'_>) -> Result<f64, String> {
    let from = Usage::now();
    let mut out = Vec::new();
    for line in lines {
        out.clear();
        map(line, &mut out)?;
        black_box(&out);
    }
    let [_, user, system] = Usage::now().since(from);
    Ok(user + system)
}

/// Every mapper says the same of the first records.
fn compare(lines: &[String], mappers: &mut [Mapper<'_>], vrl: Option<&Path>) -> Result<(), String> {
    let some = &lines[..lines.len().min(COMPARED)];
    let mut all: Vec<(&str, Vec<Value>)> = Vec::new();
    for (name, map) in mappers {
        let made = some.iter().map(|line| {
            let mut out = Vec::new();
            map(line, &mut out)?;
            serde_json::from_slice(&out).map_err(text)
        });
        all.push((*name, made.collect::<Result<_, String>>()?));
    }
    if let Some(program) = vrl {
        let made = peer(program, some, some.len())?.1;
        all.push(("VRL", made.iter().map(|line| serde_json::from_str(line).map_err(text)).collect::<Result<_, _>>()?));
    }
    let (first, others) = all.split_first().ok_or("nothing to compare")?;
    for (name, made) in others {
        if made.len() != first.1.len() {
            return Err(format!("{name} made {} records of {}", made.len(), first.1.len()));
        }
        for (at, (made, wanted)) in made.iter().zip(&first.1).enumerate() {
            if made != wanted {
                return Err(format!("record {at}: {name} says {made}\n{} says {wanted}", first.0));
            }
        }
    }
    println!("the results of {} records are the same, field by field", some.len());
    Ok(())
}

/// A turn of the peer: its own processor seconds, and what it made.
fn peer(program: &Path, lines: &[String], count: usize) -> Result<(f64, Vec<String>), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let (given, made) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::write(&given, lines[..count].join("\n")).map_err(text)?;
    let ran = Command::new(program).arg(&given).arg(&made).output().map_err(text)?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    if !ran.status.success() {
        return Err(format!("{}: {}", program.display(), String::from_utf8_lossy(&ran.stderr)));
    }
    let seconds = said.trim().parse().map_err(|_| format!("{}: said {said}", program.display()))?;
    let made = std::fs::read_to_string(&made).map_err(text)?;
    Ok((seconds, made.lines().map(str::to_owned).collect()))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
