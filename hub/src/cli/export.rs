//! `huiliu export`.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_mappings::diagnose::suggest;

use crate::export::{self, Format};
use crate::language::Language;
use crate::{deployment, say};

/// Writes golden records as JSON Lines, CSV or XLSX.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu export > customers.jsonl
  huiliu export --out customers.xlsx --lang zh      # Chinese headers
  huiliu export order --format csv > orders.csv

In CSV a cell that a spreadsheet would take for a formula gets a ' in front; `huiliu import` takes it away again.")]
pub struct Args {
    /// What is written: customer, order, interaction, deal, ticket, product, or an entity of the deployment's own.
    #[arg(default_value = "customer")]
    entity: String,
    /// The form; otherwise that of the ending of --out, and JSON Lines without one.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file; otherwise standard output. A workbook needs one.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes every living golden record of the entity.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let at = deployment::open(folder)?;
    let model = deployment::model(folder)?;
    let entity = &args.entity;
    if model.fields(entity).is_none() {
        let hint = language.told(&suggest(entity, model.entities().map(huiliu_mappings::value::EntityName::as_str)));
        return Err(say!(language, "there is no entity `{entity}`{hint}", "没有实体 `{entity}`{hint}"));
    }
    let ending = args.out.as_deref().and_then(Path::extension).and_then(|it| it.to_str()).unwrap_or_default();
    let format = args.format.or_else(|| Format::of_ending(ending));
    let format = match (format, &args.out) {
        (Some(format), _) => format,
        (None, None) => Format::Jsonl,
        (None, Some(path)) => {
            let path = path.display();
            return Err(say!(
                language,
                "{path}: the ending tells no format; use .jsonl, .csv or .xlsx, or say --format",
                "{path}：无法从扩展名判断格式；请使用 .jsonl、.csv 或 .xlsx，或加 --format"
            ));
        }
    };
    let told = export::Table { engine: &at.engine, model: &model, entity, language };
    let written = match (format, &args.out) {
        (Format::Xlsx, None) => {
            let (en, zh) = (
                "a workbook needs a file: huiliu export --out FILE.xlsx",
                "工作簿需要写入文件：huiliu export --out 文件.xlsx",
            );
            return Err(language.pick(en, zh).to_owned());
        }
        (Format::Xlsx, Some(path)) => told.workbook(path)?,
        (format, None) => told.write(format, &mut std::io::stdout().lock())?,
        (format, Some(path)) => {
            let place = path.display();
            let wrong = |error: std::io::Error| format!("{place}: cannot be written: {error}");
            let mut out = BufWriter::new(std::fs::File::create(path).map_err(wrong)?);
            let written = told.write(format, &mut out)?;
            out.flush().map_err(wrong)?;
            written
        }
    };
    eprintln!("{}", say!(language, "{written} {entity} record(s)", "{written} 条记录（{entity}）"));
    Ok(ExitCode::SUCCESS)
}
