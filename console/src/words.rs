//! The hub's words in the reader's: states, stages, errors, rules, fields. A word that is not known here is shown as it
//! is, so that a deployment's own fields and rules still have a name.

mod levels;

use huiliu_core::connection::State;
use huiliu_core::store::goldens::Golden;
use huiliu_mappings::matching::Comparison;
use huiliu_mappings::value::Fields;
use serde_json::Value;

use crate::language::Language;

/// A connection's state.
pub fn state(t: Language, state: State) -> &'static str {
    match state {
        State::Observing => t.state_observing(),
        State::Live => t.state_live(),
        State::Paused => t.state_paused(),
    }
}

/// A delivery's state.
pub fn delivery_state(t: Language, word: &str) -> &'static str {
    match word {
        "pending" => t.delivery_pending(),
        "sending" => t.delivery_sending(),
        "done" => t.delivery_done(),
        "dead" => t.delivery_dead(),
        _ => t.delivery_dropped(),
    }
}

/// What a delivery does.
pub fn operation(t: Language, word: &str) -> &'static str {
    match word {
        "create" => t.operation_create(),
        "delete" => t.operation_delete(),
        _ => t.operation_update(),
    }
}

/// The stage that gave an item up, and what to do.
pub fn stage(t: Language, word: &str) -> (&'static str, &'static str) {
    match word {
        "push" => (t.stage_push(), t.advice_push()),
        "fetch" => (t.stage_fetch(), t.advice_fetch()),
        "intake" => (t.stage_intake(), t.advice_intake()),
        "import" => (t.stage_import(), t.advice_import()),
        "automate" => (t.stage_automate(), t.advice_automate()),
        _ => (t.stage_process(), t.advice_process()),
    }
}

/// What an error means, and what to do.
pub fn error(t: Language, kind: &str) -> (&'static str, &'static str) {
    match kind {
        "transient" => (t.error_transient(), t.advice_transient()),
        "rate_limited" => (t.error_rate_limited(), t.advice_rate_limited()),
        "unauthorized" => (t.error_unauthorized(), t.advice_unauthorized()),
        "rejected" => (t.error_rejected(), t.advice_rejected()),
        "cursor_expired" => (t.error_cursor_expired(), t.advice_cursor_expired()),
        _ => (t.error_broken(), t.advice_broken()),
    }
}

/// A kind of golden record.
pub fn entity(t: Language, word: &str) -> String {
    let known = match word {
        "customer" => t.customer(),
        "order" => t.order(),
        "interaction" => t.interaction(),
        "deal" => t.deal(),
        "ticket" => t.ticket(),
        "product" => t.product(),
        other => return other.to_owned(),
    };
    known.to_owned()
}

/// What became of an arrival.
pub fn outcome(t: Language, word: &str) -> String {
    let known = match word {
        "created" => t.outcome_created(),
        "linked" => t.outcome_linked(),
        "changed" => t.outcome_changed(),
        "echo" => t.outcome_echo(),
        "stale" => t.outcome_stale(),
        "overtaken" => t.outcome_overtaken(),
        "told_gone" => t.outcome_told_gone(),
        "told_back" => t.outcome_told_back(),
        "held" => t.outcome_held(),
        "missing" => t.outcome_missing(),
        "deleted" => t.outcome_deleted(),
        "inherited" => t.outcome_inherited(),
        "review" => t.outcome_review(),
        "parked" => t.outcome_parked(),
        "unattached" => t.outcome_unattached(),
        other => return other.to_owned(),
    };
    known.to_owned()
}

/// What happened to a golden record.
pub fn change_kind(t: Language, word: &str) -> String {
    let known = match word {
        "create" => t.change_create(),
        "update" => t.change_update(),
        "link" => t.change_link(),
        "merge" => t.change_merge(),
        "merged" => t.change_merged(),
        "split" => t.change_split(),
        "delete" => t.change_delete(),
        "pin" => t.change_pin(),
        "unpin" => t.change_unpin(),
        "tag" => t.change_tag(),
        "empty" => t.change_empty(),
        other => return other.to_owned(),
    };
    known.to_owned()
}

/// Who or what caused a change.
pub fn cause(t: Language, cause: &str) -> String {
    match cause.split_once(':') {
        Some(("steward", name)) => t.cause_steward(name),
        Some(("rule", number)) => t.cause_rule(number),
        Some(("inbox", position)) => t.cause_inbox(position),
        _ => cause.to_owned(),
    }
}

