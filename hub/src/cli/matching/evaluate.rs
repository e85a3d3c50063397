//! `huiliu match evaluate`: what is found against what is true; where nobody knows the truth, what can be said without it.

mod plot;
mod unlabelled;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_file::read;
use huiliu_mappings::matching::linkage::{self, Found};
use serde_json::{Value, json};

use super::cost::Cost;
use super::scores::{self, Score, Scores};
use super::{Loaded, Records, load, settings, steps, summary};
use crate::language::Language;
use crate::table;

/// The bounds at which the clusters are formed anew for the curve, bits.
const LINKS: [f64; 9] = [-6.0, -3.0, 0.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0];

/// The bound of the shipped settings among them.
const SHIPPED: f64 = 0.0;

/// The bars of the curve are so many characters long at 1.
const BAR: u32 = 40;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu match evaluate people.csv --columns columns.toml --truth truth.csv
  huiliu match evaluate people.csv --truth truth.csv --plot curve.svg
  huiliu match evaluate people.csv --truth truth.csv --json
  huiliu match evaluate people.csv --columns columns.toml

With a file that knows the truth: precision, recall and F1 over pairs, records (B-cubed) and whole clusters, the curve over the
bound from which pairs are linked, and the worst errors. Without one: how many records are repeats, how sure that is by
the model's own estimate, and the pairs about which nobody can be sure.")]
pub(super) struct Args {
    #[command(flatten)]
    of: Records,
    /// A file with the columns record_id and cluster_id: records with the same cluster_id are one customer.
    #[arg(long, value_name = "TRUTH.csv")]
    truth: Option<PathBuf>,
    /// Draws precision, recall and F1 over pairs by the bound, a file in SVG.
    #[arg(long, value_name = "CURVE.svg", requires = "truth")]
    plot: Option<PathBuf>,
    /// So many of the worst errors, or of the pairs in doubt, are shown.
    #[arg(long, default_value_t = 5)]
    errors: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, language: Language) -> Result<ExitCode, String> {
    let cost = Cost::begin();
    let Some(truth_file) = &args.truth else {
        unlabelled::run(args, language)?;
        eprintln!("{}", cost.told(language));
        return Ok(ExitCode::SUCCESS);
    };
    let Loaded { ids, table, .. } = load(&args.of, language)?;
    let truth = truth(truth_file, &ids)?;
    let found = linkage::at_links(table, &settings(&args.of), &LINKS, &mut steps(language));
    let curve: Vec<(f64, Scores)> =
        LINKS.iter().zip(&found).map(|(link, found)| (*link, scores::scores(&found.clusters, &truth))).collect();
    let shipped = LINKS.iter().position(|link| (link - SHIPPED).abs() < f64::EPSILON).unwrap_or_default();
    let worst = scores::worst(&found[shipped].clusters, &truth, args.errors);
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(&curve, language))
            .map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    if args.json {
        let points: Vec<Value> = curve.iter().map(|(link, scores)| json!({"bits": link, "scores": scores})).collect();
        let named = |groups: &[Vec<usize>]| {
            groups.iter().map(|rows| rows.iter().map(|row| &ids[*row]).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let all = json!({
            "scores": curve[shipped].1, "curve": points, "mixed": named(&worst.0), "split": named(&worst.1),
        });
        println!("{all}");
    } else {
        print!("{}", told(&curve, &found[shipped], shipped, language));
        print!("{}", errors(&worst, [&found[shipped].clusters, &truth], &ids, args, language));
    }
    eprintln!("{}", cost.told(language));
    Ok(ExitCode::SUCCESS)
}

/// The true cluster of each record, by its id. A record that the file does not name is an error.
fn truth(path: &Path, ids: &[String]) -> Result<Vec<u32>, String> {
    let mut known: HashMap<String, u32> = HashMap::new();
    let mut clusters: HashMap<String, u32> = HashMap::new();
    let mut wrong = None;
    read::rows(path, &mut |(line, row)| {
        let cell =
            |name: &str| row.as_ref().ok().and_then(|row| row.get(name)).and_then(Value::as_str).map(str::to_owned);
        let Some((id, cluster)) = cell("record_id").zip(cell("cluster_id")) else {
            let told = "a row needs record_id and cluster_id";
            wrong = Some(format!("{}:{line}: {told}", path.display()));
            return false;
        };
        let next = u32::try_from(clusters.len()).unwrap_or(u32::MAX);
        known.insert(id, *clusters.entry(cluster).or_insert(next));
        true
    })?;
    if let Some(told) = wrong {
        return Err(told);
    }
    let of =
        |id: &String| known.get(id).copied().ok_or_else(|| format!("{}: no row for the record `{id}`", path.display()));
    ids.iter().map(of).collect()
}

fn told(curve: &[(f64, Scores)], found: &Found, shipped: usize, language: Language) -> String {
    let heads = match language {
        Language::En => ["", "precision", "recall", "F1"],
        Language::Zh => ["", "精确率", "召回率", "F1"],
    };
    let scores = &curve[shipped].1;
    let line = |name: &str, score: &Score| {
        let cell = |number: f64| format!("{number:.4}");
        vec![name.to_owned(), cell(score.precision), cell(score.recall), cell(score.f1)]
    };
    let rows = [
        line(language.pick("pairs", "成对"), &scores.pairwise),
        line(language.pick("records (B-cubed)", "逐条（B-cubed）"), &scores.b_cubed),
        line(language.pick("whole clusters", "整簇"), &scores.clusters),
    ];
    let mut text = format!("{}\n\n{}\n", summary(found, language), table::columns(&heads, &rows));
    text.push_str(language.pick(
        "F1 over pairs by the bits from which a pair is linked (the shipped bound is 0):\n",
        "按连接阈值（比特）的成对 F1（随程序提供的阈值为 0）：\n",
    ));
    for (link, scores) in curve {
        let filled = (0..BAR).filter(|at| f64::from(*at) + 0.5 < scores.pairwise.f1 * f64::from(BAR)).count();
        text.push_str(&format!("{link:>5} {:.4} {}\n", scores.pairwise.f1, "█".repeat(filled)));
    }
    text
}

/// The worst errors, and of each a pair that shows it with the command that tells why.
fn errors(
    (mixed, split): &(Vec<Vec<usize>>, Vec<Vec<usize>>),
    [found, truth]: [&[u32]; 2],
    ids: &[String],
    args: &Args,
    language: Language,
) -> String {
    let mut text = String::new();
    let mut list = |title: &str, groups: &[Vec<usize>], apart: &[u32]| {
        if !groups.is_empty() {
            text.push_str(&format!("\n{title}\n"));
        }
        for rows in groups {
            let names: Vec<&str> = rows.iter().map(|row| ids[*row].as_str()).collect();
            text.push_str(&format!("  {}\n", names.join(" ")));
            if let Some(other) = rows.iter().find(|row| apart[**row] != apart[rows[0]]) {
                text.push_str(&format!("    {}\n", explaining(args, &ids[rows[0]], &ids[*other])));
            }
        }
    };
    list(
        language.pick("Clusters that mix customers, the worst first:", "混有不同客户的簇，最严重的在前："),
        mixed,
        truth,
    );
    list(language.pick("Customers that are split, the worst first:", "被拆散的客户，最严重的在前："), split, found);
    text
}

/// The command that tells why two records are one customer or not.
fn explaining(args: &Args, a: &str, b: &str) -> String {
    let file = args.of.file.display().to_string();
    let mut command = ["huiliu", "match", "explain", &file, a, b].join(" ");
    if let Some(columns) = &args.of.columns {
        command.push_str(&format!(" --columns {}", columns.display()));
    }
    if !args.of.train {
        command.push_str(" --train=false");
    }
    command
}
