//! `huiliu secret`.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use huiliu_core::seal::SealedVault;

use super::connection;
use crate::deployment::{self, Deployment};
use crate::language::Language;
use crate::{intake, say};

/// Seals a secret of a connection, or of the intake, read from standard input.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu secret shop access_token < token.txt\n  huiliu secret intake password < nats.txt"
)]
pub struct Args {
    /// The connection.
    connection: String,
    /// The secret's name in the connector's manifest.
    name: String,
}

/// Reads the value and seals it.
pub fn run(folder: &Path, args: Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let Args { connection: of, name } = args;
    let is_of_intake = of == intake::SECRETS && intake::secret(&at) == Some(name.as_str());
    if !is_of_intake {
        is_known(&at, &of, &name, language)?;
    }
    let mut value = String::new();
    let read = std::io::stdin().take(64 << 10).read_to_string(&mut value);
    read.map_err(|error| say!(language, "standard input: {error}", "标准输入：{error}"))?;
    if value.trim().is_empty() {
        let (en, zh) = (
            "standard input is empty: huiliu secret CONNECTION NAME < FILE",
            "标准输入为空：huiliu secret 连接 名称 < 文件",
        );
        return Err(language.pick(en, zh).to_owned());
    }
    let vault = SealedVault { store: at.engine.store.clone(), seal: at.seal.clone(), connection: of };
    vault.put(&format!("secret.{name}"), value.trim())?;
    println!("{}", language.pick("sealed", "已封存"));
    Ok(ExitCode::SUCCESS)
}

/// Whether the system of a connection has a secret of this name.
fn is_known(at: &Deployment, of: &str, name: &str, language: Language) -> Result<(), String> {
    let known = connection(&at.engine, of, language)?;
    let secrets = known.connector.as_ref().map(|it| it.manifest().connector.secret.clone()).unwrap_or_default();
    if secrets.contains_key(name) {
        return Ok(());
    }
    let names = secrets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let system = &known.system;
    Err(say!(
        language,
        "`{system}` has no secret `{name}`; it has: {names}",
        "`{system}` 没有密钥 `{name}`；它有：{names}"
    ))
}
