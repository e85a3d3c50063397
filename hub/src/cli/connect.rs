//! `huiliu connect`: settings, secrets, sign-in, check, in this order.

mod answers;
mod network;
mod sign_in;

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::connection::State;
use huiliu_core::connector::{Connector, ConnectorError, Cx};
use huiliu_core::manifest::{Ability, Auth, Manifest};
use huiliu_core::seal::SealedVault;
use huiliu_core::store::streams;
use huiliu_rest::oauth;

use self::answers::Answers;
use super::{connection, runtime};
use crate::config::Network;
use crate::deployment::{self, Deployment};
use crate::language::Language;
use crate::{config, connectors, example, say};

/// Connects an account: asks for what is missing, seals secrets, signs in, and checks that the system answers.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu connect shop --connector shopify      # writes the table into huiliu.toml, then asks for the secrets
  huiliu connect erp --connector odoo --network private   # a system of your own network
  huiliu connect shop                          # asks for what is missing, then checks
  huiliu connect shop --again                  # new secrets, or a new sign-in
  printf 'access_token=%s\\n' \"$TOKEN\" | huiliu connect shop   # without a terminal: name=value, one a line

A new connection observes: it is read, and nothing is written to it until `huiliu go-live NAME`.")]
pub struct Args {
    /// The connection's name in huiliu.toml.
    name: String,
    /// Add a connection of this connector to huiliu.toml; its settings are asked for, or read as config.NAME=value.
    #[arg(long)]
    connector: Option<String>,
    /// Which addresses a connection that is added may call; without this a person is asked where a setting leads into a
    /// private network.
    #[arg(long, value_enum)]
    network: Option<Network>,
    /// Ask for every secret and sign in again, also where there is one.
    #[arg(long)]
    again: bool,
    /// Where the browser returns to after a sign-in; otherwise hub.redirect. An address that is not on this machine is
    /// not listened to: paste the address that the browser ended at.
    #[arg(long, value_name = "URL")]
    redirect: Option<String>,
}

/// Connects.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let name = args.name.as_str();
    let mut answers = Answers::open(language)?;
    match (config::read(folder)?.connections.get(name), args.network) {
        (None, _) => add(folder, args, &mut answers, language)?,
        (Some(known), Some(asked)) if known.network != asked => return Err(network::elsewhere(name, asked, language)),
        (Some(_), _) => {}
    }
    let at = deployment::open(folder)?;
    let known = connection(&at.engine, name, language)?;
    let Some(connector) = known.connector.clone() else {
        println!(
            "{}",
            say!(
                language,
                "{name} is a source of files: there is nothing to connect. `huiliu import FILE --connection {name}` brings them in.",
                "{name} 是文件来源，无需连接。用 `huiliu import FILE --connection {name}` 导入。"
            )
        );
        return Ok(ExitCode::SUCCESS);
    };
    let manifest = connector.manifest();
    introduce(name, manifest, &known.cx, language);
    secrets(&at, name, manifest, &known.cx, args.again, &mut answers)?;
    // Opened anew, the connection has the secrets that were just sealed.
    let at = deployment::open(folder)?;
    let cx = &connection(&at.engine, name, language)?.cx;
    let runtime = runtime()?;
    if matches!(manifest.auth, Some(Auth::Oauth2Code { .. })) {
        let signed_in = cx.tokens.current(oauth::TOKEN)?.is_some();
        if args.again || !signed_in {
            let redirect = args.redirect.as_deref().unwrap_or(&at.config.hub.redirect);
            runtime.block_on(sign_in::sign_in(manifest, cx, redirect, &mut answers, language))?;
        }
    }
    match runtime.block_on(connector.check(cx)) {
        Ok(()) => works(&at, name, connector.as_ref(), language),
        Err(error) => Err(advice(name, &error, language)),
    }
}

/// Writes the table of a connection that huiliu.toml does not have, or says what it would be.
fn add(folder: &Path, args: &Args, answers: &mut Answers, language: Language) -> Result<(), String> {
    let name = args.name.as_str();
    let catalog =
        connectors::catalog_with(&deployment::model(folder)?, folder).map_err(|told| deployment::lines(&told))?;
    let Some(wanted) = &args.connector else {
        let system = catalog.system(name);
        let names: Vec<&str> = catalog.systems().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let Ok(system) = system else {
            return Err(say!(
                language,
                "huiliu.toml has no connection `{name}`; `huiliu connect {name} --connector CONNECTOR` adds one. Connectors: {names}",
                "huiliu.toml 中没有连接 `{name}`；运行 `huiliu connect {name} --connector 连接器` 添加。可用连接器：{names}"
            ));
        };
        let table = example::table(name, &system.manifest, |_| None, args.network.unwrap_or_default());
        return Err(say!(
            language,
            "huiliu.toml has no connection `{name}`; add this table, or let `huiliu connect {name} --connector {name}` write it:\n\n{table}",
            "huiliu.toml 中没有连接 `{name}`；请加入下表，或运行 `huiliu connect {name} --connector {name}` 自动写入：\n\n{table}"
        ));
    };
    if wanted == "file" {
        return Err(say!(
            language,
            "a source of files is added with its mapping: `huiliu import FILE --suggest --connection {name}`",
            "文件来源与映射一起添加：`huiliu import 文件 --suggest --connection {name}`"
        ));
    }
    let system = catalog.system(wanted)?;
    let mut given = std::collections::BTreeMap::new();
    for (setting, what) in &system.manifest.connector.config {
        let value = answers.setting(setting, what)?;
        given.extend(value.map(|value| (setting.clone(), value)));
    }
    let network = network::chosen(name, &system.manifest, &given, args.network, answers)?;
    let table = example::table(name, &system.manifest, |setting| given.get(setting).cloned(), network);
    config::append(folder, &table)?;
    let shown = folder.join("huiliu.toml").display().to_string();
    println!("{}", say!(language, "added [connections.{name}] to {shown}", "已把 [connections.{name}] 写入 {shown}"));
    Ok(())
}

