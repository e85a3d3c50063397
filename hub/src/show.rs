//! Who a customer is, and why a record did or did not sync: what [`huiliu_core::explain`] finds, in sentences.

use std::fmt::Write as _;

use huiliu_core::automation::Fired;
use huiliu_core::explain::{Arrival, Customer, Story, Surviving, Target};
use huiliu_core::store::firings::State;
use huiliu_mappings::matching::Comparison;
use serde_json::Value;

use crate::language::Language;
use crate::say;

/// A golden record with every value's origin, its records and its history.
pub fn customer(told: &Customer, language: Language) -> String {
    let mut text =
        say!(language, "{entity} {id}\n", "{entity} {id}\n", entity = entity(&told.entity, language), id = told.id);
    if let Some(survivor) = told.merged_into {
        text += &say!(language, "  merged into {survivor}\n", "  已并入 {survivor}\n");
    }
    for value in told.values.iter().filter(|it| !it.value.is_null()) {
        text += &surviving(value, language);
    }
    text += language.pick("  records\n", "  来源记录\n");
    for link in &told.links {
        let gone = if link.open { "" } else { language.pick(" (gone)", "（已删除）") };
        let _ = writeln!(text, "    {}{gone}{}", link.record, because(&link.because, language));
    }
    if !told.timeline.is_empty() {
        text += language.pick("  timeline\n", "  往来记录\n");
    }
    for entry in &told.timeline {
        let values: Vec<String> = entry.fields.iter().filter(|(_, value)| !value.is_null()).map(happened).collect();
        let at = entry.at.map(|at| format!("{at} ")).unwrap_or_default();
        let _ = writeln!(text, "    {at}{} {}: {}", entity(&entry.entity, language), entry.id, values.join(", "));
    }
    text += &fired(&told.rules, language);
    text += language.pick("  history\n", "  变更历史\n");
    for change in &told.changes {
        let fields: Vec<&str> = change.diff.keys().map(huiliu_mappings::value::FieldName::as_str).collect();
        let (at, kind, cause) = (instant(change.at_us), change_kind(&change.kind, language), &change.cause);
        let _ = writeln!(text, "    {at} {kind} ({cause}) {}", fields.join(", "));
    }
    text
}

/// A value in one line of the timeline: a mail's text is a page, its beginning says which one it is.
fn happened((field, value): (&huiliu_mappings::value::FieldName, &Value)) -> String {
    const CHARS_MAX: usize = 60;
    let line = plain(value).split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(CHARS_MAX).collect();
    format!("{field} {cut}{}", if cut.len() < line.len() { "…" } else { "" })
}

fn surviving(told: &Surviving, language: Language) -> String {
    let (field, value, by) = (&told.field, plain(&told.value), &told.provenance);
    let mut text = match by.rule.as_str() {
        "pin" => say!(language, "  {field} = {value}   pinned by a steward\n", "  {field} = {value}   由管理员固定\n"),
        "only" => say!(
            language,
            "  {field} = {value}   said by {link}\n",
            "  {field} = {value}   来自 {link}\n",
            link = by.link
        ),
        "owns" => say!(
            language,
            "  {field} = {value}   said by {link}, whose connection owns this field\n",
            "  {field} = {value}   来自 {link}，该连接对此字段有决定权\n",
            link = by.link
        ),
        "added" => say!(
            language,
            "  {field} = {value}   with what {link} added\n",
            "  {field} = {value}   含 {link} 添加的内容\n",
            link = by.link
        ),
        rule => say!(
            language,
            "  {field} = {value}   said by {link}, chosen by {rule}\n",
            "  {field} = {value}   来自 {link}，按 {rule} 选取\n",
            link = by.link
        ),
    };
    for lost in &by.lost {
        text += &say!(
            language,
            "      against {value} of {link}\n",
            "      未采用：{value}，来自 {link}\n",
            value = plain(&lost.value),
            link = lost.link
        );
    }
    text
}

