//! `huiliu show`.

use std::path::Path;
use std::process::ExitCode;

use huiliu_core::explain;

use crate::language::Language;
use crate::{deployment, say, show};

/// Shows a golden record: every value with its origin and what lost against it, records, history.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  huiliu show 17\n  huiliu show li@example.com\n  huiliu show shop/customers/1001 --json"
)]
pub struct Args {
    /// A golden record's number, CONNECTION/STREAM/ID of a record, an e-mail address, a phone number or a tax id.
    #[arg(value_name = "CUSTOMER")]
    known: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the golden record, or each that the address or number belongs to.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let engine = deployment::open(folder)?.engine;
    let found = explain::find(&engine, &args.known).map_err(|error| error.to_string())?;
    if found.is_empty() {
        let known = &args.known;
        return Err(say!(
            language,
            "nobody is known by `{known}`; give a number, CONNECTION/STREAM/ID, an e-mail address or a phone number",
            "没有找到 `{known}` 对应的客户；请输入编号、连接/数据流/记录号、邮箱或手机号"
        ));
    }
    for id in found {
        let Some(told) = explain::customer(&engine, id).map_err(|error| error.to_string())? else { continue };
        if args.json {
            println!("{}", serde_json::to_string(&told).map_err(|error| error.to_string())?);
        } else {
            print!("{}", show::customer(&told, language));
        }
    }
    Ok(ExitCode::SUCCESS)
}
