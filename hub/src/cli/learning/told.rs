//! A proposal in words.

use std::path::{Path, PathBuf};

use huiliu_core::review::learn::{Turn, Turns};
use huiliu_mappings::matching::linkage::{Basis, Bound, CONFIDENCE};
use huiliu_mappings::matching::{Agreement, Answer, Moved, Proposal, RULINGS_LEAST, Subject, Weights};

use super::{Found, How};
use crate::cli::matching;
use crate::language::Language;
use crate::{say, table};

/// So many weights are shown, those that move the most.
const WEIGHTS: usize = 10;

pub(super) fn whom(subject: Subject, language: Language) -> &'static str {
    match subject {
        Subject::Person => language.pick("people", "个人"),
        Subject::Organization => language.pick("organizations", "组织"),
    }
}

/// All of it: each model, then what would be decided otherwise.
pub(super) fn all(found: &Found, precision: f64, language: Language) -> String {
    let mut text = String::new();
    for it in &found.proposals {
        text += &proposal(it, found.stored.every, precision, language);
        text.push('\n');
    }
    for (subject, why) in &found.refused {
        let (whom, why) = (whom(*subject, language), language.told(why));
        text += &say!(language, "Of {whom} nothing is proposed: {why}\n\n", "{whom}：没有提议：{why}\n\n");
    }
    text + &turns(&found.turns, language)
}

fn proposal(it: &Proposal, every: i64, precision: f64, language: Language) -> String {
    let (whom, records, decisions) = (whom(it.subject, language), it.records, it.decisions);
    let mut text = say!(
        language,
        "A model of {whom}, learned from {records} stored record(s) and {decisions} decision(s) of stewards",
        "{whom}的模型，学自 {records} 条已存的记录和管理员的 {decisions} 次判断"
    );
    if every > 1 {
        text += &say!(language, "; of every {every} golden records one was taken", "；每 {every} 条主记录取一条");
    }
    text.push_str(language.pick(".\n", "。\n"));
    text += &weights_are(it.weights, language);
    text.push('\n');
    if !it.moved.is_empty() {
        text += &weights(&it.moved, language);
        text.push('\n');
    }
    text += &bounds(it, precision, language);
    if it.decisions > 0 {
        text.push('\n');
        text += &agreement(it, language);
    }
    text
}

/// Where the weights come from.
fn weights_are(weights: Weights, language: Language) -> String {
    let told = match weights {
        Weights::OfRecords => language.pick(
            "The weights are what the records show; decisions move the bounds only.\n",
            "权重仅来自记录；判断只影响界限。\n",
        ),
        Weights::TooFew => {
            return say!(
                language,
                "The weights stay: from {RULINGS_LEAST} decisions on they are learned anew.\n",
                "权重不变：满 {RULINGS_LEAST} 次判断后才重新学习。\n"
            );
        }
        Weights::Kept => language.pick(
            "The weights stay: new ones were worse judges of decisions that they had not seen.\n",
            "权重不变：新权重对未见过的判断评判更差。\n",
        ),
        Weights::Learned => language.pick(
            "The weights are learned anew from the records, with the decisions as what is known of these pairs.\n",
            "权重由记录重新学习，判断作为这些对的已知结果。\n",
        ),
        Weights::Corrected => language.pick(
            "The weights are learned anew from the records and the decisions, then moved as little as possible to fit the decisions.\n",
            "权重由记录和判断重新学习，再以尽可能小的幅度调整以符合判断。\n",
        ),
    };
    told.to_owned()
}

/// Weights of levels that move, the most first.
fn weights(moved: &[Moved], language: Language) -> String {
    let heads = match language {
        Language::En => ["compared", "agreement", "weight now", "proposed"],
        Language::Zh => ["比较", "一致程度", "当前权重", "提议"],
    };
    let row = |it: &Moved| {
        let [name, level] = matching::words_of(it.comparison, it.level, language);
        let before = it.before.map_or_else(String::new, |bits| format!("{bits:+.1}"));
        vec![name, level, before, format!("{:+.1}", it.after)]
    };
    let rows: Vec<Vec<String>> = moved.iter().take(WEIGHTS).map(row).collect();
    let mut text = table::columns(&heads, &rows);
    let more = moved.len().saturating_sub(WEIGHTS);
    if more > 0 {
        text += &say!(language, "and {more} more that move less\n", "另有 {more} 项变化较小\n");
    }
    text
}

/// A share as people write it.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn bounds(it: &Proposal, precision: f64, language: Language) -> String {
    let heads = match language {
        Language::En => ["", "now", "proposed", "rests on"],
        Language::Zh => ["", "当前", "提议", "依据"],
    };
    let row = |what: &str, before: f64, after: f64, why: String| {
        vec![what.to_owned(), format!("{before:+.1}"), format!("{after:+.1}"), why]
    };
    let rows = [
        row(language.pick("linked from", "相连界限"), it.before[0], it.link.bits, link(&it.link, precision, language)),
        row(language.pick("asked from", "询问界限"), it.before[1], it.review.bits, review(&it.review, language)),
    ];
    table::columns(&heads, &rows)
}

