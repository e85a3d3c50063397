//! `huiliu connector record`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connector::Received;
use huiliu_core::manifest::Ability;
use huiliu_mappings::diagnose::suggest;

use super::invent::Invent;
use crate::cli::runtime;
use crate::deployment;

/// Pulls one page of a stream and writes fixtures: personal values are replaced by invented ones of the same form.
#[derive(clap::Args)]
pub struct Args {
    /// A connection of huiliu.toml.
    connection: String,
    /// The stream.
    stream: String,
}

/// Records of one recording: enough to see the forms that a system uses, few enough to be read by a person.
const RECORDS_MAX: usize = 5;

/// Files of one stream; the search for a free name ends here.
const FILES_MAX: usize = 1000;

/// Pulls, invents, writes; never over a file that exists.
pub fn run(folder: &Path, args: &Args) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let Args { connection: name, stream } = args;
    let known = at.engine.connections.get(name.as_str()).ok_or_else(|| {
        format!(
            "huiliu.toml has no connection `{name}`{}",
            suggest(name, at.engine.connections.keys().map(String::as_str))
        )
    })?;
    let connector = known.connector.as_ref().ok_or("a source of files has nothing to pull; import the file")?;
    let streams = &connector.manifest().streams;
    if !streams.get(stream).is_some_and(|it| it.can(Ability::Pull)) {
        let hint = suggest(stream, streams.keys().map(String::as_str));
        return Err(format!("`{}` has no stream `{stream}` that can be pulled{hint}", known.system));
    }
    let page = runtime()?.block_on(connector.pull(&known.cx, &stream.as_str().into(), None));
    let page = page.map_err(|error| format!("{}: {error}", error.kind()))?;
    let records = page.items.into_iter().filter_map(|item| match item {
        Received::Record(record) => Some(record.body),
        _ => None,
    });
    let target = folder.join("connectors").join(&known.system).join("fixtures").join(stream);
    std::fs::create_dir_all(&target).map_err(|error| format!("{}: cannot be made: {error}", target.display()))?;
    let invent = Invent::default();
    let mut written = 0;
    for mut body in records.take(RECORDS_MAX) {
        invent.replace(&mut body);
        let path = write_new(&target, &format!("{body:#}\n"))?;
        println!("wrote {path}");
        written += 1;
    }
    if written == 0 {
        return Err(format!("the first page of {name}/{stream} holds no record; nothing was written"));
    }
    println!("read them before you pass them on: what looks like a word of the system's own language was kept");
    Ok(ExitCode::SUCCESS)
}

/// Writes under the first free name.
fn write_new(folder: &Path, text: &str) -> Result<String, String> {
    for number in 1..=FILES_MAX {
        let path = folder.join(format!("recorded-{number}.json"));
        let wrong = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
        match std::fs::File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).map_err(wrong)?;
                return Ok(path.display().to_string());
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(wrong(error)),
        }
    }
    Err(format!("{} holds {FILES_MAX} recordings; remove some", folder.display()))
}
