//! What an import would do, in words.

use std::fmt::Write as _;

use huiliu_core::rehearsal::{Conflict, Outcome};
use huiliu_mappings::value::Fields;

use crate::import::Preview;
use crate::language::Language;
use crate::show::plain;
use crate::{say, table};

/// Counts, then some of each.
pub(super) fn told(preview: &Preview, language: Language) -> String {
    let outcome = &preview.outcome;
    let lines = [
        (language.pick("New golden records", "新建主记录"), outcome.creates.to_string()),
        (language.pick("Rows that join a known one", "并入已知主记录的行"), outcome.joins.to_string()),
        (language.pick("Rows that join another row", "与同文件其他行合并的行"), outcome.within.to_string()),
        (language.pick("Known ones found to be the same", "发现相同而合并的已知主记录"), outcome.merges.to_string()),
        (language.pick("Known ones with new values", "更新的已知主记录"), outcome.updates.to_string()),
        (language.pick("Rows that say nothing new", "没有新内容的行"), outcome.unchanged.to_string()),
        (language.pick("Values in conflict", "冲突的值"), outcome.conflicts.to_string()),
        (language.pick("Rows for review", "待判断的行"), outcome.reviews.to_string()),
        (language.pick("Rejected rows", "拒绝的行"), preview.rejected.to_string()),
    ];
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(what, count)| vec![what.to_owned(), count]).collect();
    let count = preview.rows;
    let mut text = say!(language, "\nOf {count} row(s)\n", "\n共 {count} 行\n");
    let heads = [language.pick("What would happen", "导入后"), language.pick("Count", "数量")];
    text += &table::columns(&heads, &rows);
    text += &samples(outcome, language);
    for reason in &preview.rejects {
        let reason = language.told(reason);
        text += &say!(language, "rejected: {reason}\n", "拒绝：{reason}\n");
    }
    text
}

fn samples(outcome: &Outcome, language: Language) -> String {
    let samples = &outcome.samples;
    let mut text = String::new();
    for one in &samples.creates {
        let (record, values) = (&one.record, values(&one.fields));
        text += &say!(language, "new: {record}: {values}\n", "新建：{record}：{values}\n");
    }
    for one in &samples.joins {
        let (record, golden, values) = (&one.record, one.golden, values(&one.fields));
        text += &say!(
            language,
            "joins: {record} is golden record {golden}: {values}\n",
            "并入：{record} 即主记录 {golden}：{values}\n"
        );
    }
    for one in &samples.updates {
        let golden = one.golden;
        let changes: Vec<String> = one
            .diff
            .iter()
            .map(|(field, (before, after))| format!("{field} {} → {}", plain(before), plain(after)))
            .collect();
        let changes = changes.join(", ");
        text += &say!(language, "changes: golden record {golden}: {changes}\n", "更新：主记录 {golden}：{changes}\n");
    }
    for one in &samples.conflicts {
        text += &conflict(one, language);
    }
    for one in &samples.reviews {
        let record = &one.record;
        let known: Vec<String> = one.candidates.iter().filter(|id| **id != 0).map(ToString::to_string).collect();
        let known = known.join(", ");
        if known.is_empty() {
            text += &say!(
                language,
                "review: {record} may be the same as another row\n",
                "待判断：{record} 可能与另一行相同\n"
            );
        } else {
            text += &say!(
                language,
                "review: {record} may be golden record {known}\n",
                "待判断：{record} 可能是主记录 {known}\n"
            );
        }
    }
    text
}

fn conflict(one: &Conflict, language: Language) -> String {
    let Conflict { field, winner, rule, loser, .. } = one;
    let (value, lost) = (plain(&one.value), plain(&one.lost));
    say!(
        language,
        "conflict: {field}: {value} of {winner} wins ({rule}) against {lost} of {loser}\n",
        "冲突：{field}：采用 {winner} 的 {value}（{rule}），{loser} 的 {lost} 保留备查\n"
    )
}

fn values(fields: &Fields) -> String {
    let mut text = String::new();
    for (field, value) in fields {
        let _ = write!(text, "{}{field} {}", if text.is_empty() { "" } else { ", " }, plain(value));
    }
    text
}
