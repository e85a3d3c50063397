//! `huiliu review bulk`: one word to many reviews that are alike.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::review::{self, Filter, Said, Selected};
use serde_json::json;

use super::super::steward::By;
use super::When;
use crate::deployment;
use crate::language::Language;
use crate::say;

/// So many of those that are meant are shown before it is done.
const SAMPLES: usize = 10;

/// What is said, and to which reviews.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu review bulk apart --like 4 --why 'one phone, two names: households'
  huiliu review bulk same --connection shop --score-least 10 --why 'looked at 50 of them' --yes
  huiliu review bulk later --comparison 'name partial' --until 2026-12-24 --why 'after the migration'

Without --yes nothing is done: it shows how many are meant, and the first of them. All conditions must hold.")]
pub(super) struct Args {
    /// What is said: that each record is its candidate (`same`; a review with several candidates is left), that it is none of
    /// them (`different`), or that it can wait (`later`).
    #[arg(value_enum)]
    word: Word,
    /// Reviews whose comparisons came out as those of this one.
    #[arg(long, value_name = "REVIEW")]
    like: Option<i64>,
    /// Reviews with a comparison that came out so, as `huiliu review` lists it; may be given several times.
    #[arg(long = "comparison", value_name = "'NAME LEVEL'", value_parser = comparison)]
    comparisons: Vec<(String, String)>,
    /// Reviews of records of this connection.
    #[arg(long)]
    connection: Option<String>,
    /// Reviews whose best candidate has this score at least.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    score_least: Option<f64>,
    /// Reviews whose best candidate has this score at most.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    score_most: Option<f64>,
    #[command(flatten)]
    until: When,
    /// Do it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    by: By,
}

/// One word for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Word {
    #[value(alias = "link")]
    Same,
    #[value(alias = "apart")]
    Different,
    Later,
}

fn comparison(text: &str) -> Result<(String, String), String> {
    let (name, level) = text.trim().rsplit_once(' ').ok_or("write a comparison and its level: 'name partial'")?;
    Ok((name.trim().to_owned(), level.to_owned()))
}

pub(super) fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let filter = Filter {
        like: args.like,
        comparisons: args.comparisons.clone(),
        connection: args.connection.clone(),
        score_least: args.score_least,
        score_most: args.score_most,
    };
    if filter.is_empty() {
        return Err(
            "say which reviews are meant: --like, --comparison, --connection, --score-least or --score-most".to_owned()
        );
    }
    if args.until.until.is_some() && args.word != Word::Later {
        return Err("--until belongs to `later`".to_owned());
    }
    let engine = deployment::open(folder)?.engine;
    if let Some(name) = &args.connection {
        super::connection(&engine, name, language)?;
    }
    let said = match args.word {
        Word::Same => Said::Same,
        Word::Different => Said::Apart,
        Word::Later => Said::Later(args.until.until()?),
    };
    let meant = review::select(&engine, &filter).map_err(|error| error.to_string())?;
    let takes = |it: &&Selected| said != Said::Same || it.candidates == 1;
    let numbers: Vec<i64> = meant.iter().filter(takes).map(|it| it.number).collect();
    if !args.yes {
        let samples: Vec<&Selected> = meant.iter().filter(takes).take(SAMPLES).collect();
        let text = told(&samples, numbers.len(), meant.len(), args.word, language);
        let left = meant.len() - numbers.len();
        return Ok(args.by.tell(&json!({ "meant": numbers.len(), "left": left, "samples": samples }), text.trim_end()));
    }
    let settled = review::decide_all(&engine, numbers, said, args.by.steward()).map_err(|error| error.to_string())?;
    let (done, left) = (settled.done.len(), settled.left.len());
    let text = say!(
        language,
        "{done} review(s) settled, {left} had been settled by then",
        "已处理 {done} 条判断，另有 {left} 条此前已处理"
    );
    Ok(args.by.tell(&json!({ "done": settled.done, "left": settled.left }), &text))
}

/// What would be done, and some of it.
fn told(samples: &[&Selected], takes: usize, meant: usize, word: Word, language: Language) -> String {
    let what = match word {
        Word::Same => language.pick("the same as their candidate", "与候选相同"),
        Word::Different => language.pick("none of their candidates", "不是任何候选"),
        Word::Later => language.pick("put off", "推迟"),
    };
    let mut text = say!(language, "{takes} review(s) would be: {what}\n", "{takes} 条判断将处理为：{what}\n");
    for one in samples {
        let (number, record, candidate, score) = (one.number, &one.record, one.candidate, one.why.score);
        let words: Vec<String> = one.why.comparisons.iter().map(|it| format!("{} {}", it.name, it.level)).collect();
        text.push_str(&format!("  {number}: {record} ~ {candidate} ({score:.1}): {}\n", words.join(", ")));
    }
    if takes > samples.len() {
        let more = takes - samples.len();
        text.push_str(&say!(language, "  and {more} more\n", "  另有 {more} 条\n"));
    }
    let left = meant - takes;
    if left > 0 {
        text.push_str(&say!(
            language,
            "{left} with several candidates are left: look at them one by one\n",
            "{left} 条有多个候选，保留待逐条判断\n"
        ));
    }
    text.push_str(language.pick("Nothing is done yet; add --yes to do it.\n", "尚未执行；加 --yes 执行。\n"));
    text
}
