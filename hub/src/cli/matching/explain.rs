//! `huiliu match explain`: why two are one customer or not, and what would have to be otherwise.

mod known;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_mappings::diagnose::suggest;
use huiliu_mappings::matching::linkage::{self, Apart, Facts, Finding, Settings, Why};
use serde_json::{Value, json};

use super::{Loaded, Records, load, model, settings, steps};
use crate::language::Language;
use crate::{say, table};

#[derive(clap::Args)]
#[command(
    override_usage = "huiliu match explain <A> <B>\n       huiliu match explain <RECORDS> <A> <B> [--columns FILE] [--model MODEL.json]",
    after_help = "Examples:
  huiliu match explain 17 23
  huiliu match explain shop/customers/1001 erp/partners/C0042
  huiliu match explain people.csv 4711 4712 --columns columns.toml

Two words are customers or records that the hub knows. With a file before them they are records of that file, judged as
`huiliu match run` judges it; bits are powers of two: +10 makes one customer a thousand times likelier than before."
)]
pub(super) struct Args {
    /// Two that are known here, each by a number, CONNECTION/STREAM/ID, an e-mail address or a phone number; or a file and
    /// two of its records, each by its record_id, or by its place in the file, from 1, if no column is one.
    #[arg(num_args = 2..=3, required = true, value_name = "[RECORDS] A B")]
    two: Vec<String>,
    /// What the columns of the file are, as for `huiliu match run`.
    #[arg(long, value_name = "FILE")]
    columns: Option<PathBuf>,
    /// Learn from the records of the file; `--train=false` takes what the program expects instead.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    train: bool,
    /// Judge the file by what `huiliu match train` learned.
    #[arg(long, value_name = "MODEL.json", conflicts_with = "train")]
    model: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A comparison of a model in the words of people.
pub(super) fn comparison(name: &str, language: Language) -> String {
    words::comparison(name, 1, language)
}

/// A level of a comparison of a model in the words of people.
pub(super) fn level(comparison: &str, level: &str, language: Language) -> String {
    words::level(comparison, Some(level), language)
}

pub(super) fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    match args.two.as_slice() {
        [a, b] if args.columns.is_none() && args.model.is_none() => known::run(folder, [a, b], args.json, language),
        [_, _] => Err("--columns and --model are about a file; write it before the two records".to_owned()),
        [file, a, b] => of_file(Path::new(file), [a, b], args, language),
        _ => Err("write two, or a file and two of its records".to_owned()),
    }
}

