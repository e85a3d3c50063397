//! `huiliu connector record`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connector::Received;
use huiliu_core::manifest::Ability;
use huiliu_mappings::diagnose::suggest;

use super::invent::Invent;
use crate::cli::{connection, runtime};
use crate::language::Language;
use crate::{deployment, say};

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
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let Args { connection: name, stream } = args;
    let known = connection(&at.engine, name, language)?;
    let (en, zh) = ("a source of files has nothing to pull; import the file", "文件来源没有可拉取的内容；请导入文件");
    let connector = known.connector.as_ref().ok_or(language.pick(en, zh))?;
    let streams = &connector.manifest().streams;
    if !streams.get(stream).is_some_and(|it| it.can(Ability::Pull)) {
        let hint = suggest(stream, streams.keys().map(String::as_str));
        let (system, hint) = (&known.system, language.told(&hint));
        return Err(say!(
            language,
            "`{system}` has no stream `{stream}` that can be pulled{hint}",
            "`{system}` 没有可拉取的数据流 `{stream}`{hint}"
        ));
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
        println!("{}", say!(language, "wrote {path}", "已写入 {path}"));
        written += 1;
    }
    if written == 0 {
        return Err(say!(
            language,
            "the first page of {name}/{stream} holds no record; nothing was written",
            "{name}/{stream} 的第一页没有记录；未写入任何内容"
        ));
    }
    let (en, zh) = (
        "read them before you pass them on: what looks like a word of the system's own language was kept",
        "传给他人之前请先检查：看起来属于系统自身用语的词被保留了",
    );
    println!("{}", language.pick(en, zh));
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