/// What the manifest needs, and what of it is there.
fn introduce(name: &str, manifest: &Manifest, cx: &Cx, language: Language) {
    let connector = &manifest.connector;
    let title = match (language, &connector.title_zh) {
        (Language::Zh, Some(zh)) => zh,
        _ => &connector.title,
    };
    println!("{name}: {title}. {}", connector.about);
    for setting in connector.config.keys() {
        println!("  config.{setting} = {}", cx.settings.get(setting).map_or("", String::as_str));
    }
    for (secret, what) in &connector.secret {
        let state = match (cx.secrets.contains_key(secret), what.optional) {
            (true, _) => language.pick("sealed", "已封存"),
            (false, true) => language.pick("missing, optional", "缺少，可选"),
            (false, false) => language.pick("missing", "缺少"),
        };
        println!("  secret.{secret}: {state}. {}", what.description);
    }
}

fn secrets(
    at: &Deployment,
    name: &str,
    manifest: &Manifest,
    cx: &Cx,
    again: bool,
    answers: &mut Answers,
) -> Result<(), String> {
    let vault = SealedVault { store: at.engine.store.clone(), seal: at.seal.clone(), connection: name.to_owned() };
    let language = answers.language();
    let (mut given, mut missing) = (Vec::new(), Vec::new());
    for (secret, what) in &manifest.connector.secret {
        let have = cx.secrets.contains_key(secret);
        match answers.secret(secret, what, have, again)? {
            Some(value) => given.push((secret, value)),
            None if have || what.optional => {}
            None => missing.push(format!("{secret}=…")),
        }
    }
    let signs_in = matches!(manifest.auth, Some(Auth::Oauth2Code { .. }));
    answers.nothing_left(if signs_in { &["redirected"] } else { &[] })?;
    for (secret, value) in given {
        vault.put(&format!("secret.{secret}"), &value)?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join("\n");
    Err(say!(
        language,
        "{name} needs more secrets: run `huiliu connect {name}` on a terminal, or give on standard input:\n{missing}",
        "{name} 还需要密钥：请在终端运行 `huiliu connect {name}`，或在标准输入中给出：\n{missing}"
    ))
}

/// The system answered: what works now, and what comes next.
fn works(at: &Deployment, name: &str, connector: &dyn Connector, language: Language) -> Result<ExitCode, String> {
    let manifest = connector.manifest();
    let title = &manifest.connector.title;
    let now_us = at.engine.clock.now_us();
    let state = at.engine.store.write(|tx| {
        streams::resume(tx, name, now_us)?;
        Ok(streams::states(tx)?.remove(name).map(|(state, _)| state))
    });
    let state = state.map_err(|error| error.to_string())?.unwrap_or(State::Observing);
    let reads: Vec<&str> =
        manifest.streams.iter().filter(|(_, it)| it.can(Ability::Pull)).map(|(name, _)| name.as_str()).collect();
    let reads = reads.join(", ");
    if reads.is_empty() {
        println!("{}", say!(language, "{name} is set up.", "{name} 设置完成。"));
    } else {
        println!(
            "{}",
            say!(
                language,
                "{title} answers, and the credentials work. `huiliu serve` reads {reads} on schedule; `huiliu sync {name}` reads now.",
                "{title} 有应答，凭据有效。`huiliu serve` 按计划读取 {reads}；`huiliu sync {name}` 立即读取。"
            )
        );
    }
    if manifest.webhook.is_some() {
        let listen = &at.config.hub.listen;
        println!(
            "{}",
            say!(
                language,
                "Its webhooks come in at /hooks/{name} of {listen}; give the vendor the public address that leads there.",
                "它的 webhook 入口是 {listen} 的 /hooks/{name}；请在对方平台填写指向该地址的公网地址。"
            )
        );
    }
    let next = match state {
        State::Live => say!(language, "It is live: changes are written to it.", "已上线：更改会写入该系统。"),
        _ => say!(
            language,
            "It observes: it is read, mapped and matched, and nothing is written. `huiliu go-live {name}` shows what would be written, then asks.",
            "观察中：只读取、映射、匹配，不写入任何内容。`huiliu go-live {name}` 会先展示将写入的内容，再询问。"
        ),
    };
    println!("{next}");
    Ok(ExitCode::SUCCESS)
}

/// What to do about a check that failed.
fn advice(name: &str, error: &ConnectorError, language: Language) -> String {
    let todo = match error {
        ConnectorError::Unauthorized { .. } => say!(
            language,
            "The system refuses the credentials: `huiliu connect {name} --again` takes new ones.",
            "系统拒绝了凭据：运行 `huiliu connect {name} --again` 重新提供。"
        ),
        ConnectorError::Transient { .. } | ConnectorError::Unreached { .. } | ConnectorError::RateLimited { .. } => {
            say!(
                language,
                "The system could not be asked: check its address in huiliu.toml and the network, then run this again; the secrets are sealed already.",
                "暂时无法访问该系统：请检查 huiliu.toml 中的地址和网络后重试；密钥已封存。"
            )
        }
        _ => say!(
            language,
            "The system does not answer as expected: check the settings of [connections.{name}] in huiliu.toml.",
            "系统的应答不符合预期：请检查 huiliu.toml 中 [connections.{name}] 的设置。"
        ),
    };
    format!("{name}: {}\n{todo}", language.told(&error.to_string()))
}
