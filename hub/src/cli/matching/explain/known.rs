//! Two that the hub knows, by the rules of its pipeline.

use std::path::Path;
use std::process::ExitCode;

use huiliu_console::words;
use huiliu_core::explain::pair::{self, Answer, Change, Pair};

use crate::language::Language;
use crate::{deployment, say, table};

pub(super) fn run(folder: &Path, [a, b]: [&str; 2], json: bool, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let pair = pair::pair(&engine, a, b).map_err(|error| error.to_string())?;
    if json {
        println!("{}", serde_json::to_string(&pair).map_err(|error| error.to_string())?);
    } else {
        print!("{}", told(&pair, [a, b], language));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(pair: &Pair, two: [&str; 2], language: Language) -> String {
    let mut text = verdict(pair, two, language);
    text.push('\n');
    text.push_str(&says(pair, two, language));
    text.push('\n');
    text.push_str(&waterfall(pair, language));
    text.push('\n');
    for line in circumstances(pair, language) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&what_if(pair, language));
    text
}

fn verdict(pair: &Pair, [a, b]: [&str; 2], language: Language) -> String {
    let golden = pair.golden[0];
    let head = if pair.together {
        say!(
            language,
            "{a} and {b} are one customer, golden record {golden}",
            "{a} 与 {b} 是同一个客户，主记录 {golden}"
        )
    } else {
        say!(language, "{a} and {b} are two customers", "{a} 与 {b} 是两个客户")
    };
    let (score, link, review) = (pair.why.score, pair.link, pair.review);
    let sums = say!(
        language,
        "{score:+.1}, linked from {link:+.1} on, asked from {review:+.1} on",
        "合计 {score:+.1}，达到 {link:+.1} 相连，达到 {review:+.1} 询问"
    );
    let answer = answer(pair.answer, language);
    let by_rules = say!(language, "the rules answer: {answer} ({sums})", "规则的判断：{answer}（{sums}）");
    format!("{head}{}{by_rules}\n", language.pick("; ", "；"))
}

fn answer(answer: Answer, language: Language) -> &'static str {
    match answer {
        Answer::Same => language.pick("one customer", "同一个客户"),
        Answer::Ask => language.pick("ask a steward", "请管理员判断"),
        Answer::Different => language.pick("two customers", "两个客户"),
    }
}

/// What a thing is called: a comparison, a kind of identity, a field.
fn thing(name: &str, language: Language) -> String {
    let t = console(language);
    match name {
        "phones" | "addresses" => words::field(t, name),
        _ => words::comparison(t, name),
    }
}

/// The console has a word for each language of its own.
pub(super) fn console(language: Language) -> huiliu_console::language::Language {
    match language {
        Language::En => huiliu_console::language::Language::En,
        Language::Zh => huiliu_console::language::Language::Zh,
    }
}

fn says(pair: &Pair, [a, b]: [&str; 2], language: Language) -> String {
    let heads = [language.pick("what they say", "各自的内容"), a, b];
    let rows: Vec<Vec<String>> = pair
        .says
        .iter()
        .map(|it| {
            let [mine, theirs] = it.values.clone().map(|values| values.join(language.pick(", ", "、")));
            vec![thing(&it.what, language), mine, theirs]
        })
        .collect();
    table::columns(&heads, &rows)
}

/// A line for each part of the sum.
fn waterfall(pair: &Pair, language: Language) -> String {
    let heads = match language {
        Language::En => ["compared", "agreement", "weight", "sum"],
        Language::Zh => ["比较", "一致程度", "权重", "累计"],
    };
    let mut sum = 0.0;
    let t = console(language);
    let line = |it: &huiliu_mappings::matching::Comparison| {
        sum += it.weight;
        let (name, level) = (words::comparison(t, &it.name), words::level(t, &it.name, &it.level));
        vec![name, level, format!("{:+.1}", it.weight), format!("{sum:+.1}")]
    };
    let rows: Vec<Vec<String>> = pair.why.comparisons.iter().map(line).collect();
    if rows.is_empty() {
        return language.pick("Nothing that both say is compared.\n", "双方没有可以比较的共同内容。\n").to_owned();
    }
    table::columns(&heads, &rows)
}

fn circumstances(pair: &Pair, language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    let judged = &pair.judged;
    if pair.records.iter().any(|records| records.len() > 1) {
        lines.push(say!(
            language,
            "Of the records {judged} speaks the most for it; it is held against all records of the other side.",
            "各记录中 {judged} 最能说明问题；它与另一方的全部记录比较。"
        ));
    }
    let named = |key: &String| match key.as_str() {
        "fields" => language
            .pick("fields of a [[block]] in rules/match.toml", "rules/match.toml 中 [[block]] 的字段")
            .to_owned(),
        kind => thing(kind, language),
    };
    let keys: Vec<String> = pair.keys.iter().map(named).collect();
    let keys = keys.join(language.pick(", ", "、"));
    lines.push(if keys.is_empty() {
        language
            .pick("No key brings them together, so they are never compared.", "没有共同的键，因此两者从不被比较。")
            .to_owned()
    } else {
        say!(language, "They are compared, because they share: {keys}.", "两者会被比较，因为它们共有：{keys}。")
    });
    if let Some((verdict, [x, y])) = &pair.ruled {
        lines.push(if *verdict == "same" {
            say!(
                language,
                "A steward ruled that {x} and {y} are one, and that stands.",
                "管理员判定 {x} 与 {y} 相同，始终有效。"
            )
        } else {
            say!(
                language,
                "A steward ruled that {x} and {y} are two, and that stands.",
                "管理员判定 {x} 与 {y} 不同，始终有效。"
            )
        });
    }
    if let Some(number) = pair.asked {
        lines.push(say!(language, "Review {number} asks about them and waits.", "判断 {number} 正在等待处理。"));
    }
    if pair.through.len() > 2 {
        let way = pair.through.join(" → ");
        lines.push(say!(language, "They hang together through others: {way}.", "两者通过其他记录相连：{way}。"));
    } else if pair.together && pair.through.is_empty() {
        lines.push(
            language
                .pick(
                    "No evidence of today ties them: they were linked by hand, by their systems, or by what was said before.",
                    "目前没有证据把两者相连：它们由人工、由来源系统或由先前的内容相连。",
                )
                .to_owned(),
        );
    }
    lines
}

fn what_if(pair: &Pair, language: Language) -> String {
    let heads = match language {
        Language::En => ["what if", "", "sum", "answer"],
        Language::Zh => ["假如", "", "合计", "判断"],
    };
    let change = |change: Change| match change {
        Change::Same => language.pick("were the same", "相同"),
        Change::Silent => language.pick("were not said", "缺失"),
    };
    let line = |it: &pair::WhatIf| {
        let answer = answer(it.answer, language);
        let answer = if it.turns { format!("{answer} *") } else { answer.to_owned() };
        vec![thing(&it.what, language), change(it.change).to_owned(), format!("{:+.1}", it.score), answer]
    };
    let rows: Vec<Vec<String>> = pair.what_if.iter().map(line).collect();
    if rows.is_empty() {
        return language
            .pick("Nothing that is otherwise would change the sum.\n", "任何单独一项都不会改变合计。\n")
            .to_owned();
    }
    let end = if pair.what_if.iter().any(|it| it.turns) {
        language.pick("* would turn the answer.\n", "* 会改变判断。\n")
    } else {
        language.pick("No single one would turn the answer.\n", "任何单独一项都不会改变判断。\n")
    };
    format!("{}{end}", table::columns(&heads, &rows))
}
