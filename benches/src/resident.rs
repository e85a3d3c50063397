//! What it costs to tell who a record is as it arrives, and that the order of arrival does not matter; benches/README.md
//! says how to read it.

#[allow(dead_code)] // The import needs more of it.
mod people;
mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use huiliu_mappings::matching::linkage::{Frozen, Kind, Resident, Settings, Table, train};
use people::Dice;
use usage::Usage;

/// Records are many small texts, as in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times the record-by-record matcher as ever more people are stored, or holds random orders of arrival against each other.
#[derive(Parser)]
struct Cli {
    /// Records that are stored in the end.
    #[arg(long, default_value_t = 1_000_000)]
    stored: usize,
    /// Instead: so many random orders of `--stored` records.
    #[arg(long)]
    orders: Option<u64>,
    /// Records of which the model is learned, the first of the same people: as many as will be stored, or the blocking rules
    /// are those of a smaller file.
    #[arg(long, default_value_t = 1_000_000)]
    learned: usize,
    /// People out of this CSV file, whose headers say what its columns are, instead of the invented ones of the import.
    #[arg(long)]
    file: Option<PathBuf>,
}

/// The first step that is measured begins after so many records.
const FIRST: usize = 10_000;

/// Records of a step: enough for its slowest hundredth to be a hundred.
const STEP: usize = 10_000;

/// Steps of which a figure is the mean.
const MEAN: usize = 5;

/// What each column of the invented people is, in their order; job, tags and remark are not compared.
const KINDS: [Kind; 11] = [
    Kind::RecordId,
    Kind::FullName,
    Kind::Phone,
    Kind::Email,
    Kind::Company,
    Kind::Ignore,
    Kind::BirthDate,
    Kind::City,
    Kind::Identifier,
    Kind::Ignore,
    Kind::Ignore,
];

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("resident-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<(), String> {
    let people = || People::open(cli.file.as_deref());
    let model = people()?.learn(cli.learned)?;
    match cli.orders {
        Some(orders) => shuffle(people()?, &model, cli.stored, orders),
        None => grow(people()?, &model, cli.stored),
    }
}

/// Rows of people, some at a time, so that the memory that is told is the matcher's.
struct People {
    headers: Vec<String>,
    kinds: Vec<Kind>,
    /// None: they are invented.
    file: Option<csv::Reader<std::fs::File>>,
    told: usize,
}

impl People {
    fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            let headers = people::HEADERS.split(',').map(str::to_owned).collect();
            return Ok(Self { headers, kinds: KINDS.to_vec(), file: None, told: 0 });
        };
        let told = |error: csv::Error| format!("{}: {error}", path.display());
        let mut file = csv::Reader::from_path(path).map_err(told)?;
        let headers: Vec<String> = file.headers().map_err(told)?.iter().map(str::to_owned).collect();
        let kinds = headers.iter().map(|header| Kind::guess(header)).collect();
        Ok(Self { headers, kinds, file: Some(file), told: 0 })
    }

    fn next(&mut self, rows: usize) -> Result<Vec<csv::StringRecord>, String> {
        let from = self.told;
        self.told += rows;
        let told = |error: csv::Error| error.to_string();
        if let Some(file) = &mut self.file {
            return file.records().take(rows).collect::<Result<_, _>>().map_err(told);
        }
        let mut text = Vec::new();
        people::write(&mut text, from as u64, rows as u64).map_err(|error| error.to_string())?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
        reader.records().collect::<Result<_, _>>().map_err(told)
    }

    fn learn(mut self, rows: usize) -> Result<Frozen, String> {
        let mut table = Table::new(&self.kinds);
        for from in (0..rows).step_by(STEP) {
            for row in self.next(STEP.min(rows - from))? {
                table.push(row.iter());
            }
        }
        train(table, &self.headers, &Settings::shipped(), &mut |_, _| ())
    }

    /// Which cell is a row's key, and which each column of the model takes.
    fn places(&self, model: &Frozen) -> Places {
        let key = self.kinds.iter().position(|kind| *kind == Kind::RecordId).unwrap_or_default();
        let at = |header: &str| self.headers.iter().position(|it| it == header);
        Places { key, cells: model.columns().filter_map(|(header, _)| at(header)).collect() }
    }
}