fn link(bound: &Bound, precision: f64, language: Language) -> String {
    let Bound { of, wrong, missing, .. } = bound;
    let (aim, sure, least) = (percent(precision), percent(CONFIDENCE), percent(bound.least));
    match bound.by {
        Basis::Decisions => say!(
            language,
            "{of} decision(s) from there on, {wrong} of them to the contrary: with {sure} confidence at least {least} is right",
            "该界限以上有 {of} 次判断，其中 {wrong} 次相反：以 {sure} 的置信度，至少 {least} 正确"
        ),
        Basis::Chances if *missing > 0 => say!(
            language,
            "the model's own chances: {of} decision(s) from there on, {wrong} to the contrary, do not prove {aim}; {missing} more, \
             all of them right, would",
            "模型自身的概率：该界限以上有 {of} 次判断，其中 {wrong} 次相反，不足以证明 {aim}；还需 {missing} 次全部正确的判断"
        ),
        Basis::Chances => say!(language, "the model's own chances for {aim}", "模型自身的概率，目标 {aim}"),
    }
}

fn review(bound: &Bound, language: Language) -> String {
    let Bound { of, wrong, .. } = bound;
    match bound.by {
        Basis::Decisions => say!(
            language,
            "of {of} decision(s) below it {wrong} said one customer: hardly worth a question",
            "该界限以下的 {of} 次判断中只有 {wrong} 次为同一客户：不值得询问"
        ),
        Basis::Chances => language.pick("as before", "不变").to_owned(),
    }
}

/// The model in force and the proposed one on what stewards decided.
fn agreement(it: &Proposal, language: Language) -> String {
    let heads = match language {
        Language::En => ["on the decisions", "agrees", "linked (wrongly)", "asked", "left (wrongly)", "surprise, bits"],
        Language::Zh => ["就这些判断而言", "一致", "相连（错误）", "询问", "不处理（错误）", "意外程度（比特）"],
    };
    let row = |name: &str, it: &Agreement| {
        let both = |[of, wrong]: [usize; 2]| format!("{of} ({wrong})");
        let agrees = format!("{}/{}", it.agrees, it.of);
        let surprise = format!("{:.2}", it.surprise);
        vec![name.to_owned(), agrees, both(it.linked), it.asked.to_string(), both(it.left), surprise]
    };
    let rows = [
        row(language.pick("in force", "当前"), &it.former),
        row(language.pick("proposed, held out", "提议（留出检验）"), &it.held_out),
    ];
    let mut text = table::columns(&heads, &rows);
    text.push_str(language.pick(
        "Held out: each decision was judged by weights and bounds that had not seen it.\n",
        "留出检验：每次判断都由未见过它的权重和界限来评判。\n",
    ));
    if it.is_worse {
        text.push_str(language.pick(
            "The proposal is a worse judge of them than the model in force.\n",
            "提议的模型对这些判断不如当前模型。\n",
        ));
    }
    text
}

fn turns(turns: &Turns, language: Language) -> String {
    let (records, pairs) = (turns.records, turns.pairs);
    let mut text = say!(
        language,
        "{pairs} pair(s) of {records} stored record(s) were judged by both",
        "用两者判断了 {records} 条已存记录的 {pairs} 对"
    );
    if turns.every > 1 {
        let every = turns.every;
        text += &say!(language, ", of every {every} golden records one", "，每 {every} 条主记录取一条");
    }
    if turns.turns.is_empty() {
        text.push_str(language.pick("; none would be decided otherwise.\n", "；没有任何一对会有不同结果。\n"));
        return text;
    }
    text.push_str(language.pick("; otherwise would be decided:\n", "；结果会不同的有：\n"));
    for Turn { before, after, pairs, samples } in &turns.turns {
        let (before, after) = (answer(*before, language), answer(*after, language));
        text += &format!("  {before} → {after}{}{pairs}\n", language.pick(": ", "："));
        for [a, b] in samples {
            text += &say!(language, "    huiliu match explain {a} {b}\n", "    huiliu match explain {a} {b}\n");
        }
    }
    text
}

fn answer(answer: Answer, language: Language) -> &'static str {
    match answer {
        Answer::Same => language.pick("linked", "相连"),
        Answer::Ask => language.pick("asked", "询问"),
        Answer::Different => language.pick("left", "不处理"),
    }
}

/// What was done, and what is to be done next.
pub(super) fn end(how: &How, is_worse: bool, written: &[PathBuf], folder: &Path, language: Language) -> String {
    if how.then.adopt && written.is_empty() && is_worse {
        return language
            .pick(
                "Not adopted, because it is a worse judge; --adopt --anyway adopts it all the same.\n",
                "未采用，因为它的判断更差；仍要采用请加 --adopt --anyway。\n",
            )
            .to_owned();
    }
    if written.is_empty() {
        return language
            .pick("Nothing was changed; --adopt puts it in force.\n", "未做任何更改；加 --adopt 采用。\n")
            .to_owned();
    }
    let names = written.iter().map(|path| path.strip_prefix(folder).unwrap_or(path).display().to_string());
    let names = names.collect::<Vec<_>>().join(language.pick(", ", "、"));
    let mut text = say!(language, "Written: {names}\n", "已写入：{names}\n");
    if how.then.adopt {
        text.push_str(language.pick(
            "What was in its place is kept beside it as *.former; --undo puts it back.\n",
            "原有文件保存为同名的 *.former；--undo 可恢复。\n",
        ));
        text.push_str(&next(language));
    }
    text
}

/// How rules that changed come into force.
pub(super) fn next(language: Language) -> String {
    language
        .pick(
            "Records that arrive from now on are judged by it, and stored ones by `huiliu replay --rematch`, which shows first what \
             would change; a `huiliu serve` that runs must be started again.\n",
            "此后到达的记录按它判断；已存的记录用 `huiliu replay --rematch` 重新判断（会先显示将有的变化）；正在运行的 `huiliu serve` 需要重新启动。\n",
        )
        .to_owned()
}