fn of_file(file: &Path, two: [&str; 2], args: &Args, language: Language) -> Result<ExitCode, String> {
    let of = Records { file: file.to_owned(), columns: args.columns.clone(), train: args.train };
    let (ids, why) = match &args.model {
        None => {
            let Loaded { ids, table, .. } = load(&of, language)?;
            let pair = places(file, &ids, two)?;
            let why = linkage::explain(table, &settings(&of), pair, &mut steps(language));
            (ids, why.ok_or_else(|| format!("{}: there is nothing to compare", file.display()))?)
        }
        Some(path) => {
            let settings = Settings::shipped();
            let model = crate::model_file::read(path, &settings)?;
            let (ids, records) = model::records(&model, &of, language)?;
            let pair = places(file, &ids, two)?;
            let why = model.explain(records, &Facts::default(), &settings, pair, &mut steps(language));
            (ids, why)
        }
    };
    if args.json {
        println!("{}", as_json(&why, two, &ids));
    } else {
        print!("{}", told(&why, two, &ids, language));
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows of two records by their names.
fn places(file: &Path, ids: &[String], [a, b]: [&str; 2]) -> Result<(usize, usize), String> {
    let place = |id: &str| {
        ids.iter().position(|it| it == id).ok_or_else(|| {
            // Of many names the nearest is one of the first, or none is near.
            let hint = suggest(id, ids.iter().take(10_000).map(String::as_str));
            format!("{}: there is no record `{id}`{hint}", file.display())
        })
    };
    let (a, b) = (place(a)?, place(b)?);
    if a == b { Err(format!("{}: that is one record; write two", file.display())) } else { Ok((a, b)) }
}

fn as_json(why: &Why, two: [&str; 2], ids: &[String]) -> Value {
    let mut all = json!(why);
    let through = why.through.iter().map(|hop| json!({"record": ids[hop.row], "bits": hop.bits}));
    all["through"] = through.collect();
    all["records"] = json!(two);
    all
}

/// All of it, a paragraph for each question: what, why, how they met, through whom, what if.
fn told(why: &Why, two: [&str; 2], ids: &[String], language: Language) -> String {
    let mut text = verdict(why, two, language);
    text.push('\n');
    text.push_str(&waterfall(why, two, language));
    text.push('\n');
    for line in circumstances(why, two, ids, language) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&what_if(why, language));
    text
}

fn verdict(why: &Why, [a, b]: [&str; 2], language: Language) -> String {
    let (bits, link, percent) = (why.bits, why.link, why.probability * 100.0);
    let head = if why.together {
        say!(language, "{a} and {b} are one customer", "{a} 与 {b} 是同一个客户")
    } else {
        say!(language, "{a} and {b} are two customers", "{a} 与 {b} 是两个客户")
    };
    let pair = say!(
        language,
        "the pair by itself weighs {bits:+.1} bits, a link needs {link:+.1}; it is one customer with a probability of {percent:.4} %",
        "单看这一对：{bits:+.1} 比特，相连需要 {link:+.1}；是同一客户的概率 {percent:.4} %"
    );
    format!("{head}{}{pair}\n", language.pick(": ", "："))
}

/// A line for each part of the sum.
fn waterfall(why: &Why, [a, b]: [&str; 2], language: Language) -> String {
    let heads = match language {
        Language::En => ["", a, b, "agreement", "bits", "of them rarity", "sum"],
        Language::Zh => ["", a, b, "一致程度", "比特", "其中稀有度", "累计"],
    };
    let mut sum = why.prior;
    let signed = |bits: f64| format!("{bits:+.2}");
    let line = |name: String, bits: f64, sum: f64| {
        vec![name, String::new(), String::new(), String::new(), signed(bits), String::new(), signed(sum)]
    };
    let mut rows = vec![line(language.pick("before any comparison", "比较之前").to_owned(), why.prior, sum)];
    for it in &why.comparisons {
        sum += it.bits();
        let [mine, theirs] = it.values.clone().map(|value| short(&value));
        // What both say, and how common that is; nothing of it where they differ.
        let rarity = if it.rarity == 0.0 { String::new() } else { signed(it.rarity) };
        let level = words::level(it.name, it.level, language);
        let name = words::comparison(it.name, it.number, language);
        rows.push(vec![name, mine, theirs, level, signed(it.bits()), rarity, signed(sum)]);
    }
    sum += why.relatives;
    rows.push(line(
        language.pick("relatives would agree in it, too", "亲属或同事也会如此相同").to_owned(),
        why.relatives,
        sum,
    ));
    table::columns(&heads, &rows)
}

/// A value in the width of a column.
fn short(value: &str) -> String {
    const LETTERS: usize = 28;
    if value.chars().count() <= LETTERS {
        return value.to_owned();
    }
    value.chars().take(LETTERS - 1).chain(['…']).collect()
}

/// How they met, what stands above the weights, through whom they hang together or what keeps them apart.
fn circumstances(why: &Why, [a, b]: [&str; 2], ids: &[String], language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    let separator = language.pick("; ", "；");
    let rules: Vec<String> = why.rules.iter().map(|rule| words::rule(rule, language)).collect();
    let rules = rules.join(separator);
    lines.push(match (why.compared, rules.is_empty()) {
        (true, false) => {
            say!(language, "They were compared, because they share: {rules}.", "两者被比较，因为它们共有：{rules}。")
        }
        (true, true) => {
            language.pick("They were compared, as all pairs were.", "所有记录都两两比较，两者也在其中。").to_owned()
        }
        (false, true) => language
            .pick(
                "They were not compared: no blocking rule brings them together.",
                "两者没有被比较：没有分块规则把它们放到一起。",
            )
            .to_owned(),
        (false, false) => say!(
            language,
            "They were not compared: what they share is shared by too many ({rules}).",
            "两者没有被比较：共有的值（{rules}）被太多记录共有。"
        ),
    });
    match why.found {
        Some(Finding::Same) => {
            lines.push(language.pick("A steward found that they are one.", "管理员判定两者相同。").to_owned());
        }
        Some(Finding::Different) => {
            lines.push(language.pick("A steward found that they are two.", "管理员判定两者不同。").to_owned());
        }
        None => {}
    }
    for [mine, theirs] in &why.contradictions {
        lines.push(say!(
            language,
            "One customer has one such number: {mine} and {theirs} are never one, whatever else agrees.",
            "这种号码每个客户只有一个：{mine} 与 {theirs} 无论其他如何相同都不是同一人。"
        ));
    }
    if why.through.len() > 1 {
        let mut way = a.to_owned();
        for hop in &why.through {
            way.push_str(&format!(" —{:+.1}→ {}", hop.bits, ids[hop.row]));
        }
        lines.push(say!(language, "They hang together through others: {way}.", "两者通过其他记录相连：{way}。"));
    }
    lines.extend(why.apart.as_ref().map(|apart| kept_apart(apart, [a, b], why.link, language)));
    lines
}

fn kept_apart(apart: &Apart, [a, b]: [&str; 2], link: f64, language: Language) -> String {
    match apart {
        Apart::Contradiction([mine, theirs]) => say!(
            language,
            "The pair would be linked, but the clusters of {a} and {b} have {mine} and {theirs}, of which one customer has one.",
            "这一对本会相连，但 {a} 与 {b} 所在的簇分别有 {mine} 与 {theirs}，而每个客户只有一个。"
        ),
        Apart::Found => say!(
            language,
            "The pair would be linked, but a steward found that records of the clusters of {a} and {b} are two customers.",
            "这一对本会相连，但管理员判定 {a} 与 {b} 所在簇中的记录是两个客户。"
        ),
        Apart::Mean(mean) => say!(
            language,
            "The pair would be linked, but the clusters of {a} and {b} as wholes do not agree: {mean:+.1} bits on the mean, {link:+.1} are needed.",
            "这一对本会相连，但 {a} 与 {b} 所在的簇整体不一致：平均 {mean:+.1} 比特，需要 {link:+.1}。"
        ),
        Apart::Crowd => say!(
            language,
            "The pair would be linked, but too many records hang together around {a} and {b}: only surer pairs count there.",
            "这一对本会相连，但 {a} 与 {b} 周围相连的记录太多：那里只计更确定的对。"
        ),
    }
}

/// What the pair would weigh if one comparison came out otherwise, and which of these turn the decision.
fn what_if(why: &Why, language: Language) -> String {
    let is_linked = why.compared && why.bits >= why.link;
    let heads = match language {
        Language::En => ["", "if equal", "if different", "if nothing said"],
        Language::Zh => ["", "若相同", "若不同", "若缺失"],
    };
    let mut rows = Vec::new();
    let mut turning = Vec::new();
    for it in &why.comparisons {
        let levels = linkage::levels(it.name);
        let at = |level: Option<&str>| match it.otherwise.iter().find(|other| other.level == level) {
            Some(other) => format!("{:+.1}{}", other.bits, if other.turns { " *" } else { "" }),
            None => language.pick("as it is", "即现状").to_owned(),
        };
        let name = words::comparison(it.name, it.number, language);
        rows.push(vec![name.clone(), at(levels.first().copied()), at(levels.last().copied()), at(None)]);
        let levels: Vec<String> = it
            .otherwise
            .iter()
            .filter(|it| it.turns)
            .map(|other| words::level(it.name, other.level, language))
            .collect();
        if !levels.is_empty() {
            let levels = levels.join(" / ");
            turning.push(format!("{name}{}{levels}", language.pick(": ", "：")));
        }
    }
    let text = language.pick(
        "What the pair would weigh if one comparison alone came out otherwise (bits, for a value as common as usual; * would turn it):",
        "若仅一项比较结果不同，这一对会是多少（比特，按常见程度一般的值；* 会改变结论）：",
    );
    let turning = turning.join(language.pick("; ", "；"));
    let end = match (turning.is_empty(), is_linked) {
        (true, _) => language.pick("No single comparison would turn it.", "任何单独一项都不会改变结论。").to_owned(),
        (false, true) => {
            say!(language, "It would not be linked with {turning}.", "下列任一项都会使其不再相连：{turning}。")
        }
        (false, false) => say!(language, "It would be linked with {turning}.", "下列任一项都会使其相连：{turning}。"),
    };
    format!("{text}\n{}{end}\n", table::columns(&heads, &rows))
}