/// The rule by which a value won.
pub fn rule(t: Language, rule: &str) -> String {
    match rule.split_once(':') {
        Some(("prefer", whom)) => t.rule_prefer(whom),
        _ => match rule {
            "only" => t.rule_only().to_owned(),
            "pin" => t.rule_pin().to_owned(),
            "added" => t.rule_added().to_owned(),
            "most_recent" => t.rule_most_recent().to_owned(),
            "union" => t.rule_union().to_owned(),
            "longest" => t.rule_longest().to_owned(),
            "first" => t.rule_first().to_owned(),
            "owns" => t.rule_owns().to_owned(),
            "most_frequent" => t.rule_most_frequent().to_owned(),
            "max" => t.rule_max().to_owned(),
            "min" => t.rule_min().to_owned(),
            other => other.to_owned(),
        },
    }
}

/// How a review ended; none while it waits.
pub fn settled(t: Language, state: &str) -> Option<&'static str> {
    match state {
        "waiting" => None,
        "same" => Some(t.settled_same()),
        _ => Some(t.settled_apart()),
    }
}

/// A comparison by its name.
pub fn comparison(t: Language, name: &str) -> String {
    let (what, kind) = name.split_once(':').unwrap_or((name, ""));
    match what {
        "identity" => identity(t, kind),
        "companions" => t.comparison_companions(identity(t, kind)),
        "kind" => t.field_kind().to_owned(),
        "given_name" | "family_name" => field(t, what),
        "email" | "phone" => identity(t, what),
        "address" => t.comparison_address().to_owned(),
        "chance" => t.comparison_chance().to_owned(),
        "relatives" => t.comparison_relatives().to_owned(),
        // What reviews that wait since earlier versions hold.
        "name" => t.comparison_name().to_owned(),
        "birth_date" => t.field_birth_date().to_owned(),
        "company" => t.field_company().to_owned(),
        "organization" => t.comparison_organization().to_owned(),
        "city" => t.comparison_city().to_owned(),
        other => other.to_owned(),
    }
}

fn identity(t: Language, kind: &str) -> String {
    let known = match kind {
        "email" => t.field_emails(),
        "phone" => t.field_phones(),
        "tax_id" => t.field_tax_id(),
        "unionid" => t.identity_unionid(),
        "external_userid" => t.identity_external_userid(),
        "customer_number" => t.identity_customer_number(),
        other => return other.to_owned(),
    };
    known.to_owned()
}

/// The level that a comparison reached.
pub fn level(t: Language, comparison: &str, level: &str) -> String {
    // What a customer is compared by has names of its own.
    let of = match comparison {
        "company" => "words",
        "organization" => "name",
        "city" => "locality",
        other => other,
    };
    let known = levels::level(t, of, level).unwrap_or_else(|| match level {
        "conflict" => t.level_conflict(),
        "strong" => t.level_strong(),
        "medium" => t.level_medium(),
        "rare" => t.level_rare(),
        "shared" => t.level_shared(),
        // What reviews that wait since earlier versions hold.
        "same" => t.level_same(),
        "similar" => t.level_similar(),
        "partial" => t.level_partial(),
        other => other,
    });
    known.to_owned()
}

/// The comparisons that spoke for a match.
pub fn because(t: Language, told: &[Comparison]) -> String {
    let names: Vec<String> = told.iter().filter(|it| it.weight > 0.0).map(|it| comparison(t, &it.name)).collect();
    if names.is_empty() { String::new() } else { t.because(names.join(t.comma())) }
}

/// A field's name; of a family with its label: "E-mail (work)".
pub fn field(t: Language, name: &str) -> String {
    let (family, label) = name.split_once('.').unwrap_or((name, ""));
    let known = match family {
        "kind" => t.field_kind(),
        "display_name" => t.field_display_name(),
        "given_name" => t.field_given_name(),
        "family_name" => t.field_family_name(),
        "legal_name" => t.field_legal_name(),
        "short_name" => t.field_short_name(),
        "emails" => t.field_emails(),
        "phones" => t.field_phones(),
        "addresses" => t.field_addresses(),
        "company" => t.field_company(),
        "title" => t.field_title(),
        "birth_date" => t.field_birth_date(),
        "gender" => t.field_gender(),
        "tags" => t.field_tags(),
        "owner" => t.field_owner(),
        "lifecycle" => t.field_lifecycle(),
        "remark" | "note" => t.field_remark(),
        "consent" => t.field_consent(),
        "external_ids" => t.field_external_ids(),
        "tax_id" => t.field_tax_id(),
        "website" => t.field_website(),
        "language" => t.field_language(),
        "number" => t.field_number(),
        "status" => t.field_status(),
        "ordered_at" => t.field_ordered_at(),
        "total" => t.field_total(),
        "lines" => t.field_lines(),
        "direction" => t.field_direction(),
        "subject" => t.field_subject(),
        "body" => t.field_body(),
        "thread" => t.field_thread(),
        "occurred_at" => t.field_occurred_at(),
        "participants" => t.field_participants(),
        "stage" => t.field_stage(),
        "amount" => t.field_amount(),
        "priority" => t.field_priority(),
        "name" => t.field_display_name(),
        "custom" => t.field_custom(),
        other => other,
    };
    let label = match label {
        "" => return known.to_owned(),
        "main" => t.label_main(),
        "work" => t.label_work(),
        "home" => t.label_home(),
        "mobile" => t.label_mobile(),
        "sms" => t.label_sms(),
        "email" => t.label_email(),
        other => other,
    };
    t.labelled(known, label)
}

