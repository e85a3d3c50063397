//! A source of files, begun: a mapping proposed from the headers, and the table of huiliu.toml.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_file::read::{self, Options};
use huiliu_file::suggest;

use super::Args;
use crate::language::Language;
use crate::{config, connectors, deployment, example, say};

/// Prints the proposal, or writes it for the connection that was named. No file that is there is touched.
pub(super) fn suggest(
    folder: &Path,
    args: &Args,
    options: Options<'_>,
    language: Language,
) -> Result<ExitCode, String> {
    let headers = read::headers(&args.file, options)?;
    let key = suggest::key_column(&headers).map(String::as_str);
    let mapping = suggest::mapping(&headers);
    match &args.connection {
        Some(name) => write(folder, name, &mapping, key, language)?,
        None => {
            print!("{mapping}");
            if let Some(key) = key {
                eprintln!(
                    "{}",
                    say!(
                        language,
                        "the column `{key}` seems to name the rows: write key = {key:?} into the connection",
                        "列 `{key}` 似乎是每行的编号：请在连接中写入 key = {key:?}"
                    )
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, name: &str, mapping: &str, key: Option<&str>, language: Language) -> Result<(), String> {
    let known = config::read(folder)?.connections.remove(name);
    let place = match &known {
        Some(known) if known.connector != "file" => {
            return Err(say!(
                language,
                "`{name}` is no source of files; give another name",
                "`{name}` 不是文件来源，请换一个名称"
            ));
        }
        Some(known) => known.mapping.clone().unwrap_or_else(|| format!("mappings/{name}.toml")),
        None => free(folder, name, language)?,
    };
    let path = folder.join(&place);
    let shown = path.display().to_string();
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| format!("{}: cannot be made: {error}", parent.display()))?;
    }
    // Opened only if it is new: a mapping that somebody mended is never lost.
    let mut file = std::fs::File::create_new(&path).map_err(|error| format!("{shown}: cannot be written: {error}"))?;
    file.write_all(mapping.as_bytes()).map_err(|error| format!("{shown}: cannot be written: {error}"))?;
    println!("{}", say!(language, "wrote {shown}; look through it", "已写入 {shown}，请过目"));
    if known.is_none() {
        config::append(folder, &example::file_table(name, &place, key))?;
        let config = folder.join("huiliu.toml").display().to_string();
        println!(
            "{}",
            say!(language, "added [connections.{name}] to {config}", "已把 [connections.{name}] 写入 {config}")
        );
    }
    println!(
        "{}",
        say!(
            language,
            "next: `huiliu import FILE --connection {name} --dry-run` shows what would happen",
            "下一步：`huiliu import 文件 --connection {name} --dry-run` 可预览结果"
        )
    );
    Ok(())
}

/// The place of the mapping of a new source. A file there that bears the name of a system would be that system's mapping.
fn free(folder: &Path, name: &str, language: Language) -> Result<String, String> {
    let catalog =
        connectors::catalog_with(&deployment::model(folder)?, folder).map_err(|told| deployment::lines(&told))?;
    if catalog.systems().any(|(system, _)| system == name)
        || name.is_empty()
        || name.contains(['/', '\\'])
        || name.starts_with('.')
    {
        return Err(say!(
            language,
            "`{name}` cannot name a source of files: its mapping would stand in place of another file; give another name",
            "`{name}` 不能作为文件来源的名称：其映射会占用其他文件的位置，请换一个名称"
        ));
    }
    Ok(format!("mappings/{name}.toml"))
}