/// The comparisons that spoke for a match.
fn because(told: &[Comparison], language: Language) -> String {
    let names: Vec<&str> = told.iter().filter(|it| it.weight > 0.0).map(|it| it.name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    say!(language, "   the same by {names}", "   依据 {names} 判定为同一客户", names = names.join(", "))
}

/// The story of one record, from the inbox to every target.
pub fn why(told: &Story, language: Language) -> String {
    let record = &told.record;
    if !told.seen {
        return say!(
            language,
            "{record}: never seen. {backlog} item(s) wait to be processed. If the record exists in the system, see \
             `huiliu status` for the last pull of its stream.\n",
            "{record}：从未收到。还有 {backlog} 条待处理。如果该系统中确有此记录，请用 `huiliu status` 查看该数据流上次拉取的情况。\n",
            backlog = told.backlog
        );
    }
    let mut text = format!("{record}\n");
    for arrival in &told.arrivals {
        text += &arrived(arrival, language);
    }
    text += &match told.golden {
        0 => language.pick("  belongs to nobody yet\n", "  尚未归属任何客户\n").to_owned(),
        golden => {
            let entity = entity(&told.entity, language);
            say!(language, "  belongs to {entity} {golden}\n", "  归属于{entity} {golden}\n")
        }
    };
    for target in &told.targets {
        text += &sent(target, language);
    }
    text + &fired(&told.rules, language)
}

/// What automation rules did, and why they did nothing.
fn fired(told: &[Fired], language: Language) -> String {
    let mut text = String::new();
    if !told.is_empty() {
        text += language.pick("  rules\n", "  自动化规则\n");
    }
    for one in told {
        let (number, rule, change) = (one.firing.number, &one.firing.rule, one.firing.change);
        let (at, depth) = (instant(one.firing.at_us), one.firing.depth);
        text += &match one.firing.state {
            State::Fired if depth == 0 => {
                say!(
                    language,
                    "    {at} {rule} fired (#{number}, change {change})\n",
                    "    {at} {rule} 已触发（#{number}，更改 {change}）\n"
                )
            }
            State::Fired => say!(
                language,
                "    {at} {rule} fired (#{number}, change {change}, led to by {depth} rule(s))\n",
                "    {at} {rule} 已触发（#{number}，更改 {change}，由 {depth} 条规则连锁引发）\n"
            ),
            State::TooDeep => say!(
                language,
                "    {at} {rule} did nothing (#{number}, change {change}): {depth} rules led to it one after the other, which is a loop\n",
                "    {at} {rule} 未执行（#{number}，更改 {change}）：由 {depth} 条规则接连引发，视为循环\n"
            ),
            State::FirstRead => say!(
                language,
                "    {at} {rule} did nothing (#{number}, change {change}): a first complete read brought it; `huiliu rules replay {rule}` fires it\n",
                "    {at} {rule} 未执行（#{number}，更改 {change}）：来自首次完整读取；可用 `huiliu rules replay {rule}` 触发\n"
            ),
        };
        for action in &one.actions {
            let (word, target) = (&action.word, &action.target);
            let became = match (&action.delivery, &action.state, &action.detail) {
                (Some(delivery), Some(state), _) => {
                    let state = delivery_state(state, language);
                    let error = action.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
                    say!(language, "delivery {delivery} {state}{error}", "投递 {delivery} {state}{error}")
                }
                (_, _, Some(detail)) => language.told(detail),
                _ => language.pick("done", "已完成").to_owned(),
            };
            let _ = writeln!(text, "      {word} {target}: {became}");
        }
    }
    text
}

fn arrived(told: &Arrival, language: Language) -> String {
    let at = told.received_us.map(instant).unwrap_or_default();
    let mut text = say!(
        language,
        "  {at} inbox {position}: {outcome}\n",
        "  {at} 收件箱 {position}：{outcome}\n",
        position = told.position,
        outcome = outcome(&told.outcome, language)
    );
    for issue in told.issues.iter().flat_map(|issues| serde_json::from_str::<Vec<Value>>(issues).unwrap_or_default()) {
        let part = |name: &str| issue[name].as_str().unwrap_or_default().to_owned();
        text += &say!(
            language,
            "      could not be mapped: {field} at {at}: {message}\n",
            "      无法映射：{field}（位置 {at}）：{message}\n",
            field = part("field"),
            at = part("at"),
            message = part("message")
        );
    }
    text
}

fn sent(told: &Target, language: Language) -> String {
    let (name, state) = (&told.connection, state(&told.state, language));
    let mut text = String::new();
    if !told.withheld.is_empty() {
        let fields: Vec<&str> = told.withheld.iter().map(huiliu_mappings::value::FieldName::as_str).collect();
        text = say!(
            language,
            "  → {name} ({state}): [{fields}] differ and are not written: huiliu.toml says `in` or `off`\n",
            "  → {name}（{state}）：[{fields}] 与主记录不同但不写入：huiliu.toml 中设为 `in` 或 `off`\n",
            fields = fields.join(", ")
        );
    }
    if told.deliveries.is_empty() {
        let reason = silence(told, language);
        return text
            + &say!(
                language,
                "  → {name} ({state}): nothing was sent; {reason}\n",
                "  → {name}（{state}）：未写入；{reason}\n"
            );
    }
    for one in &told.deliveries {
        let fields: Vec<&str> = one.fields.iter().map(huiliu_mappings::value::FieldName::as_str).collect();
        let error = one.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        text += &say!(
            language,
            "  → {name} ({state}): delivery {number} {operation} {outcome} [{fields}]{error}\n",
            "  → {name}（{state}）：投递 {number} {operation} {outcome} [{fields}]{error}\n",
            number = one.number,
            operation = one.operation,
            outcome = delivery_state(&one.state, language),
            fields = fields.join(", ")
        );
    }
    text
}

fn silence(told: &Target, language: Language) -> &'static str {
    match (told.state.as_str(), told.writes) {
        (_, false) => language.pick("the configuration says writes = false", "配置中写明 writes = false"),
        ("observing", _) => language.pick(
            "it observes, run `huiliu go-live` to write to it",
            "该连接处于观察状态，运行 `huiliu go-live` 后才会写入",
        ),
        ("live", true) if told.waits => language.pick(
            "creating it waits until the stream there was read to its end once: the record may be there already",
            "新建操作要等对方的数据流首次完整读取之后：该记录可能已经存在",
        ),
        ("paused", _) => language.pick("it is paused, see `huiliu status`", "该连接已暂停，见 `huiliu status`"),
        _ if !told.withheld.is_empty() => {
            language.pick("everything else that it may get it holds", "其余可写入的值对方已有")
        }
        _ => language.pick(
            "it holds these values already, or has no record and may not create one",
            "对方已有这些值，或没有对应记录且不允许新建",
        ),
    }
}

