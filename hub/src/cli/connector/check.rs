//! `huiliu connector check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_core::manifest::{Driver, place};

use crate::both;
use crate::cli::runtime;
use crate::contract::files::{self, Told};
use crate::contract::{Both, Check, Wrong, log, rehearse, requests};
use crate::language::Language;

/// Holds a connector's folder to the contract: its files, the mapping laws, and every promise against a rehearsal, a
/// stand-in made of the manifest and the fixtures alone. No network and no compiler is needed.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that holds connector.toml.
    connector: PathBuf,
    /// The mapping file; without it `mappings/NAME.toml` or `mappings/systems/NAME.toml` beside `connectors/`.
    #[arg(long)]
    mapping: Option<PathBuf>,
    /// Also write what the declared calls send to fixtures/requests, to be compared with the vendor's page.
    #[arg(long)]
    write: bool,
}

/// Tells every mistake; fails if there is one.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    log::listen();
    let told = files::examine(folder, &args.connector, args.mapping.as_deref())?;
    for line in &told.fine {
        println!("{}", line.pick(language));
    }
    let mut mistakes = told.wrong.clone();
    if mistakes.is_empty() {
        // A manifest or mapping with mistakes would only repeat them in other words.
        mistakes = runtime()?.block_on(keeps(&told, args, language))?;
    }
    for mistake in &mistakes {
        println!("{}{}", language.pick("wrong: ", "错误："), mistake.pick(language));
    }
    let count = mistakes.len();
    println!("{}", both!("{count} mistake(s)", "{count} 处错误").pick(language));
    Ok(if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every promise on a stage of its own; what is wrong comes back.
async fn keeps(told: &Told, args: &Args, language: Language) -> Result<Vec<Both>, String> {
    let Some(manifest) = &told.manifest else { return Ok(Vec::new()) };
    if manifest.connector.driver == Driver::Rust {
        let name = &manifest.connector.name;
        let line = both!(
            "{name} is a crate: tests/it/contract holds it to the contract on its own stage",
            "{name} 由 Rust 实现：tests/it/contract 在其专用环境中检查约定"
        );
        println!("{}", line.pick(language));
        return Ok(Vec::new());
    }
    let folder = &args.connector;
    let mut mistakes = Vec::new();
    if args.write {
        match requests::made(folder, manifest, &told.lenses).await {
            Ok(files) => {
                for name in requests::write(folder, &files)? {
                    println!(
                        "{}",
                        both!("wrote fixtures/requests/{name}", "已写入 fixtures/requests/{name}").pick(language)
                    );
                }
            }
            Err(wrong) => return Ok(vec![placed(&wrong, told)]),
        }
    }
    for check in Check::ALL {
        let found = match rehearse::stage(folder, manifest, &told.lenses).await {
            Ok(stage) => {
                let found = check.run(&stage).await;
                // A request that the manifest does not account for explains the rest.
                let strange = stage.rehearsal.as_ref().and_then(|it| it.strange().first().cloned());
                found.map_err(|wrong| match strange {
                    Some(call) => Wrong {
                        says: Both {
                            en: format!("{} (no call of the manifest looks like {call})", wrong.says.en),
                            zh: format!("{}（清单中没有形如 {call} 的调用）", wrong.says.zh),
                        },
                        ..wrong
                    },
                    None => wrong,
                })
            }
            Err(wrong) => Err(wrong),
        };
        let promise = check.promise();
        match found {
            Ok(said) => {
                let colon = language.pick(": ", "：");
                println!("{}{colon}{}", promise.pick(language), said.pick(language));
            }
            Err(wrong) => {
                let at = placed(&wrong, told);
                mistakes.push(Both {
                    en: format!("{} [{}]", at.en, promise.en),
                    zh: format!("{}【{}】", at.zh, promise.zh),
                });
            }
        }
    }
    Ok(mistakes)
}

/// With file and line, where the place is one of the manifest.
fn placed(wrong: &Wrong, told: &Told) -> Both {
    let (file, text) = &told.text;
    if wrong.at.is_empty() {
        return wrong.says.clone();
    }
    if wrong.at.starts_with("fixtures/") {
        let folder = file.trim_end_matches("connector.toml");
        let at = &wrong.at;
        return Both {
            en: format!("{folder}{at}: {}", wrong.says.en), zh: format!("{folder}{at}：{}", wrong.says.zh)
        };
    }
    let at = |says: &str| place::mistake(file, text, &format!("{}: {says}", wrong.at)).to_string();
    Both { en: at(&wrong.says.en), zh: at(&wrong.says.zh) }
}