struct Places {
    key: usize,
    cells: Vec<usize>,
}

fn put(resident: &mut Resident, places: &Places, row: &csv::StringRecord) {
    let cells: Vec<&str> = places.cells.iter().map(|at| &row[*at]).collect();
    resident.put(&row[places.key], &cells);
}

/// What a step cost: wall time of each record in the middle, of the slowest hundredth, and processor time on the mean.
struct Step {
    stored: usize,
    half_us: f64,
    most_us: f64,
    processor_us: f64,
}

fn grow(mut people: People, model: &Frozen, stored: usize) -> Result<(), String> {
    let places = people.places(model);
    let mut resident = Resident::new(model.clone(), Settings::shipped());
    let mut steps: Vec<Step> = Vec::new();
    println!("{:>10}{:>10}{:>10}{:>14}{:>10}", "stored", "p50 us", "p99 us", "processor us", "peak MiB");
    for from in (0..stored).step_by(STEP) {
        let rows = people.next(STEP.min(stored - from))?;
        if rows.is_empty() {
            break;
        }
        let before = processor_seconds();
        let took = |row| {
            let begin = Instant::now();
            put(&mut resident, &places, row);
            begin.elapsed().as_secs_f64() * 1e6
        };
        let mut took: Vec<f64> = rows.iter().map(took).collect();
        let used = processor_seconds() - before;
        took.sort_by(f64::total_cmp);
        let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
        let records = count(took.len());
        let processor_us = used * 1e6 / records;
        steps.push(Step { stored: from + took.len(), half_us: at(50), most_us: at(99), processor_us });
    }
    // A step is a tenth of a second and a bit, in which others disturb: the mean of some steps is the figure.
    let told = |steps: &[Step]| {
        let mean = |of: fn(&Step) -> f64| steps.iter().map(of).sum::<f64>() / count(steps.len());
        let (half, most, processor) = (mean(|it| it.half_us), mean(|it| it.most_us), mean(|it| it.processor_us));
        let stored = steps.last().map_or(0, |it| it.stored);
        println!("{stored:>10}{half:>10.1}{most:>10.1}{processor:>14.1}{:>10.0}", usage::peak_mib());
        processor
    };
    let first = steps.iter().position(|it| it.stored > FIRST).unwrap_or_default();
    let end = steps.len().min(first + 1);
    let begun = told(&steps[first..end]);
    let tenths = (1..10).map(|tenth| steps.len() * tenth / 10).filter(|at| *at > end + MEAN);
    for at in tenths {
        told(&steps[at - MEAN..at]);
    }
    let ended = told(&steps[steps.len().saturating_sub(MEAN)..]);
    println!("{} records; the cost of one grew {:.2} times in processor time", resident.len(), ended / begun);
    Ok(())
}

/// Seconds that the matcher's one thread was on a processor (proc_pid_schedstat(5): the first field, in nanoseconds).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|it| it.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Puts the same records in random orders, each into a matcher of its own.
fn shuffle(mut people: People, model: &Frozen, stored: usize, orders: u64) -> Result<(), String> {
    let (places, rows) = (people.places(model), people.next(stored)?);
    let mut first: Option<Vec<(String, u32)>> = None;
    let mut alike = 0;
    for seed in 1..=orders {
        let mut dice = Dice(seed);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, usize::try_from(dice.roll(at as u64 + 1)).unwrap_or_default());
        }
        let begun = Usage::now();
        let mut resident = Resident::new(model.clone(), Settings::shipped());
        for at in order {
            put(&mut resident, &places, &rows[at]);
        }
        let found: Vec<(String, u32)> =
            resident.clusters().into_iter().map(|(id, cluster)| (id.to_owned(), cluster)).collect();
        let [_, user, system] = Usage::now().since(begun);
        let customers = found.iter().map(|(_, cluster)| cluster + 1).max().unwrap_or_default();
        let is_alike = first.get_or_insert_with(|| found.clone()) == &found;
        alike += u64::from(is_alike);
        let told = if is_alike { "as the first" } else { "ANOTHER PARTITION" };
        println!("order {seed}: {} records, {customers} customers, {:.1} s, {told}", found.len(), user + system);
    }
    if alike == orders { Ok(()) } else { Err(format!("{} of {orders} orders gave another partition", orders - alike)) }
}
