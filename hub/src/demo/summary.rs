//! The evening: what happened, in numbers.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_core::engine::Engine;
use huiliu_core::explain;
use huiliu_core::link::LinkKey;
use huiliu_core::store::{db, goldens, inbox, stewards};
use huiliu_mappings::value::{FieldName, Fields};

use super::play::{Play, on_thread};
use super::verdict::Verdict;
use crate::say;

/// More customers than a demo has.
const MANY: i64 = 1000;

/// What the hub knows at a moment.
#[derive(Debug, Default)]
pub struct Seen {
    /// Golden customers.
    pub customers: usize,
    /// Their records in the systems, present ones.
    pub records: usize,
    /// Golden orders.
    pub orders: usize,
    /// Mails.
    pub mails: usize,
    /// Reviews that wait for a person.
    pub reviews: usize,
    /// Items that need a person.
    pub dead: usize,
    /// Fields that systems say differently, by the rule that settled them.
    pub conflicts: BTreeMap<String, usize>,
}

impl Seen {
    /// Reads the hub's store.
    pub async fn now(play: &Play<'_>) -> Result<Self, String> {
        let engine = play.engine.clone();
        on_thread(move || read(&engine).map_err(|error| error.to_string())).await
    }
}

fn read(engine: &Engine) -> db::Result<Seen> {
    let mut seen = Seen::default();
    let customers = engine.store.read(|tx| {
        seen.orders = goldens::after(tx, "order", 0, MANY)?.len();
        seen.mails = goldens::after(tx, "interaction", 0, MANY)?.len();
        seen.reviews = stewards::waiting(tx, MANY)?.len();
        seen.dead = inbox::dead_letters(tx, MANY)?.len();
        goldens::after(tx, "customer", 0, MANY)
    })?;
    seen.customers = customers.len();
    for golden in customers {
        let Some(customer) = explain::customer(engine, golden.id)? else { continue };
        seen.records += customer.links.iter().filter(|link| link.open).count();
        for value in customer.values {
            let lost = &value.provenance.lost;
            if lost.iter().any(|lost| is_kept_in_step(engine, &lost.link, &value.field)) {
                *seen.conflicts.entry(value.provenance.rule).or_default() += 1;
            }
        }
    }
    Ok(seen)
}

/// Whether a system takes the value of others for this field: only then do two values contradict each other.
fn is_kept_in_step(engine: &Engine, record: &str, field: &FieldName) -> bool {
    let Ok(key) = record.parse::<LinkKey>() else { return false };
    let connection = engine.connections.get(key.connection.as_str());
    let lens = connection.and_then(|connection| connection.lens(&key.lens));
    lens.is_some_and(|lens| lens.project(&Fields::new()).contains_key(field))
}

/// Tells what happened.
pub async fn tell(play: &Play<'_>) -> Result<(), String> {
    let seen = Seen::now(play).await?;
    let (stage, language) = (&play.stage, play.stage.language);
    let join = |counts: BTreeMap<String, String>| {
        counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    stage.heading("What happened", "这一天");
    let (customers, records, orders, mails) = (seen.customers, seen.records, seen.orders, seen.mails);
    stage.number(
        "customers",
        "客户",
        &say!(
            language,
            "{customers}, with {records} records in 4 systems; {orders} orders, {mails} mails",
            "{customers} 个，在 4 个系统里有 {records} 条记录；{orders} 张订单，{mails} 封邮件"
        ),
    );
    let writes = play.systems.writes().into_iter().map(|(name, count)| (name.to_owned(), count.to_string()));
    stage.number("writes by the hub", "汇流写入", &join(writes.collect()));
    let hooks = play.systems.webhooks();
    let (accepted, repeated, reordered) = (hooks.accepted, hooks.repeated, hooks.reordered);
    let (dropped, refused, found) = (hooks.dropped, hooks.refused, play.found_again);
    stage.number(
        "webhooks",
        "Webhook",
        &say!(
            language,
            "{accepted} received, {repeated} of them repeated, {reordered} out of order; {refused} refused; {dropped} lost",
            "收到 {accepted} 次，其中重复 {repeated} 次、乱序 {reordered} 次；拒绝 {refused} 次；丢失 {dropped} 次"
        ),
    );
    stage.number(
        "found by the schedule",
        "定时找回",
        &say!(language, "{found} changes that no webhook told", "{found} 处没有 Webhook 通知的变化"),
    );
    let rules = seen.conflicts.iter().map(|(rule, count)| (rule.clone(), count.to_string()));
    stage.number("conflicts settled", "已裁决的冲突", &join(rules.collect()));
    let (reviews, dead) = (seen.reviews, seen.dead);
    stage.number(
        "waiting for a person",
        "等待人工",
        &say!(language, "{reviews} review, {dead} dead letters", "{reviews} 项复核，{dead} 条死信"),
    );
    Ok(())
}

/// Tells the verdict.
pub fn pronounce(play: &Play<'_>, verdict: &Verdict, silence_seconds: u64) {
    let (stage, language) = (&play.stage, play.stage.language);
    stage.heading("Do all systems agree?", "各系统一致吗？");
    let (compared, lost, doubled) = (verdict.compared, verdict.lost.len(), verdict.duplicated.len());
    let (different, late) = (verdict.different.len(), verdict.late_writes);
    let text = say!(
        language,
        "{compared} values compared, read from the systems themselves: {lost} lost, {doubled} duplicated, {different} \
         different; {late} writes in {silence_seconds} s of silence.",
        "直接从各系统读出 {compared} 个值逐一比对：丢失 {lost}，重复 {doubled}，不符 {different}；\
         {silence_seconds} 秒静默期内写入 {late} 次。"
    );
    stage.text(&text);
    let all: BTreeSet<&String> = verdict.lost.iter().chain(&verdict.duplicated).chain(&verdict.different).collect();
    for one in all {
        stage.text(&format!("✗ {one}"));
    }
    if verdict.is_good() {
        stage.text(language.pick("✓ All systems agree.", "✓ 所有系统一致。"));
    } else {
        stage.text(language.pick("✗ The systems do not agree.", "✗ 各系统不一致。"));
    }
}