fn outcome(word: &str, language: Language) -> &str {
    match word {
        "created" => language.pick("new, nobody known: made a golden record", "新记录，未匹配到已知客户：新建主记录"),
        "linked" => language.pick("new, recognised: linked to a golden record", "新记录，已识别：关联到主记录"),
        "changed" => language.pick("said something new", "内容有更新"),
        "echo" => {
            language.pick("held already: a repeat or our own write coming back", "内容已知：重复，或我们写入后的回声")
        }
        "stale" => language.pick("older than what is known: ignored", "版本早于已知内容：忽略"),
        "overtaken" => {
            language.pick("read before what is known became known: read again", "读取早于已知内容：重新读取")
        }
        "told_gone" => {
            language.pick("the system told that it is gone: read again to be sure", "系统通知已删除：重新读取以确认")
        }
        "told_back" => language.pick(
            "it is known to be gone, and shown as it was: read again to be sure",
            "已知删除，却以旧内容再次出现：重新读取以确认",
        ),
        "held" => language.pick(
            "too much would go or change at once: held back, see `huiliu status`",
            "短时间内删除或变化过多：已暂缓，见 `huiliu status`",
        ),
        "missing" => {
            language.pick("a complete scan did not show it: read again to be sure", "全量扫描未见：重新读取以确认")
        }
        "deleted" => language.pick("the system says it is gone: the link closed", "系统称该记录已删除：关联关闭"),
        "inherited" => language
            .pick("it takes the place of a record that was merged into it or handed over", "接替了被合并或移交的记录"),
        "review" => language
            .pick("new, perhaps somebody known: waits in the review queue", "新记录，可能是已知客户：等待人工确认"),
        "parked" => {
            language.pick("its form changed: it waits, see `huiliu drift`", "格式发生变化：等待处理，见 `huiliu drift`")
        }
        "unattached" => language.pick("kept; it belongs to nobody yet", "已保存；尚未归属任何客户"),
        other => other,
    }
}

fn change_kind(word: &str, language: Language) -> &str {
    match word {
        "create" => language.pick("created", "新建"),
        "update" => language.pick("updated", "更新"),
        "link" => language.pick("another record joined", "新增来源记录"),
        "merge" => language.pick("merged with another", "合并"),
        "merged" => language.pick("merged into another", "被并入其他主记录"),
        "split" => language.pick("split", "拆分"),
        "delete" => language.pick("a record of it is gone", "有来源记录被删除"),
        "pin" => language.pick("a value was pinned", "固定取值"),
        "tag" => language.pick("tagged by a rule", "规则添加标签"),
        "empty" => language.pick("lost its last record", "已无来源记录"),
        other => other,
    }
}

/// A kind of golden record in the reader's words.
pub fn entity(word: &str, language: Language) -> &str {
    match (word, language) {
        ("customer", Language::Zh) => "客户",
        ("order", Language::Zh) => "订单",
        ("interaction", Language::Zh) => "互动",
        ("deal", Language::Zh) => "商机",
        ("ticket", Language::Zh) => "工单",
        ("product", Language::Zh) => "产品",
        (other, _) => other,
    }
}

/// A connection's state in the reader's words.
pub fn state(word: &str, language: Language) -> &str {
    match (word, language) {
        ("observing", Language::Zh) => "观察中",
        ("live", Language::Zh) => "已上线",
        ("paused", Language::Zh) => "已暂停",
        (other, _) => other,
    }
}

/// A delivery's state in the reader's words.
pub fn delivery_state(word: &str, language: Language) -> &str {
    match (word, language) {
        ("pending", Language::Zh) => "待投递",
        ("sending", Language::Zh) => "投递中",
        ("done", Language::Zh) => "已完成",
        ("dead", Language::Zh) => "失败，待人工处理",
        ("dropped", Language::Zh) => "已被更新的投递取代",
        (other, _) => other,
    }
}

/// A value without JSON's dress: texts without quotes, sets with commas, phones and money as people write them.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => {
            let part = |name: &str| parts.get(name).and_then(Value::as_str);
            match (part("number"), part("amount"), part("currency")) {
                (Some(number), None, None) => number.to_owned(),
                (None, Some(amount), Some(currency)) => format!("{amount} {currency}"),
                _ => {
                    parts.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ")
                }
            }
        }
        other => other.to_string(),
    }
}

/// An instant, UTC.
pub fn instant(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map(|at| at.to_string()).unwrap_or_default()
}
