//! `huiliu link`, `pin` and `unpin`: what a steward fixes.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::review::{self, Steward};
use huiliu_mappings::value::FieldName;
use serde_json::{Value, json};

use crate::deployment;
use crate::language::Language;
use crate::say;

/// Who decides, and why.
#[derive(clap::Args)]
pub(super) struct By {
    /// The reason, kept for those who ask later.
    #[arg(long)]
    why: String,
    /// The name of the person who decides.
    #[arg(long = "by", env = "USER", default_value = "steward")]
    name: String,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl By {
    /// As core takes it.
    pub(super) fn steward(&self) -> Steward<'_> {
        Steward { name: &self.name, why: &self.why }
    }

    /// Prints the outcome.
    pub(super) fn tell(&self, json: &Value, text: &str) -> ExitCode {
        if self.json {
            println!("{json}");
        } else {
            println!("{text}");
        }
        ExitCode::SUCCESS
    }
}

/// Makes two golden records one.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu link 17 23 --why 'same person, new number'")]
pub struct Link {
    /// The number of one golden record.
    a: i64,
    /// The number of the other one.
    b: i64,
    #[command(flatten)]
    by: By,
}

/// Fixes a value of a golden record: it wins until the pin is taken away.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu pin 17 display_name 王小明 --why 'he told us'\n  huiliu pin 17 emails.work null --why 'wants no mail'"
)]
pub struct Pin {
    /// The number of the golden record.
    golden: i64,
    /// The field, as `huiliu show` names it.
    field: String,
    /// The value: JSON, or plain text; null pins that there is none.
    value: String,
    #[command(flatten)]
    by: By,
}

/// Takes a pin away: the rules choose the value again.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu unpin 17 display_name --why 'the ERP is right now'")]
pub struct Unpin {
    /// The number of the golden record.
    golden: i64,
    /// The field, as `huiliu show` names it.
    field: String,
    #[command(flatten)]
    by: By,
}

/// Links.
pub fn link(folder: &Path, args: &Link, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let golden = review::link(&engine, args.a, args.b, args.by.steward()).map_err(|error| error.to_string())?;
    let text = say!(language, "both are golden record {golden} now", "两者现在是同一条主记录 {golden}");
    Ok(args.by.tell(&json!({ "golden": golden }), &text))
}

/// Pins.
pub fn pin(folder: &Path, args: &Pin, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let value = serde_json::from_str(&args.value).unwrap_or_else(|_| Value::from(args.value.as_str()));
    let (golden, field) = (args.golden, FieldName::from(args.field.as_str()));
    let pinned = review::pin(&engine, golden, &field, &value, args.by.steward());
    let value = pinned.map_err(|error| error.to_string())?;
    let text = say!(
        language,
        "{field} of golden record {golden} is pinned: {value}",
        "主记录 {golden} 的 {field} 已固定：{value}"
    );
    Ok(args.by.tell(&json!({ "golden": golden, "field": field, "value": value }), &text))
}

/// Unpins.
pub fn unpin(folder: &Path, args: &Unpin, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let (golden, field) = (args.golden, FieldName::from(args.field.as_str()));
    review::unpin(&engine, golden, &field, args.by.steward()).map_err(|error| error.to_string())?;
    let text = say!(
        language,
        "{field} of golden record {golden} follows the rules again",
        "主记录 {golden} 的 {field} 重新按规则取值"
    );
    Ok(args.by.tell(&json!({ "golden": golden, "field": field }), &text))
}
