//! `huiliu connector record`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::Connection;
use huiliu_core::connector::Received;
use huiliu_core::manifest::Ability;
use huiliu_core::secrets::Secret;
use huiliu_mappings::diagnose::suggest;
use huiliu_mappings::lens::laws;

use crate::cli::runtime;
use crate::contract::rehearse;
use crate::deployment;
use crate::invent::Invent;
use crate::language::Language;
use crate::say;

/// Pulls one page of each stream and writes fixtures: personal values are replaced by invented ones of the same form, and
/// the same person becomes the same invented person in all of them.
#[derive(clap::Args)]
pub struct Args {
    /// A connection of huiliu.toml.
    connection: String,
    /// The streams.
    #[arg(required = true)]
    streams: Vec<String>,
}

/// Records of one recording: enough to see the forms that a system uses, few enough to be read by a person.
const RECORDS_MAX: usize = 5;

/// Files of one stream; the search for a free name ends here.
const FILES_MAX: usize = 1000;

/// Pulls, invents, writes; never over a file that exists.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let known = super::super::connection(&at.engine, &args.connection, language)?;
    let mut invent = Invent::default();
    let mut broken = Vec::new();
    for stream in &args.streams {
        broken.extend(one(folder, known, stream, &mut invent, language)?);
    }
    println!(
        "{}",
        language.pick(
            "read them before you pass them on: what looks like a word of the system's own language was kept",
            "转交之前请先通读：看似系统自身用语的内容被保留了下来"
        )
    );
    broken.sort();
    broken.dedup();
    for law in &broken {
        println!("{}", say!(language, "the mapping breaks a law on them: {law}", "映射在这些记录上违反规则：{law}"));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Records one stream; the answer is which laws the mapping breaks on the fixtures.
fn one(
    folder: &Path,
    known: &Connection,
    stream: &str,
    invent: &mut Invent,
    language: Language,
) -> Result<Vec<String>, String> {
    let (name, system) = (&known.name, &known.system);
    let connector = known.connector.as_ref().ok_or_else(|| {
        language
            .pick("a source of files has nothing to pull; import the file", "文件来源无法拉取；请直接导入文件")
            .to_owned()
    })?;
    let manifest = connector.manifest();
    if !manifest.streams.get(stream).is_some_and(|it| it.can(Ability::Pull)) {
        let hint = language.told(&suggest(stream, manifest.streams.keys().map(String::as_str)));
        return Err(say!(
            language,
            "`{system}` has no stream `{stream}` that can be pulled{hint}",
            "`{system}` 没有可拉取的数据流 `{stream}`{hint}"
        ));
    }
    let page = runtime()?.block_on(connector.pull(&known.cx, &stream.into(), None));
    let page = page.map_err(|error| format!("{}: {error}", error.kind()))?;
    let records = page.items.into_iter().filter_map(|item| match item {
        Received::Record(record) => Some(record.body),
        _ => None,
    });
    let target = folder.join("connectors").join(system).join("fixtures").join(stream);
    std::fs::create_dir_all(&target).map_err(|error| {
        let target = target.display();
        say!(language, "{target}: cannot be made: {error}", "{target}：无法创建：{error}")
    })?;
    let kept = rehearse::kept(manifest, &known.lenses, stream);
    let secrets: Vec<&str> =
        known.cx.secrets.values().map(Secret::expose).filter(|secret| !secret.is_empty()).collect();
    let (mut written, mut broken) = (0, Vec::new());
    for mut body in records.take(RECORDS_MAX) {
        invent.replace(&mut body, &kept);
        let text = format!("{body:#}\n");
        // Letters and digits are others by now; a secret that still shows was taken for the system's own words.
        if secrets.iter().any(|secret| text.contains(secret)) {
            return Err(say!(
                language,
                "a record of {name}/{stream} holds a secret of the connection; nothing more was written",
                "{name}/{stream} 的记录中含有该连接的密钥；不再写入"
            ));
        }
        for lens in known.lenses.iter().filter(|lens| lens.stream() == stream && lens.reads(&body)) {
            broken.extend(laws::broken(lens, &body));
        }
        let path = write_new(&target, &text)?;
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
    Ok(broken)
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
