//! `huiliu go-live`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::State;
use huiliu_core::store::streams;
use serde_json::json;

use super::connection;
use crate::language::Language;
use crate::live::{self, Plan};
use crate::{deployment, say, table};

/// Shows what a connection would be sent, counts and samples, then asks; from then on it is written.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu go-live shop\n  huiliu go-live shop --samples 20 < /dev/null   # look only\n  huiliu go-live shop --yes"
)]
pub struct Args {
    /// The connection's name in huiliu.toml.
    connection: String,
    /// Go live without asking: for scripts.
    #[arg(long)]
    yes: bool,
    /// How many writes are shown of each kind.
    #[arg(long, default_value_t = 3)]
    samples: usize,
    /// Print the counts as JSON; without --yes nothing is changed.
    #[arg(long)]
    json: bool,
}

/// Plans every golden record for the connection, shows the plan, and queues it if the person agrees.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let (engine, name) = (&at.engine, args.connection.as_str());
    let known = connection(engine, name, language)?;
    if !known.writes {
        return Err(say!(
            language,
            "connections.{name} says writes = false; take that line out of huiliu.toml first",
            "connections.{name} 设为 writes = false；请先在 huiliu.toml 中去掉这一行"
        ));
    }
    let states = engine.store.read(streams::states).map_err(|error| error.to_string())?;
    match states.get(name) {
        Some((State::Paused, reason)) => {
            let reason = language.told(reason.as_deref().unwrap_or_default());
            return Err(say!(
                language,
                "{name} is paused: {reason}; mend it with `huiliu connect {name}` first",
                "{name} 已暂停：{reason}；请先运行 `huiliu connect {name}` 修复"
            ));
        }
        // Once more with --yes: what a stop in the middle left out is queued, in place of what waits already.
        Some((State::Live, _)) if !args.yes => {
            if args.json {
                println!("{}", json!({"connection": name, "writes": [], "live": true, "queued": 0}));
            } else {
                println!(
                    "{}",
                    say!(
                        language,
                        "{name} is live already; nothing was changed. --yes queues what it is still owed",
                        "{name} 已经上线；未做任何更改。加上 --yes 可把尚未写入的内容排队"
                    )
                );
            }
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let plan = live::preview(engine, name, args.samples)?;
    if !args.json {
        show(&plan, name, language);
    }
    let agreed = args.yes || (!args.json && agreed(name, language)?);
    let queued = if agreed { live::go(engine, name)?.writes() } else { 0 };
    if args.json {
        let counts: Vec<_> = plan
            .kinds
            .iter()
            .map(|((stream, operation), kind)| json!({"stream": stream, "operation": operation, "count": kind.count}))
            .collect();
        println!("{}", json!({"connection": name, "writes": counts, "live": agreed, "queued": queued}));
    } else if agreed {
        println!(
            "{}",
            say!(language, "{name} is live; {queued} write(s) are queued", "{name} 已上线；{queued} 条写入已排队")
        );
    } else {
        println!(
            "{}",
            say!(language, "{name} goes on observing; nothing was written", "{name} 继续观察；没有写入任何内容")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn show(plan: &Plan, name: &str, language: Language) {
    if plan.kinds.is_empty() {
        println!("{}", say!(language, "Nothing would be written to {name} now.", "目前没有需要写入 {name} 的内容。"));
        return;
    }
    let rows: Vec<Vec<String>> = plan
        .kinds
        .iter()
        .map(|((stream, operation), kind)| vec![stream.clone(), (*operation).to_owned(), kind.count.to_string()])
        .collect();
    let heads = match language {
        Language::En => ["Stream", "Operation", "Writes"],
        Language::Zh => ["数据流", "操作", "写入数"],
    };
    print!("{}", table::columns(&heads, &rows));
    println!("{}", language.pick("For example:", "例如："));
    for ((stream, operation), kind) in &plan.kinds {
        for one in &kind.sample {
            let whom = one.delivery.id.as_ref().map_or(language.pick("a new record", "新记录"), |id| id.as_str());
            println!("  {operation} {stream}/{whom}: {}", one.delivery.body);
            if !one.delivery.base.is_null() {
                println!("    {} {}", language.pick("it holds", "现有值"), one.delivery.base);
            }
        }
    }
}

/// Asks the person at the terminal; without a terminal the answer is no.
fn agreed(name: &str, language: Language) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        println!(
            "{}",
            language.pick("Run again with --yes to let these writes go.", "加上 --yes 再次运行即可放行这些写入。")
        );
        return Ok(false);
    }
    super::yes(&say!(
        language,
        "Write this to {name}, and every change from now on? [y/N] ",
        "写入 {name}，并从现在起同步每次更改？[y/N] "
    ))
}
