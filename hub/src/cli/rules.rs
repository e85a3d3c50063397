//! `huiliu rules`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::automation::{self, Replayed, Tried, Verdict, Would};
use huiliu_core::engine::Engine;
use huiliu_core::store::firings::{self, State};
use huiliu_mappings::automation::{Event, Rule};
use huiliu_mappings::diagnose::suggest;
use serde_json::{Value, json};

use crate::language::Language;
use crate::{deployment, say, show, table};

/// Shows the automation rules of rules/automation.toml, whom they would meet, and fires them for what is past.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  huiliu rules\n  huiliu rules test big_deal\n  huiliu rules test big_deal --record 42\n  huiliu rules test big_deal --since 30d --json\n  huiliu rules replay big_deal --since 30d"
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists the rules with how often they fired; the same as no word at all.
    List(List),
    /// Shows whom a rule would meet and what it would send, and sends nothing.
    Test(Test),
    /// Fires a rule for changes at which it did not fire yet; each fires once, however often this is asked.
    Replay(Replay),
}

/// How the list is told.
#[derive(clap::Args)]
struct List {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What a rule is tried on.
#[derive(clap::Args)]
struct Test {
    /// The rule's name.
    rule: String,
    /// Only this golden record, as it is now.
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    record: Option<i64>,
    /// Changes of this time instead of records as they are now: 30d, 12h, 15m.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many are shown.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// For what a rule is fired.
#[derive(clap::Args)]
struct Replay {
    /// The rule's name.
    rule: String,
    /// Changes of this time: 30d, 12h, 15m.
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Do it without asking: for scripts.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object; without --yes nothing is fired.
    #[arg(long)]
    json: bool,
}

/// Lists, tries or fires.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    match &args.action {
        None => list(&engine, &args.list, language),
        Some(Action::List(asked)) => list(&engine, asked, language),
        Some(Action::Test(asked)) => test(&engine, asked, language),
        Some(Action::Replay(asked)) => replay(&engine, asked, language),
    }
}

fn rule<'a>(engine: &'a Engine, name: &str, language: Language) -> Result<&'a Rule, String> {
    engine.automation.rule(name).ok_or_else(|| {
        let known = engine.automation.all().iter().map(|rule| rule.name.as_str());
        let hint = language.told(&suggest(name, known));
        say!(
            language,
            "rules/automation.toml has no rule `{name}`{hint}; `huiliu rules` lists them",
            "rules/automation.toml 中没有规则 `{name}`{hint}；`huiliu rules` 可列出全部"
        )
    })
}

