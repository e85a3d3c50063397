//! `huiliu webform`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::manifest::Verify;
use huiliu_webhooks::form::{Desk, Spoken};

use crate::language::Language;
use crate::{deployment, say};

/// Prints the HTML of a web form, to paste into a page.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu webform contact --url https://hub.example.com\n  \
                        huiliu webform contact --url https://hub.example.com --frame")]
pub struct Args {
    /// The connection of the form.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where visitors reach this hub.
    #[arg(long, value_name = "URL")]
    url: String,
    /// Print a frame that needs no script in your page, instead of a form of your own.
    #[arg(long)]
    frame: bool,
}

/// Prints it.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let connection = super::connection(&engine, &args.name, language)?;
    let webhook = connection.connector.as_ref().and_then(|it| it.manifest().webhook.as_ref());
    let Some(Verify::Form(rule)) = webhook.map(|webhook| &webhook.verify) else {
        let name = &args.name;
        return Err(say!(
            language,
            "the connection `{name}` is no web form; add one with connector = \"webform\"",
            "连接 `{name}` 不是网页表单；请添加 connector = \"webform\" 的连接"
        ));
    };
    let url =
        url::Url::parse(&args.url).ok().filter(|url| matches!(url.scheme(), "https" | "http")).ok_or_else(|| {
            say!(language, "--url is no address of the web; write https://…", "--url 不是网址，请以 https:// 开头")
        })?;
    let desk = Desk::new(rule, &connection.cx).map_err(|told| language.told(&told.to_string()))?;
    let spoken = match language {
        Language::En => Spoken::En,
        Language::Zh => Spoken::Zh,
    };
    let hook = format!("{}/hooks/{}", url.as_str().trim_end_matches('/'), args.name);
    print!("{}", if args.frame { desk.frame(&hook) } else { desk.snippet(spoken, &hook) });
    Ok(ExitCode::SUCCESS)
}
