//! `[[connector.quotas]]`: what a vendor allows, and who shares it.

use std::num::NonZeroU32;

use huiliu_mappings::diagnose::suggest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConnectorSection, Manifest};

/// One count that the vendor keeps. Connections that it counts together share it, whatever process they run in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What it is counted by: `connection`; `address` (of this deployment, as the vendor sees it); `endpoint` (each apart, by its
    /// path); or a name with a setting, `corp:{config.corp_id}`: connections with the same value share it. Secrets are no
    /// names.
    pub shared_by: Vec<String>,
    /// Calls in a stretch of time, one or several. The vendor's own stretches may begin at any instant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// A bucket that calls fill, and that leaks.
    pub bucket: Option<Bucket>,
}

/// So many calls in so many seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Calls.
    pub calls: NonZeroU32,
    /// Seconds: 60, 3600, 86400.
    pub seconds: NonZeroU32,
}

/// A bucket that so many calls fill, and that leaks so many a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Calls that fill it.
    pub calls: NonZeroU32,
    /// Calls that leak out of it a second.
    pub per_second: NonZeroU32,
}

/// More words would count nothing that a vendor counts.
const WORDS_MAX: usize = 4;

/// Budgets of one connector; a call takes from each.
const BUDGETS_MAX: usize = 8;

/// A longer window would outlast what is kept.
const SECONDS_MAX: u32 = 31 * 86_400;

/// What is wrong with a manifest's budgets, each with its place.
pub fn mistakes(manifest: &Manifest) -> Vec<String> {
    wrong(&manifest.connector, &manifest.connector.quotas, "connector.quotas")
}

/// What is wrong with budgets that stand at `place`.
pub fn wrong(connector: &ConnectorSection, budgets: &[Budget], place: &str) -> Vec<String> {
    let mut told = Vec::new();
    if budgets.len() > BUDGETS_MAX {
        told.push(format!("{place}: {} are more than a vendor counts; at most {BUDGETS_MAX}", budgets.len()));
    }
    for (at, budget) in budgets.iter().enumerate() {
        let place = format!("{place}[{at}]");
        if budget.shared_by.is_empty() || budget.shared_by.len() > WORDS_MAX {
            told.push(format!("{place}.shared_by: write one to {WORDS_MAX} words; `connection` if nobody shares it"));
        }
        let words = budget.shared_by.iter().filter_map(|word| Some((word, unknown(connector, word)?)));
        told.extend(words.map(|(word, why)| format!("{place}.shared_by: `{word}`: {why}")));
        if budget.windows.is_empty() && budget.bucket.is_none() {
            told.push(format!("{place}: it has no limit; write windows = [{{ calls = 100, seconds = 60 }}]"));
        }
        for (at, window) in budget.windows.iter().enumerate() {
            if window.seconds.get() > SECONDS_MAX {
                told.push(format!("{place}.windows[{at}].seconds: {} is more than 31 days", window.seconds));
            }
        }
    }
    told
}

/// Why a word names nobody.
fn unknown(connector: &ConnectorSection, word: &str) -> Option<String> {
    if matches!(word, "connection" | "address" | "endpoint") {
        return None;
    }
    let Some((name, value)) = word.split_once(':') else {
        let hint = suggest(word, ["connection", "address", "endpoint"]);
        return Some(format!("no such word{hint}; others have a setting: `corp:{{config.corp_id}}`"));
    };
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let Some(setting) = value.strip_prefix("{config.").and_then(|rest| rest.strip_suffix('}')).filter(|_| is_plain)
    else {
        return Some("write a name in small letters and a setting: `corp:{config.corp_id}`".to_owned());
    };
    let known = connector.config.contains_key(setting);
    (!known).then(|| format!("no setting `{setting}`{}", suggest(setting, connector.config.keys().map(String::as_str))))
}