/// Several fields in one line.
pub fn fields<'a>(t: Language, names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| field(t, name)).collect::<Vec<_>>().join(t.comma())
}

/// A value as people write it.
pub fn plain(t: Language, value: &Value) -> String {
    match value {
        Value::Null => t.nothing().to_owned(),
        Value::Bool(true) => t.yes().to_owned(),
        Value::Bool(false) => t.no().to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items.iter().map(|item| plain(t, item)).collect::<Vec<_>>().join(t.comma()),
        Value::Object(parts) => {
            let part = |name: &str| parts.get(name).and_then(Value::as_str);
            match (part("number"), part("amount"), part("currency")) {
                (Some(number), None, None) => number.to_owned(),
                (None, Some(amount), Some(currency)) => format!("{amount} {currency}"),
                _ => parts.values().map(|value| plain(t, value)).collect::<Vec<_>>().join(" "),
            }
        }
    }
}

/// The value of a field as people write it; a word of a closed list in the reader's words.
pub fn value(t: Language, field: &str, value: &Value) -> String {
    let family = field.split('.').next().unwrap_or_default();
    let listed = ["kind", "gender", "lifecycle", "consent", "direction", "priority"].contains(&family);
    match value.as_str().filter(|_| listed) {
        Some(word) => listed_word(t, word).map_or_else(|| word.to_owned(), str::to_owned),
        None => plain(t, value),
    }
}

fn listed_word(t: Language, word: &str) -> Option<&'static str> {
    Some(match word {
        "person" => t.value_person(),
        "organization" => t.value_organization(),
        "female" => t.value_female(),
        "male" => t.value_male(),
        "other" => t.value_other(),
        "lead" => t.value_lead(),
        "prospect" => t.value_prospect(),
        "customer" => t.value_customer(),
        "former" => t.value_former(),
        "subscribed" => t.value_subscribed(),
        "pending" => t.value_pending(),
        "unsubscribed" => t.value_unsubscribed(),
        "unknown" => t.value_unknown(),
        "message" => t.value_message(),
        "email" => t.value_email(),
        "call" => t.value_call(),
        "meeting" => t.value_meeting(),
        "form" => t.value_form(),
        "visit" => t.value_visit(),
        "in" => t.value_in(),
        "out" => t.value_out(),
        "low" => t.value_low(),
        "normal" => t.value_normal(),
        "high" => t.value_high(),
        "urgent" => t.value_urgent(),
        _ => return None,
    })
}

/// The beginning of a text that is too long.
pub fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A name that is kept in two parts, put together.
pub fn whole_name(fields: &Fields) -> Option<String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    match (text("family_name"), text("given_name")) {
        (Some(family), Some(given)) if !family.is_ascii() => Some(format!("{family}{given}")),
        (Some(family), Some(given)) => Some(format!("{given} {family}")),
        (family, given) => family.or(given),
    }
}

/// What a golden record is called: its name, its number, its subject, or what it is.
pub fn name_of(t: Language, golden: &Golden) -> String {
    let text = |name: &&str| golden.fields.get(*name).and_then(Value::as_str).map(str::to_owned);
    let others = ["legal_name", "short_name", "company", "number", "subject", "name"];
    let known = text(&"display_name").or_else(|| whole_name(&golden.fields));
    let known = known.or_else(|| others.iter().find_map(text));
    known.unwrap_or_else(|| format!("{} {}", entity(t, golden.entity.as_str()), golden.id))
}

/// Facts of one line of a list, and letters of one fact: a line on a desk, three on a phone.
const FACTS_MAX: usize = 5;
const FACT_CHARS_MAX: usize = 48;

/// What tells people of one name apart.
pub fn facts_of(t: Language, fields: &Fields) -> Vec<String> {
    let told = fields.iter().filter(|(name, value)| {
        !value.is_null() && ["company", "title", "phones", "emails", "addresses", "tax_id"].contains(&name.family())
    });
    let mut facts: Vec<String> = Vec::new();
    for fact in told.map(|(_, value)| cut(&plain(t, value), FACT_CHARS_MAX)) {
        if !facts.contains(&fact) && facts.len() < FACTS_MAX {
            facts.push(fact);
        }
    }
    facts
}
