//! `huiliu split`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::link::LinkKey;
use huiliu_core::review::{self, Half, Parted, Steward};
use serde_json::json;

use crate::language::Language;
use crate::show::plain;
use crate::{deployment, say};

/// Parts records from their golden record; they stay apart.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu split shop/customers/1001 --dry-run\n  huiliu split shop/customers/1001 --why 'father and son share the phone'"
)]
pub struct Args {
    /// The records that are parted, each as CONNECTION/STREAM/ID.
    #[arg(required = true)]
    records: Vec<LinkKey>,
    /// Show what would be, and what would be written to whom; nothing is changed.
    #[arg(long)]
    dry_run: bool,
    /// The reason, kept for those who ask later.
    #[arg(long, required_unless_present = "dry_run")]
    why: Option<String>,
    /// The name of the person who decides.
    #[arg(long = "by", env = "USER", default_value = "steward")]
    name: String,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// Splits, or shows what that would do.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    if args.dry_run {
        let told = review::look(&engine, &args.records).map_err(|error| error.to_string())?;
        if args.json {
            println!("{}", json!(told));
        } else {
            print!("{}", shown(&told, language));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steward = Steward { name: &args.name, why: args.why.as_deref().unwrap_or_default() };
    let (parted, rest) = review::split(&engine, &args.records, steward).map_err(|error| error.to_string())?;
    if args.json {
        println!("{}", json!({ "parted": parted, "rest": rest }));
    } else {
        println!(
            "{}",
            say!(
                language,
                "parted: golden record {parted}; the rest: golden record {rest}",
                "拆出的记录：主记录 {parted}；其余：主记录 {rest}"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(told: &Parted, language: Language) -> String {
    let mut text = half(&told.parted, language) + &half(&told.rest, language);
    for it in &told.writes {
        let id = it.id.as_deref().unwrap_or(language.pick("a new record", "新记录"));
        let (connection, stream) = (&it.connection, &it.stream);
        text += &say!(language, "written to {connection}/{stream}/{id}:\n", "写入 {connection}/{stream}/{id}：\n");
        for (place, (before, after)) in &it.places {
            text += &format!("  {place}: {} → {}\n", plain(before), plain(after));
        }
    }
    if told.writes.is_empty() {
        text += language.pick("Nothing would be written to other systems.\n", "不会写入其他系统。\n");
    }
    if told.under_way > 0 {
        let count = told.under_way;
        text += &say!(
            language,
            "{count} write(s) are on their way; what is owed after their answers is planned then\n",
            "另有 {count} 次写入正在进行，待其返回后再规划后续写入\n"
        );
    }
    text + language.pick(
        "Nothing was changed. The same command with --why in place of --dry-run does it.\n",
        "未做任何更改。将 --dry-run 换成 --why 即可执行。\n",
    )
}

fn half(half: &Half, language: Language) -> String {
    let (golden, records) = (half.golden, half.records.join(", "));
    let mut text = if half.is_new {
        say!(language, "a new golden record: {records}\n", "新主记录：{records}\n")
    } else {
        say!(language, "golden record {golden}: {records}\n", "主记录 {golden}：{records}\n")
    };
    for (field, value) in &half.fields {
        text += &format!("  {field}: {}\n", plain(value));
    }
    text
}
