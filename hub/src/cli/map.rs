//! `huiliu map`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use huiliu_mappings::lens::{Lens, laws};
use serde_json::json;

use crate::language::Language;
use crate::{connectors, deployment, say};

/// Shows what a mapping makes of records (JSON or JSON Lines), both directions; writes nothing.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu map shopify customers.json\n  huiliu map mappings/members.toml members.csv"
)]
pub struct Args {
    /// A shipped system, or a mapping file.
    system: String,
    /// The records.
    file: PathBuf,
    /// The table of the mapping file; the first one when not told.
    #[arg(long)]
    stream: Option<String>,
}

/// Maps every record and renders it back; fails if a record breaks a law.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let Args { system, file, stream } = args;
    let stream = stream.as_deref();
    let model = deployment::model(folder)?;
    let own: Vec<Arc<Lens>> = if Path::new(system).is_file() {
        let text = std::fs::read_to_string(system).map_err(|error| format!("{system}: {error}"))?;
        let lenses = Lens::parse_file(system, &text, &model).map_err(|told| deployment::lines(&told))?;
        lenses.into_iter().map(Arc::new).collect()
    } else {
        let catalog = connectors::catalog_with(&model, folder).map_err(|told| deployment::lines(&told))?;
        catalog.system(system)?.lenses.clone()
    };
    let lens = own.iter().find(|lens| stream.is_none_or(|stream| lens.name() == stream));
    let names = own.iter().map(|lens| lens.name()).collect::<Vec<_>>().join(", ");
    let lens = lens.ok_or_else(|| {
        let stream = stream.unwrap_or("");
        say!(language, "{system} has no table `{stream}`; it has: {names}", "{system} 没有表 `{stream}`；它有：{names}")
    })?;
    let mut broken = 0;
    let mut show = |row: &serde_json::Value| {
        let (mapped, issues) = lens.map(row);
        let laws = laws::broken(lens, row);
        broken += laws.len();
        let back = lens.render(&lens.project(&mapped.fields));
        println!("{:#}", json!({"canonical": mapped, "issues": issues, "back": back, "broken_laws": laws}));
    };
    if file.extension().is_some_and(|it| it == "json") {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let body: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        match &body {
            serde_json::Value::Array(rows) => rows.iter().for_each(&mut show),
            row => show(row),
        }
    } else {
        huiliu_file::read::rows(file, &mut |(line, row)| {
            match row {
                Ok(row) => show(&row),
                Err(told) => {
                    let told = language.told(&told);
                    eprintln!("{}", say!(language, "line {line}: {told}", "第 {line} 行：{told}"));
                }
            }
            true
        })?;
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
