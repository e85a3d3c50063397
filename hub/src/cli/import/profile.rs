//! How good the data of a file is, in words.

use huiliu_file::profile::{Bad, Duplicates, Report};

use crate::language::Language;
use crate::{say, table};

/// Columns with their gaps, distinct values and bad formats, then the duplicates.
pub(super) fn told(report: &Report, language: Language) -> String {
    let heads = match language {
        Language::En => ["Column", "Filled", "Empty", "Distinct", "Means", "Cannot be read as"],
        Language::Zh => ["列", "有值", "空缺", "不同值", "含义", "无法识别"],
    };
    let rows: Vec<Vec<String>> = report
        .columns
        .iter()
        .map(|column| {
            let about = if column.distinct_is_exact { "" } else { language.pick("about ", "约 ") };
            let bad: Vec<String> = column.bad.iter().map(|bad| unreadable(bad, language)).collect();
            let means = if column.fields.is_empty() { "-".to_owned() } else { column.fields.join(", ") };
            vec![
                column.name.clone(),
                column.filled.to_string(),
                share(report.rows - column.filled.min(report.rows), report.rows),
                format!("{about}{}", column.distinct),
                means,
                bad.join(language.pick("; ", "；")),
            ]
        })
        .collect();
    let count = report.rows;
    let mut text = say!(language, "{count} row(s)\n", "{count} 行\n");
    text += &table::columns(&heads, &rows);
    if report.unreadable > 0 {
        let (count, rows) = (report.unreadable, places(&report.unreadable_rows, report.unreadable, language));
        text += &say!(language, "{count} row(s) cannot be read: {rows}\n", "{count} 行无法读取：{rows}\n");
    }
    for one in &report.duplicates {
        text += &twice(one, language);
    }
    if report.duplicates.is_empty() {
        text += language.pick("No two rows name the same somebody.\n", "没有两行指向同一对象。\n");
    }
    if !report.compared_all {
        text += language.pick(
            "The memory for duplicates is full: the last rows were not compared.\n",
            "重复检查的内存已满：最后的行未参与比较。\n",
        );
    }
    text
}

/// A share in percent with one place.
fn share(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1000) / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn unreadable(bad: &Bad, language: Language) -> String {
    let (count, kind) = (bad.count, kind(&bad.kind, language));
    let rows = places(&bad.rows, bad.count, language);
    say!(language, "{kind}: {count} ({rows})", "{kind}：{count}（{rows}）")
}

fn places(rows: &[u64], of: u64, language: Language) -> String {
    let all = of == rows.len() as u64;
    let rows = rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(language.pick(", ", "、"));
    match (language, all) {
        (Language::En, true) => format!("row {rows}"),
        (Language::En, false) => format!("row {rows}, …"),
        (Language::Zh, true) => format!("第 {rows} 行"),
        (Language::Zh, false) => format!("第 {rows} 行等"),
    }
}

fn twice(found: &Duplicates, language: Language) -> String {
    let (values, rows, kind) = (found.values, found.rows, kind(&found.kind, language));
    let samples = found.samples.iter().map(|rows| rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(" = "));
    let samples = samples.collect::<Vec<_>>().join(language.pick("; ", "；"));
    say!(
        language,
        "{rows} row(s) repeat the {kind} of an earlier row ({values} value(s)): rows {samples}\n",
        "{rows} 行与前面的行{kind}相同（{values} 个值）：行 {samples}\n"
    )
}

/// The type of a field, or the kind of an identity, for people.
fn kind(word: &str, language: Language) -> &str {
    let zh = match word {
        "text" | "name" => "文字",
        "email" => "邮箱",
        "phone" => "电话",
        "address" => "地址",
        "date" => "日期",
        "instant" => "时间",
        "decimal" | "integer" => "数字",
        "money" => "金额",
        "boolean" => "是否",
        "enum" => "选项",
        "set" | "list" => "列表",
        "tax_id" => "税号",
        "key" => "编号",
        other => other,
    };
    match (language, word) {
        (Language::Zh, _) => zh,
        (Language::En, "tax_id") => "tax id",
        (Language::En, "enum") => "choice",
        (Language::En, word) => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_cut_to_tenths() {
        assert_eq!((share(1, 3), share(0, 0), share(5, 5)), ("33.3 %".into(), "0.0 %".into(), "100.0 %".into()));
    }

    #[test]
    fn more_places_than_shown_are_hinted_at() {
        assert_eq!(places(&[2, 3], 2, Language::En), "row 2, 3");
        assert_eq!(places(&[2, 3], 9, Language::Zh), "第 2、3 行等");
    }
}
