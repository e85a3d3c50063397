//! `huiliu init`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_mappings::automation::EXAMPLE;
use huiliu_mappings::model::Model;

use crate::language::Language;
use crate::{config, connectors, deployment, example, say};

/// Makes a deployment folder with a commented example.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu init shop\n  huiliu -C shop check")]
pub struct Args {
    /// The folder.
    folder: PathBuf,
}

/// Writes the example, never over an existing one.
pub fn run(args: &Args, language: Language) -> Result<ExitCode, String> {
    let folder: &Path = &args.folder;
    let path = folder.join("huiliu.toml");
    if path.exists() {
        return Err(format!("{} exists already; nothing was changed", path.display()));
    }
    std::fs::create_dir_all(folder.join("mappings")).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut text = config::EXAMPLE.to_owned();
    let catalog = connectors::catalog(&Model::shipped()).map_err(|told| deployment::lines(&told))?;
    for (name, system) in catalog.systems() {
        text.push('\n');
        text.push_str(&example::commented(name, &system.manifest));
    }
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    let rules = folder.join("rules/automation.toml");
    if !rules.exists() {
        std::fs::create_dir_all(folder.join("rules")).map_err(|error| format!("{}: {error}", folder.display()))?;
        std::fs::write(&rules, EXAMPLE).map_err(|error| format!("{}: {error}", rules.display()))?;
    }
    let (path, folder) = (path.display(), folder.display());
    println!(
        "{}",
        say!(
            language,
            "made {path}; `huiliu -C {folder} connect NAME --connector CONNECTOR` adds a system, `huiliu -C {folder} import \
             FILE --suggest --connection NAME` a source of files",
            "已生成 {path}；`huiliu -C {folder} connect 名称 --connector 连接器` 添加系统，`huiliu -C {folder} import 文件 --suggest \
             --connection 名称` 添加文件来源"
        )
    );
    Ok(ExitCode::SUCCESS)
}
