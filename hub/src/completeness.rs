//! The completeness meter for people at a terminal: `huiliu status`, `huiliu reconcile` and `huiliu sync`.

use huiliu_core::store::brakes::Kind;
use huiliu_core::store::meter::{Meter, share};
use huiliu_core::store::overview::Overview;
use huiliu_core::store::rounds::Phase;

use crate::language::Language;
use crate::{say, table};

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A line for each stream.
    Streams,
    /// Below it a line for each field.
    Fields,
}

/// A table; empty as long as nothing was compared.
pub fn table(meters: &[Meter], detail: Detail, language: Language) -> String {
    if meters.is_empty() {
        return String::new();
    }
    let mut rows = Vec::new();
    for one in meters {
        let cell = |count: i64| count.to_string();
        rows.push(vec![
            format!("{}/{}", one.connection, one.stream),
            cell(one.compared),
            cell(one.identical()),
            part(one.compared, one.differing()),
            note(one, language),
        ]);
        for (field, it) in one.fields.iter().filter(|_| detail == Detail::Fields) {
            let same = (it.compared - it.differing).max(0);
            let (share, note) = (part(it.compared, it.differing), differing(it.differing, language));
            rows.push(vec![format!("  {field}"), cell(it.compared), cell(same), share, note]);
        }
    }
    let heads = match language {
        Language::En => ["Completeness", "Compared", "Identical", "Share", "Note"],
        Language::Zh => ["完整性", "已比对", "一致", "比例", "说明"],
    };
    table::columns(&heads, &rows)
}

fn part(compared: i64, differing: i64) -> String {
    share(compared, differing).unwrap_or_else(|| "-".to_owned())
}

fn differing(count: i64, language: Language) -> String {
    if count == 0 { String::new() } else { say!(language, "{count} differ", "{count} 条不一致") }
}

fn note(one: &Meter, language: Language) -> String {
    let Meter { suspected, repairing, stuck, .. } = one;
    let mut parts = Vec::new();
    if *repairing > 0 {
        parts.push(say!(language, "{repairing} differ, repairing", "{repairing} 条不一致，修复中"));
    }
    if *stuck > 0 {
        parts.push(say!(
            language,
            "{stuck} differ and need a person: `huiliu reconcile {connection}`",
            "{stuck} 条不一致，需要人工处理：`huiliu reconcile {connection}`",
            connection = one.connection
        ));
    }
    if *suspected > 0 {
        parts.push(say!(language, "{suspected} being checked", "{suspected} 条核实中"));
    }
    if one.last_us.is_none() {
        parts.push(match one.phase {
            Phase::Rest => say!(
                language,
                "not compared yet; if it was never read to its end, `huiliu sync {connection}` reads it",
                "尚未比对；若从未完整读取，运行 `huiliu sync {connection}` 读取",
                connection = one.connection
            ),
            Phase::Pages | Phase::Links | Phase::Goldens => {
                language.pick("the first round is under way", "首轮比对进行中").to_owned()
            }
        });
    }
    if let Some(error) = one.error.as_deref().map(|error| language.told(error)) {
        parts.push(say!(language, "the round waits: {error}", "比对暂停：{error}"));
    }
    parts.join(language.pick("; ", "；"))
}

/// How many records of a stream the brake holds back.
pub fn held_back(now: &Overview, connection: &str, stream: &str) -> i64 {
    [Kind::Missing, Kind::Changing].into_iter().map(|kind| now.held_back(connection, stream, kind)).sum()
}

/// What a run must say while the brake holds something back of these streams.
pub fn held(count: i64, language: Language) -> Option<String> {
    (count > 0).then(|| {
        say!(
            language,
            "not complete: too much would go or change at once, so {count} record(s) are held back; `huiliu status` says more",
            "尚不完整：短时间内删除或变化过多，{count} 条记录已暂缓；详见 `huiliu status`"
        )
    })
}

/// What a run must say while something is known to differ in one of these streams.
pub fn open(meters: &[Meter], language: Language) -> Option<String> {
    let count: i64 = meters.iter().map(Meter::differing).sum();
    (count > 0).then(|| {
        say!(
            language,
            "not complete: {count} record(s) differ and are not repaired yet; `huiliu reconcile` names them",
            "尚不完整：{count} 条记录不一致且尚未修复；`huiliu reconcile` 可列出它们"
        )
    })
}