fn list(engine: &Engine, asked: &List, language: Language) -> Result<ExitCode, String> {
    let counts = engine.store.read(firings::counts).map_err(|error| error.to_string())?;
    let count = |rule: &Rule, state: State| {
        counts.iter().find(|it| it.0 == rule.name && it.1 == state).map_or(0, |(_, _, count)| *count)
    };
    let rules = engine.automation.all();
    if asked.json {
        for rule in rules {
            let on: Vec<String> = rule.on.iter().map(Event::word).collect();
            let when = rule.when.as_ref().map(huiliu_mappings::automation::Condition::text);
            let actions: Vec<&str> = rule.actions.iter().map(|(action, _)| action.word()).collect();
            let [fired, first_read, too_deep] = STATES.map(|state| count(rule, state));
            println!(
                "{}",
                json!({
                    "rule": rule.name, "entity": rule.entity, "on": on, "when": when, "each": rule.each, "do": actions,
                    "fired": fired, "first_read": first_read, "too_deep": too_deep,
                })
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    if rules.is_empty() {
        println!(
            "{}",
            language
                .pick("There are no rules: rules/automation.toml has none.", "没有规则：rules/automation.toml 为空。")
        );
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> =
        rules.iter().map(|rule| row(rule, STATES.map(|state| count(rule, state)), language)).collect();
    let heads = match language {
        Language::En => ["Rule", "Record", "Event", "When", "Do", "Fired", "Left out"],
        Language::Zh => ["规则", "记录", "事件", "条件", "动作", "已触发", "未触发"],
    };
    print!("{}", table::columns(&heads, &rows));
    Ok(ExitCode::SUCCESS)
}

const STATES: [State; 3] = [State::Fired, State::FirstRead, State::TooDeep];

fn row(rule: &Rule, [fired, first_read, too_deep]: [i64; 3], language: Language) -> Vec<String> {
    let on: Vec<String> = rule.on.iter().map(Event::word).collect();
    let actions: Vec<&str> = rule.actions.iter().map(|(action, _)| action.word()).collect();
    let when = rule.when.as_ref().map_or_else(String::new, |when| when.text().to_owned());
    vec![
        rule.name.clone(),
        show::entity(rule.entity.as_str(), language).to_owned(),
        on.join(", "),
        when,
        actions.join(", "),
        fired.to_string(),
        (first_read + too_deep).to_string(),
    ]
}

fn test(engine: &Engine, asked: &Test, language: Language) -> Result<ExitCode, String> {
    let rule = rule(engine, &asked.rule, language)?;
    let tried = match &asked.since {
        Some(since) => automation::since(engine, rule, since_us(engine, since, language)?, asked.limit),
        None => automation::present(engine, rule, asked.record, asked.limit),
    };
    let tried = tried.map_err(|error| error.to_string())?;
    if asked.json {
        println!("{}", serde_json::to_string(&tried).map_err(|error| error.to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", told(&tried, asked.since.is_some(), language));
    Ok(ExitCode::SUCCESS)
}

fn told(tried: &Tried, is_past: bool, language: Language) -> String {
    let (looked, met) = (tried.looked, tried.met);
    let mut text = if is_past {
        say!(
            language,
            "{looked} change(s) looked at, the rule fires at {met}; nothing was sent.\n",
            "查看了 {looked} 条更改，规则在其中 {met} 条触发；未发送任何内容。\n"
        )
    } else {
        say!(
            language,
            "{looked} record(s) looked at, the condition holds of {met} now; nothing was sent.\n",
            "查看了 {looked} 条记录，条件目前对其中 {met} 条成立；未发送任何内容。\n"
        )
    };
    for one in &tried.would {
        text += &line(one, language);
    }
    if met > tried.would.len() {
        text += language.pick("  … more with --limit\n", "  … 用 --limit 查看更多\n");
    }
    text
}

fn line(one: &Would, language: Language) -> String {
    let verdict = match one.verdict {
        Verdict::WouldFire => language.pick("would fire", "将触发"),
        Verdict::Fired => language.pick("fired already", "已触发过"),
        Verdict::FirstRead => {
            language.pick("came with a first complete read: only replay fires it", "来自首次完整读取：仅重放会触发")
        }
        Verdict::TooDeep => language.pick("led to by too many rules: does nothing", "由过多规则连锁引发：不执行"),
    };
    let golden = one.golden;
    let at = one.at_us.map(|at_us| format!(" {}", show::instant(at_us))).unwrap_or_default();
    let change = one.change.map(|change| format!(" #{change}")).unwrap_or_default();
    let mut text = format!("  {golden}{at}{change}: {verdict}\n");
    for action in &one.actions {
        let said = match (&action.body, &action.detail) {
            (Some(body), _) => format!(" {body}"),
            (None, Some(detail)) => format!(": {}", language.told(detail)),
            (None, None) => String::new(),
        };
        text += &format!("    {} {}{said}\n", action.word, action.target);
    }
    text
}

fn replay(engine: &Engine, asked: &Replay, language: Language) -> Result<ExitCode, String> {
    let rule = rule(engine, &asked.rule, language)?;
    let since_us = since_us(engine, &asked.since, language)?;
    let would = automation::since(engine, rule, since_us, 3).map_err(|error| error.to_string())?;
    if !asked.json {
        print!("{}", told(&would, true, language));
    }
    let agreed = asked.yes || (!asked.json && would.met > 0 && super::replay::agreed(language)?);
    let done = if agreed {
        Some(automation::replay(engine, rule, since_us).map_err(|error| error.to_string())?)
    } else {
        None
    };
    if asked.json {
        let done: Value = serde_json::to_value(done).map_err(|error| error.to_string())?;
        println!("{}", json!({ "would": would, "done": done }));
    } else if let Some(Replayed { fired, already, too_deep, .. }) = done {
        println!(
            "{}",
            say!(
                language,
                "the rule fired {fired} time(s) now; {already} had fired before, {too_deep} are too deep",
                "规则本次触发 {fired} 次；此前已触发 {already} 次，连锁过深 {too_deep} 次"
            )
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// An instant so long ago, microseconds since 1970 UTC.
fn since_us(engine: &Engine, text: &str, language: Language) -> Result<i64, String> {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)?.checked_mul(1_000_000).filter(|us| *us > 0)
    });
    let ago_us = found.ok_or_else(|| {
        say!(language, "`{text}` is no time; write 30d, 12h or 15m", "`{text}` 不是时间；请写 30d、12h 或 15m")
    })?;
    Ok(engine.clock.now_us().saturating_sub(ago_us))
}
