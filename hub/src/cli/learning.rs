//! `huiliu match learn` and `huiliu review learn`: a model of the deployment's own, shown before it is adopted.

mod files;
mod told;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use huiliu_core::review::learn::{self, Stored, Turns};
use huiliu_mappings::matching::{self, Proposal, Rules, Subject, Teacher};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::language::Language;
use crate::{deployment, say};

/// How a model is learned, and what becomes of it.
#[derive(clap::Args)]
pub(super) struct How {
    /// Of the pairs that are linked without a question, this share is to be right.
    #[arg(long, default_value_t = 0.999, value_name = "SHARE", value_parser = precision)]
    precision: f64,
    /// Only the model of these; otherwise of people and of organizations, as far as there is something to learn from.
    #[arg(long, value_enum, value_name = "WHOM")]
    of: Option<Whom>,
    /// About so many stored records are learned from; of more a sample is taken.
    #[arg(long, default_value_t = 50_000, value_name = "RECORDS")]
    sample: i64,
    /// About so many stored records are held against whoever they may be, to show what would be decided otherwise.
    #[arg(long, default_value_t = 2_000, value_name = "RECORDS")]
    look: i64,
    #[command(flatten)]
    then: Then,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What becomes of the proposal; nothing, if nothing is said.
#[derive(clap::Args)]
struct Then {
    /// Put the proposal into the deployment's rules; the former file is kept beside it.
    #[arg(long)]
    adopt: bool,
    /// With --adopt: also where it is a worse judge of the stewards' decisions than the model in force.
    #[arg(long, requires = "adopt")]
    anyway: bool,
    /// Write the proposed model to a file instead.
    #[arg(long, value_name = "MODEL.json", conflicts_with = "adopt")]
    out: Option<PathBuf>,
    /// Put the files back that were in the place of what was adopted last.
    #[arg(long, conflicts_with_all = ["adopt", "out", "precision", "sample", "look"])]
    undo: bool,
}

/// Whose model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Whom {
    /// People, and records that do not say what they are.
    People,
    /// Companies, authorities, associations.
    Organizations,
}

fn precision(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "write a share such as 0.99".to_owned())?;
    if (0.5..=0.9999).contains(&share) { Ok(share) } else { Err("write a share from 0.5 to 0.9999".to_owned()) }
}

impl How {
    fn subjects(&self) -> Vec<Subject> {
        match self.of {
            None => Subject::ALL.to_vec(),
            Some(Whom::People) => vec![Subject::Person],
            Some(Whom::Organizations) => vec![Subject::Organization],
        }
    }
}

/// What was found out, as it is shown.
struct Found {
    stored: Stored,
    proposals: Vec<Proposal>,
    /// Of whom nothing is proposed, and why.
    refused: Vec<(Subject, String)>,
    turns: Turns,
}

