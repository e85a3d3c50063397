//! `huiliu intake`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::pipeline::log;
use huiliu_core::store::logs::{self, LogState};
use serde_json::json;

use crate::language::Language;
use crate::{deployment, say};

/// Shows how far the stream before the inbox was taken in, and lets it go on where something is missing.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu intake\n  huiliu intake --accept")]
pub struct Args {
    /// Take the stream in as it is now: what is missing stays missing, and what is there is taken in once.
    #[arg(long)]
    accept: bool,
    /// Print one JSON object a stream.
    #[arg(long)]
    json: bool,
}

/// Shows the streams, or accepts one.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let Some(given) = &at.config.intake else {
        let (en, zh) = (
            "huiliu.toml has no [intake]: calls are kept in the store itself",
            "huiliu.toml 中没有 [intake]：事件直接写入存储",
        );
        return Err(language.pick(en, zh).to_owned());
    };
    if args.accept {
        let known = log::accept(&at.engine.store, &given.stream).map_err(|error| error.to_string())?;
        let name = &given.stream;
        if !known {
            return Err(say!(
                language,
                "nothing of the stream {name} was ever taken in: there is nothing to accept",
                "流 {name} 从未读入过：没有需要确认的内容"
            ));
        }
        println!("{}", say!(language, "{name} goes on with what is there", "{name} 将从现有内容继续"));
        return Ok(ExitCode::SUCCESS);
    }
    let states = at.engine.store.read(logs::all).map_err(|error| error.to_string())?;
    for state in &states {
        if args.json {
            println!("{}", as_json(state));
        } else {
            print!("{}", line(state, language));
        }
    }
    if states.is_empty() && !args.json {
        println!("{}", language.pick("Nothing was taken in yet.", "尚未读入任何内容。"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A stream, as JSON.
pub fn as_json(state: &LogState) -> serde_json::Value {
    json!({"stream": state.name, "position": state.position, "waiting": state.waiting(), "looked_us": state.looked_us,
        "trouble": state.trouble})
}

/// A stream, for a person.
pub fn line(state: &LogState, language: Language) -> String {
    let LogState { name, position, .. } = state;
    let waiting = state.waiting();
    let mut text = say!(
        language,
        "Stream {name}: taken in up to message {position}, {waiting} waiting\n",
        "流 {name}：已读入至第 {position} 条消息，等待 {waiting} 条\n"
    );
    if let Some(trouble) = &state.trouble {
        let trouble = language.told(trouble);
        text += &say!(language, "  stopped: {trouble}\n", "  已停止：{trouble}\n");
    }
    text
}
