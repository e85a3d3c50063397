//! `huiliu`: the command line.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use huiliu_core::connection::State;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::plan;
use huiliu_core::seal::SealedVault;
use huiliu_core::store::{deliveries, goldens, inbox, stewards, streams};
use huiliu_hub::deployment::{self, Deployment};
use huiliu_hub::{config, connectors, export, import, run, show};
use huiliu_mappings::lens::{Lens, laws, schema};
use serde_json::json;

/// Huiliu 汇流: one golden record per customer, and every connected system in step with it.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Cli {
    /// The deployment folder, which holds huiliu.toml.
    #[arg(long, short = 'C', default_value = ".", global = true)]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a deployment folder with a commented example.
    Init {
        /// The folder.
        folder: PathBuf,
    },
    /// Checks configuration, mapping files and, with --reach, that every system answers.
    Check {
        /// Also call every system with its credentials.
        #[arg(long)]
        reach: bool,
    },
    /// Runs the hub until it is stopped.
    Serve,
    /// Imports a CSV, XLSX or JSON Lines file through the pipeline.
    Import {
        /// The file.
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
    },
    /// Writes golden records as JSON Lines to standard output.
    Export {
        /// customer, order, interaction, deal, ticket or product.
        #[arg(default_value = "customer")]
        entity: String,
    },
    /// Seals a secret of a connection, read from standard input.
    Secret {
        /// The connection.
        connection: String,
        /// The secret's name in the connector's manifest.
        name: String,
    },
    /// Shows what a connection would be sent, and with --yes lets it be written from now on.
    GoLive {
        /// The connection.
        connection: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
    /// Ends the pause of a connection after its credentials were mended.
    Resume {
        /// The connection.
        connection: String,
    },
    /// Connections, streams, backlog, deliveries, what needs a person.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// A golden record: every value with its source, links, changes.
    Show {
        /// Its number.
        customer: i64,
    },
    /// Why a record did or did not sync: its story from the inbox to every target.
    Why {
        /// CONNECTION/STREAM/ID.
        record: LinkKey,
    },
    /// Records that may be somebody known and wait for a steward.
    Review,
    /// Items that need a person.
    DeadLetters {
        /// Send dead deliveries again.
        #[arg(long)]
        retry: bool,
    },
    /// Shows what a mapping makes of records (JSON or JSON Lines), both directions; writes nothing.
    Map {
        /// A shipped system, or a mapping file.
        system: String,
        /// The records.
        file: PathBuf,
        /// The table of the mapping file; the first one when not told.
        #[arg(long)]
        stream: Option<String>,
    },
    /// Prints the JSON Schema of mapping files, for editors.
    Schema {
        /// mapping
        #[arg(value_parser = ["mapping"])]
        what: String,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    // One TLS provider for the whole process: two compiled in would make the first connection panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match execute(Cli::parse()) {
        Ok(code) => code,
        Err(told) => {
            eprintln!("huiliu: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> Result<ExitCode, String> {
    let folder = cli.folder;
    match cli.command {
        Command::Init { folder } => init(&folder)?,
        Command::Schema { .. } => println!("{:#}", schema::mapping()),
        Command::Map { system, file, stream } => return map(&folder, &system, &file, stream.as_deref()),
        Command::Import { file, suggest: true, .. } => suggest(&file)?,
        Command::Import { file, connection, stream, json, .. } => {
            import_file(&deployment::open(&folder)?, &file, &connection.unwrap_or_default(), &stream, json)?;
        }
        Command::Export { entity } => {
            let written = export::export(&deployment::open(&folder)?.engine, &entity, &mut std::io::stdout().lock())?;
            eprintln!("{written} {entity} record(s)");
        }
        Command::Check { reach } => return check(&deployment::open(&folder)?, reach),
        Command::Serve => runtime()?.block_on(run::serve(deployment::open(&folder)?))?,
        Command::Secret { connection, name } => secret(&deployment::open(&folder)?, connection, &name)?,
        Command::GoLive { connection, yes } => go_live(&deployment::open(&folder)?, &connection, yes)?,
        Command::Resume { connection } => resume(&deployment::open(&folder)?, &connection)?,
        Command::Status { json } => status(&deployment::open(&folder)?, json)?,
        Command::Show { customer } => {
            let shown =
                show::customer(&deployment::open(&folder)?.engine, customer).map_err(|error| error.to_string())?;
            print!("{}", shown.ok_or_else(|| format!("no golden record has the number {customer}"))?);
        }
        Command::Why { record } => {
            print!("{}", show::why(&deployment::open(&folder)?.engine, &record).map_err(|error| error.to_string())?);
        }
        Command::Review => review(&deployment::open(&folder)?)?,
        Command::DeadLetters { retry } => dead_letters(&deployment::open(&folder)?, retry)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Runtime::new().map_err(|error| format!("cannot start: {error}"))
}

fn init(folder: &Path) -> Result<(), String> {
    let path = folder.join("huiliu.toml");
    if path.exists() {
        return Err(format!("{} exists already; nothing was changed", path.display()));
    }
    std::fs::create_dir_all(folder.join("mappings")).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::write(&path, config::EXAMPLE).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("made {}; edit it, then run `huiliu -C {} check`", path.display(), folder.display());
    Ok(())
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

fn import_file(at: &Deployment, file: &Path, connection: &str, stream: &str, json: bool) -> Result<(), String> {
    let Some(given) = at.config.connections.get(connection) else {
        let known = at.config.connections.keys().map(String::as_str);
        let hint = huiliu_mappings::diagnose::suggest(connection, known);
        return Err(format!("huiliu.toml has no connection `{connection}`{hint}"));
    };
    let bar = indicatif::ProgressBar::new_spinner();
    bar.set_message("rows");
    let key = given.key.as_deref();
    let done = import::import(&at.engine, connection, stream, key, file, &|rows| bar.set_position(rows))?;
    bar.finish_and_clear();
    if json {
        println!("{}", serde_json::to_string(&done).map_err(|error| error.to_string())?);
        return Ok(());
    }
    println!(
        "{} rows: {} golden records made, {} changes, {} for review, {} rejected",
        done.rows, done.created, done.changes, done.reviews, done.rejected
    );
    if done.rejected > 0 {
        println!("`huiliu dead-letters` lists the rejected rows with their reasons");
    }
    Ok(())
}

fn check(at: &Deployment, reach: bool) -> Result<ExitCode, String> {
    let mut bad = 0;
    for (name, connection) in &at.engine.connections {
        println!("{name}: {} with {} mapping table(s)", connection.system, connection.lenses.len());
        if let (true, Some(connector)) = (reach, &connection.connector) {
            match runtime()?.block_on(connector.check(&connection.cx)) {
                Ok(()) => println!("  answers, and the credentials work"),
                Err(error) => {
                    bad += 1;
                    println!("  {}: {error}", error.kind());
                }
            }
        }
    }
    println!("{} connection(s), store {}", at.engine.connections.len(), at.engine.store.kind());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn secret(at: &Deployment, connection: String, name: &str) -> Result<(), String> {
    let Some(known) = at.engine.connections.get(&connection) else {
        return Err(format!("huiliu.toml has no connection `{connection}`"));
    };
    let secrets = known.connector.as_ref().map(|it| it.manifest().connector.secret.clone()).unwrap_or_default();
    if !secrets.contains_key(name) {
        let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
        return Err(format!("`{}` has no secret `{name}`; it has: {}", known.system, names.join(", ")));
    }
    let mut value = String::new();
    std::io::stdin().take(64 << 10).read_to_string(&mut value).map_err(|error| format!("standard input: {error}"))?;
    if value.trim().is_empty() {
        return Err("standard input is empty: huiliu secret CONNECTION NAME < FILE".to_owned());
    }
    let vault = SealedVault { store: at.engine.store.clone(), seal: at.seal.clone(), connection };
    vault.put(&format!("secret.{name}"), value.trim())?;
    println!("sealed");
    Ok(())
}

/// Golden records looked at in one step of a plan.
const STEP: i64 = 500;

fn go_live(at: &Deployment, connection: &str, yes: bool) -> Result<(), String> {
    let engine = &at.engine;
    let entities: Vec<String> = match engine.connections.get(connection) {
        Some(known) => known.lenses.iter().map(|lens| lens.entity().as_str().to_owned()).collect(),
        None => return Err(format!("huiliu.toml has no connection `{connection}`")),
    };
    if yes {
        let now_us = engine.clock.now_us();
        let set = engine.store.write(|tx| streams::set_state(tx, connection, State::Live, None, now_us));
        set.map_err(|error| error.to_string())?;
    }
    let (mut count, mut sample) = (0, Vec::new());
    for entity in entities {
        let mut after = 0;
        loop {
            let _turn = engine.meaning();
            let step = engine.store.write(|tx| {
                let page = goldens::after(tx, &entity, after, STEP)?;
                let ids = page.iter().map(|golden| golden.id).collect();
                let planned = plan::plan(engine, tx, &ids, Some(connection))?;
                if yes {
                    plan::queue(engine, tx, &planned)?;
                }
                Ok((page.last().map(|golden| golden.id), planned))
            });
            let (last, planned) = step.map_err(|error| error.to_string())?;
            count += planned.len();
            sample.extend(planned.into_iter().take(5_usize.saturating_sub(sample.len())));
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    for one in &sample {
        let whom = one.delivery.id.as_ref().map_or("a new record", |id| id.as_str());
        println!("  {} {whom}: {}", one.delivery.operation.as_str(), one.delivery.body);
    }
    if yes {
        println!("{connection} is live; {count} write(s) are queued");
    } else {
        println!("{count} write(s) would go to {connection}; run again with --yes to let them");
    }
    Ok(())
}

fn resume(at: &Deployment, connection: &str) -> Result<(), String> {
    let now_us = at.engine.clock.now_us();
    let resumed =
        at.engine.store.write(|tx| streams::resume(tx, connection, now_us)).map_err(|error| error.to_string())?;
    if resumed == 0 { Err(format!("{connection} is not paused")) } else { Ok(()) }
}

fn status(at: &Deployment, as_json: bool) -> Result<(), String> {
    let read = at.engine.store.read(|tx| {
        let streams: Vec<_> = streams::all(tx)?
            .into_iter()
            .map(|((connection, stream), state)| json!({"connection": connection, "stream": stream, "state": state}))
            .collect();
        let connections: Vec<_> = streams::states(tx)?
            .into_iter()
            .map(|(name, (state, reason))| json!({"connection": name, "state": state, "reason": reason}))
            .collect();
        Ok(json!({
            "connections": connections,
            "streams": streams,
            "backlog": inbox::backlog(tx, "process")?,
            "fetches_waiting": inbox::fetches_waiting(tx)?,
            "deliveries": deliveries::counts(tx)?,
            "dead_letters": inbox::dead_letters(tx, 1000)?.len(),
            "reviews": stewards::waiting(tx, 1000)?.len(),
        }))
    });
    let status = read.map_err(|error| error.to_string())?;
    if as_json {
        println!("{status}");
        return Ok(());
    }
    for one in status["connections"].as_array().into_iter().flatten() {
        println!("{} {} {}", plain(&one["connection"]), plain(&one["state"]), plain(&one["reason"]));
    }
    for one in status["streams"].as_array().into_iter().flatten() {
        let state = &one["state"];
        println!(
            "  {}/{} records {} {}",
            plain(&one["connection"]),
            plain(&one["stream"]),
            state["records"],
            plain(&state["error"])
        );
    }
    for one in status["deliveries"].as_array().into_iter().flatten() {
        println!("  deliveries to {} {}: {}", plain(&one[0]), plain(&one[1]), one[2]);
    }
    println!(
        "inbox backlog {}, keys to fetch {}, dead letters {}, reviews {}",
        status["backlog"], status["fetches_waiting"], status["dead_letters"], status["reviews"]
    );
    Ok(())
}

fn plain(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("")
}

fn review(at: &Deployment) -> Result<(), String> {
    let waiting = at.engine.store.read(|tx| stewards::waiting(tx, 100)).map_err(|error| error.to_string())?;
    for one in &waiting {
        println!("review {}: golden record {} may be one of", one.number, one.golden);
        for (golden, why) in &one.candidates {
            let words: Vec<String> = why.comparisons.iter().map(|it| format!("{} {}", it.name, it.level)).collect();
            println!("  {golden} (score {:.1}): {}", why.score, words.join(", "));
        }
    }
    println!("{} waiting", waiting.len());
    Ok(())
}

fn dead_letters(at: &Deployment, retry: bool) -> Result<(), String> {
    let now_us = at.engine.clock.now_us();
    let waiting = at.engine.store.read(|tx| inbox::dead_letters(tx, 1000)).map_err(|error| error.to_string())?;
    for one in &waiting {
        println!("{} {} {}: {}", one.number, one.stage, one.connection, one.reason);
    }
    if retry {
        let again = waiting.iter().filter(|one| one.stage == "push");
        let done = at.engine.store.write(|tx| {
            let mut revived = Vec::new();
            for one in again {
                deliveries::revive(tx, one.item, now_us)?;
                revived.push(one.number);
            }
            inbox::mark_retried(tx, revived)
        });
        println!("{} delivery(ies) will be sent again", done.map_err(|error| error.to_string())?);
    } else {
        println!("{} waiting", waiting.len());
    }
    Ok(())
}

fn map(folder: &Path, system: &str, file: &Path, stream: Option<&str>) -> Result<ExitCode, String> {
    let model = deployment::model(folder)?;
    let own: Vec<std::sync::Arc<Lens>> = if Path::new(system).is_file() {
        let text = std::fs::read_to_string(system).map_err(|error| format!("{system}: {error}"))?;
        let lenses = Lens::parse_file(system, &text, &model).map_err(|told| deployment::lines(&told))?;
        lenses.into_iter().map(std::sync::Arc::new).collect()
    } else {
        let catalog = connectors::catalog(&model).map_err(|told| deployment::lines(&told))?;
        catalog.system(system)?.lenses.clone()
    };
    let lens = own.iter().find(|lens| stream.is_none_or(|stream| lens.name() == stream));
    let lens = lens.ok_or_else(|| format!("{system} has no table `{}`", stream.unwrap_or("")))?;
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
                Err(told) => eprintln!("line {line}: {told}"),
            }
            true
        })?;
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
