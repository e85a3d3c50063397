//! `huiliu undo`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::proposal::{self, Left, Undone};
use serde_json::{Value, json};

use super::plan::{How, hidden};
use super::replay::watched;
use crate::language::Language;
use crate::{deployment, in_force, say};

/// What was left as it is, at most so much of it.
pub(super) const SAMPLES: usize = 20;

/// Takes an applied plan back: the former files, the golden values, and what live systems showed before. What somebody
/// edited since stays, and is listed. Given again it goes on after a stop, and asks again for what was refused.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu undo 3\n  huiliu undo 3 --values --json")]
pub struct Args {
    /// The plan's number.
    number: i64,
    /// The name of the person who does it.
    #[arg(long = "by", env = "USER", default_value = "steward")]
    by: String,
    #[command(flatten)]
    how: How,
}

/// Undoes a plan.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let mut at = deployment::open(folder)?;
    let mut files = in_force::files(&at)?;
    let plan = proposal::undoable(&at.engine, args.number).map_err(|error| error.to_string())?;
    let mut back = Vec::new();
    if let Some(former) = plan.former.as_ref().filter(|former| plan.state != "undone" && **former != files.digest) {
        back = in_force::put_back(folder, &plan.files, former)?;
        at = deployment::open(folder)?;
        files = in_force::files(&at)?;
    }
    let done = watched(|each| proposal::undo(&at.engine, args.number, &files, &args.by, SAMPLES, each));
    let done = done.map_err(|error| error.to_string())?;
    if args.how.json {
        let mut json = as_json(&done, args.how.values);
        json["files"] = json!(back);
        println!("{json}");
        return Ok(ExitCode::SUCCESS);
    }
    if !back.is_empty() {
        let names = back.join(", ");
        println!("{}", say!(language, "put back: {names}", "已恢复文件：{names}"));
    }
    let number = done.number;
    println!("{}", say!(language, "plan {number} is taken back:", "计划 {number} 已撤销："));
    print!("{}", shown(&done, args.how.values, language));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn as_json(done: &Undone, values: bool) -> Value {
    let mut json = json!(done);
    json["left"] = done
        .left
        .iter()
        .map(
            |it| json!({ "record": it.record, "place": it.place, "before": hidden(&it.before, values), "why": it.why }),
        )
        .collect();
    json
}

pub(super) fn shown(done: &Undone, values: bool, language: Language) -> String {
    let Undone { restored, queued, same, under_way, edited, made, gone, goldens_edited, .. } = done;
    let goldens = done.report.goldens;
    let lines = [
        (
            i64::try_from(goldens).unwrap_or(i64::MAX),
            say!(language, "{goldens} golden record(s) have their former values", "{goldens} 条主记录恢复了原值"),
        ),
        (
            *goldens_edited,
            say!(
                language,
                "{goldens_edited} value(s) of golden records are others: somebody said so since",
                "主记录中有 {goldens_edited} 个值与原值不同：其后有系统提供了新值"
            ),
        ),
        (
            *restored,
            say!(
                language,
                "{restored} record(s) of other systems show again what they showed",
                "{restored} 条外部记录已恢复原样"
            ),
        ),
        (
            *queued,
            say!(
                language,
                "{queued} record(s) get back what they showed with `huiliu serve` or `huiliu sync`",
                "{queued} 条外部记录将由 `huiliu serve` 或 `huiliu sync` 恢复原样"
            ),
        ),
        (*same, say!(language, "{same} record(s) had nothing to get back", "{same} 条外部记录无需恢复")),
        (
            *under_way,
            say!(
                language,
                "{under_way} record(s) have a write without an answer; run the same command again later",
                "{under_way} 条外部记录的写入尚无答复；请稍后再次运行同一命令"
            ),
        ),
        (
            *edited,
            say!(
                language,
                "{edited} record(s) were edited by somebody else since, and keep that",
                "{edited} 条外部记录其后被他人修改，保持不变"
            ),
        ),
        (
            *made,
            say!(
                language,
                "{made} record(s) that the plan made stay; delete them in their system if they are not wanted",
                "该计划新建的 {made} 条外部记录保留；如不需要请在其系统中删除"
            ),
        ),
        (*gone, say!(language, "{gone} record(s) are gone", "{gone} 条外部记录已不存在")),
    ];
    let mut text = String::new();
    for (_, line) in lines.iter().filter(|(count, _)| *count > 0) {
        text += &format!("  {line}\n");
    }
    for it in &done.left {
        text += &left(it, values, language);
    }
    text
}

fn left(it: &Left, values: bool, language: Language) -> String {
    let (record, before) = (&it.record, hidden(&it.before, values));
    match (it.why, &it.place) {
        (_, Some(place)) => say!(
            language,
            "    left: {record} {place}, which was {before}\n",
            "    未恢复：{record} {place}，原值 {before}\n"
        ),
        ("made", None) => say!(language, "    left: {record}, which was made\n", "    未删除：{record}（新建）\n"),
        _ => say!(language, "    gone: {record}\n", "    已不存在：{record}\n"),
    }
}