/// Proposes, and adopts if that is wanted.
pub(super) fn run(folder: &Path, teacher: Teacher, how: &How, language: Language) -> Result<ExitCode, String> {
    if how.then.undo {
        return undo(folder, how, language);
    }
    let found = find(folder, teacher, how, language)?;
    let is_worse = found.proposals.iter().any(|it| it.is_worse);
    let mut written = Vec::new();
    if let Some(out) = &how.then.out {
        let [one] = found.proposals.as_slice() else {
            return Err("there are two proposals; say with --of whose model goes to the file".to_owned());
        };
        files::write(out, &one.model)?;
        written.push(out.clone());
    } else if how.then.adopt && (!is_worse || how.then.anyway) {
        for it in &found.proposals {
            written.push(files::adopt(folder, it.subject, &it.model)?);
        }
    }
    if how.json {
        println!("{}", as_json(&found, &written));
    } else {
        print!("{}", told::all(&found, how.precision, language));
        print!("{}", told::end(how, is_worse, &written, folder, language));
    }
    Ok(if how.then.adopt && is_worse && !how.then.anyway { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn find(folder: &Path, teacher: Teacher, how: &How, language: Language) -> Result<Found, String> {
    let engine = deployment::open(folder)?.engine;
    let bar = bar();
    let read = language.pick("read what is stored", "读取已存的记录");
    let stored = learn::stored(&engine, how.sample, &mut watch(&bar, read)).map_err(|error| error.to_string())?;
    let (mut proposals, mut refused) = (Vec::new(), Vec::new());
    for subject in how.subjects() {
        let mut steps = |_, what: &'static str| bar.set_message(language.told(what));
        match matching::learn(&engine.matching, subject, &stored.lesson, teacher, how.precision, &mut steps) {
            Ok(proposal) => proposals.push(proposal),
            Err(told) => refused.push((subject, told)),
        }
    }
    if proposals.is_empty() {
        let line = |(subject, told): &(Subject, String)| {
            format!("{}{}{}", told::whom(*subject, language), language.pick(": ", "："), language.told(told))
        };
        return Err(refused.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    let with = |rules: Rules, it: &Proposal| rules.with_model(it.subject, it.model.clone());
    let rules = proposals.iter().try_fold(engine.matching.clone(), with)?;
    let held = language.pick("hold stored records against each other", "比较已存的记录");
    let turns = learn::turns(&engine, &rules, how.look, &mut watch(&bar, held)).map_err(|error| error.to_string())?;
    bar.finish_and_clear();
    Ok(Found { stored, proposals, refused, turns })
}

/// A line on a terminal that shows how far it is.
fn bar() -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn watch(bar: &ProgressBar, what: &str) -> impl FnMut(i64, i64) {
    let (bar, what) = (bar.clone(), what.to_owned());
    move |at, of| bar.set_message(format!("{what} {at}/{of}"))
}

fn undo(folder: &Path, how: &How, language: Language) -> Result<ExitCode, String> {
    let mut undone = Vec::new();
    for subject in how.subjects() {
        undone.extend(files::undo(folder, subject)?.map(|is_back| (subject, is_back)));
    }
    if undone.is_empty() {
        return Err("nothing that was adopted is there to be taken back".to_owned());
    }
    if how.json {
        let each = undone.iter().map(|(subject, is_back)| json!({ "of": subject.word(), "former": is_back }));
        println!("{}", json!({ "undone": each.collect::<Vec<_>>() }));
        return Ok(ExitCode::SUCCESS);
    }
    for (subject, is_back) in undone {
        let file = files::path(folder, subject).display().to_string();
        println!(
            "{}",
            if is_back {
                say!(
                    language,
                    "{file} is what it was before; what was adopted is kept as {file}.undone",
                    "{file} 已恢复为先前的文件；曾采用的模型保存为 {file}.undone"
                )
            } else {
                say!(
                    language,
                    "{file} is gone, there was none before: the shipped model judges again. It is kept as {file}.undone",
                    "{file} 已移除（此前没有该文件）：重新使用自带模型。曾采用的模型保存为 {file}.undone"
                )
            }
        );
    }
    print!("{}", told::next(language));
    Ok(ExitCode::SUCCESS)
}

fn as_json(found: &Found, written: &[PathBuf]) -> Value {
    let proposal = |it: &Proposal| {
        json!({
            "of": it.subject.word(),
            "records": it.records,
            "decisions": it.decisions,
            "weights": it.weights,
            "moved": it.moved,
            "before": { "link": it.before[0], "review": it.before[1] },
            "link": it.link,
            "review": it.review,
            "in_force": it.former,
            "held_out": it.held_out,
            "worse": it.is_worse,
        })
    };
    let refused = |(subject, why): &(Subject, String)| json!({ "of": subject.word(), "why": why });
    json!({
        "every": found.stored.every,
        "proposals": found.proposals.iter().map(proposal).collect::<Vec<_>>(),
        "refused": found.refused.iter().map(refused).collect::<Vec<_>>(),
        "turns": found.turns,
        "written": written,
    })
}
