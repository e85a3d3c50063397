//! `huiliu check`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::store::inbox::{self, ItemKind};
use huiliu_mappings::lens::laws;
use serde::Serialize;

use super::runtime;
use crate::deployment;
use crate::language::Language;
use crate::say;

/// Checks files, secrets and mapping laws, and with --reach that every system answers; says what to mend.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu check\n  huiliu check --reach\n  huiliu check --reach --json   # one object a connection

Exit status 0 only if nothing is to be mended. The laws are run on the last records that arrived: an unchanged golden
record projects to an empty patch, what is pushed reads back equal, fields not mentioned stay untouched."
)]
pub struct Args {
    /// Also call every system with its credentials.
    #[arg(long)]
    reach: bool,
    /// Print one JSON object a connection.
    #[arg(long)]
    json: bool,
}

/// Items of the inbox whose records are run through the laws: some seconds at most.
const LAW_ITEMS: i64 = 2000;

/// What was found of one connection.
#[derive(Debug, Default, Serialize)]
struct Found {
    connection: String,
    system: String,
    tables: usize,
    missing_secrets: Vec<String>,
    answers: Option<bool>,
    error: Option<String>,
    records: usize,
    broken_laws: Vec<String>,
}

impl Found {
    fn is_fine(&self) -> bool {
        self.missing_secrets.is_empty() && self.answers != Some(false) && self.broken_laws.is_empty()
    }
}

/// Opens the deployment, which checks its files, then looks at every connection.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let engine = &at.engine;
    let mut bad = 0;
    for connection in engine.connections.values() {
        let mut found = look(connection);
        keep_laws(engine, connection, &mut found)?;
        if let (true, Some(connector)) = (args.reach, &connection.connector) {
            let checked = runtime()?.block_on(connector.check(&connection.cx));
            found.answers = Some(checked.is_ok());
            found.error = checked.err().map(|error| format!("{}: {}", error.kind(), language.told(&error.to_string())));
        }
        bad += usize::from(!found.is_fine());
        if args.json {
            println!("{}", serde_json::to_string(&found).map_err(|error| error.to_string())?);
        } else {
            print!("{}", told(&found, language));
        }
    }
    if !args.json {
        let (count, store) = (engine.connections.len(), engine.store.kind());
        println!("{}", say!(language, "{count} connection(s), store {store}", "{count} 个连接，存储 {store}"));
        if bad > 0 {
            println!("{}", say!(language, "{bad} to mend", "{bad} 个需要修复"));
        }
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(connection: &Connection) -> Found {
    let secrets = connection.connector.iter().flat_map(|it| &it.manifest().connector.secret);
    let missing = secrets.filter(|(name, what)| !what.optional && !connection.cx.secrets.contains_key(*name));
    Found {
        connection: connection.name.to_string(),
        system: connection.system.clone(),
        tables: connection.lenses.len(),
        missing_secrets: missing.map(|(name, _)| name.clone()).collect(),
        ..Found::default()
    }
}

/// Runs the laws on the last records of the connection.
fn keep_laws(engine: &Engine, connection: &Connection, found: &mut Found) -> Result<(), String> {
    let last = engine.store.read(|tx| {
        let end = tx.max("position", "inbox")?;
        inbox::after(tx, (end - LAW_ITEMS).max(0), LAW_ITEMS)
    });
    let name = connection.name.as_str();
    let mut broken = std::collections::BTreeSet::new();
    for item in last.map_err(|error| error.to_string())? {
        let (ItemKind::Record, Some(stream)) = (item.kind, &item.stream) else { continue };
        if item.connection != name {
            continue;
        }
        let Ok(body) = serde_json::from_slice(&item.body) else { continue };
        for lens in connection.lenses.iter().filter(|lens| lens.stream() == stream) {
            found.records += 1;
            broken.extend(laws::broken(lens, &body));
        }
    }
    found.broken_laws = broken.into_iter().collect();
    Ok(())
}

fn told(found: &Found, language: Language) -> String {
    let Found { connection, system, tables, records, .. } = found;
    let mut text = say!(
        language,
        "{connection}: {system} with {tables} mapping table(s)\n",
        "{connection}：{system}，{tables} 个映射表\n"
    );
    if !found.missing_secrets.is_empty() {
        let missing = found.missing_secrets.join(", ");
        text += &say!(
            language,
            "  secrets are missing: {missing}; run `huiliu connect {connection}`\n",
            "  缺少密钥：{missing}；请运行 `huiliu connect {connection}`\n"
        );
    }
    match (found.answers, &found.error) {
        (Some(true), _) => text += language.pick("  answers, and the credentials work\n", "  有应答，凭据有效\n"),
        (_, Some(error)) => {
            text += &say!(
                language,
                "  {error}\n  mend it with `huiliu connect {connection}`, or its settings in huiliu.toml\n",
                "  {error}\n  请运行 `huiliu connect {connection}`，或修改 huiliu.toml 中的设置\n"
            );
        }
        _ => {}
    }
    if found.broken_laws.is_empty() {
        if *records > 0 {
            text += &say!(
                language,
                "  the mapping laws hold on {records} record(s)\n",
                "  映射规则在 {records} 条记录上成立\n"
            );
        }
    } else {
        text +=
            &say!(language, "  of {records} record(s) some break a law:\n", "  {records} 条记录中有违反映射规则的：\n");
        for law in &found.broken_laws {
            text += &format!("    {}\n", language.told(law));
        }
        text += &say!(
            language,
            "  mend the mapping; `huiliu map {system} FILE` shows what it makes of a record\n",
            "  请修正映射；`huiliu map {system} 文件` 可查看映射结果\n"
        );
    }
    text
}
