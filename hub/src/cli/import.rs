//! `huiliu import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::language::Language;
use crate::{deployment, import, say};

/// Imports a CSV, XLSX or JSON Lines file through the pipeline.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu import members.csv --suggest > mappings/members.toml\n  huiliu import members.csv --connection members"
)]
pub struct Args {
    /// The file; its encoding is found out (UTF-8, GB18030).
    file: PathBuf,
    /// The file source of huiliu.toml that the rows belong to.
    #[arg(long, required_unless_present = "suggest")]
    connection: Option<String>,
    /// The table of the mapping file.
    #[arg(long, default_value = "rows")]
    stream: String,
    /// Print a proposed mapping file and stop.
    #[arg(long)]
    suggest: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Imports, or proposes a mapping.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    if args.suggest {
        suggest(&args.file)?;
    } else {
        import_file(folder, args, language)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn suggest(file: &Path) -> Result<(), String> {
    let mut headers = Vec::new();
    huiliu_file::read::rows(file, &mut |(_, row)| {
        if let Ok(serde_json::Value::Object(row)) = row {
            headers.extend(row.keys().filter(|key| !headers.contains(*key)).cloned().collect::<Vec<_>>());
        }
        // A column may be empty in the first rows; a hundred show them all.
        headers.len() < 200
    })?;
    print!("{}", huiliu_file::suggest::mapping(&headers));
    if let Some(key) = huiliu_file::suggest::key_column(&headers) {
        eprintln!("the column `{key}` seems to name the rows: write key = {key:?} into the connection");
    }
    Ok(())
}

fn import_file(folder: &Path, args: &Args, language: Language) -> Result<(), String> {
    let at = deployment::open(folder)?;
    let connection = args.connection.as_deref().unwrap_or_default();
    let Some(given) = at.config.connections.get(connection) else {
        let known = at.config.connections.keys().map(String::as_str);
        let hint = huiliu_mappings::diagnose::suggest(connection, known);
        return Err(format!("huiliu.toml has no connection `{connection}`{hint}"));
    };
    let bar = indicatif::ProgressBar::new_spinner();
    bar.set_message("rows");
    let key = given.key.as_deref();
    let done = import::import(&at.engine, connection, &args.stream, key, &args.file, &|rows| bar.set_position(rows))?;
    bar.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&done).map_err(|error| error.to_string())?);
        return Ok(());
    }
    let import::Imported { rows, rejected, created, changes, reviews } = done;
    println!(
        "{}",
        say!(
            language,
            "{rows} rows: {created} golden records made, {changes} changes, {reviews} for review, {rejected} rejected",
            "{rows} 行：新建主记录 {created}，更改 {changes}，待判断 {reviews}，拒绝 {rejected}"
        )
    );
    if rejected > 0 {
        println!(
            "{}",
            language.pick(
                "`huiliu dead-letters` lists the rejected rows with their reasons",
                "`huiliu dead-letters` 可列出被拒绝的行及原因"
            )
        );
    }
    Ok(())
}
