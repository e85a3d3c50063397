//! `huiliu import`.

mod begin;
mod preview;
mod profile;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use huiliu_file::read::{self, Kind, Options};
use huiliu_file::workbook;
use huiliu_mappings::diagnose::suggest;
use huiliu_mappings::lens::Lens;
use indicatif::{ProgressBar, ProgressStyle};

use super::yes;
use crate::deployment::{self, Deployment};
use crate::import::{self, Imported, Source};
use crate::language::Language;
use crate::{in_force, say};

/// Imports a CSV, XLSX or JSON Lines file through the pipeline; on a terminal it shows first what would happen, and asks.
#[derive(clap::Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of the command line.
#[command(after_help = "Examples:
  huiliu import members.csv --suggest                          # a mapping proposed from the headers
  huiliu import members.csv --suggest --connection members     # writes it, and the table in huiliu.toml
  huiliu import members.csv --profile                          # gaps, bad formats, duplicates; needs no deployment
  huiliu import members.csv --connection members --dry-run     # what would happen; writes nothing
  huiliu import members.csv --connection members               # on a terminal it asks, in a script it imports
  huiliu import members.xlsx --sheet 2026 --connection members --yes

Rows that cannot be read or mapped go to FILE.rejects.csv beside the file, with the reason: mend them there and import
that file.")]
pub struct Args {
    /// The file; encoding (UTF-8, UTF-16, GB18030) and delimiter are found out.
    file: PathBuf,
    /// The file source of huiliu.toml that the rows belong to.
    #[arg(long, required_unless_present_any = ["suggest", "profile"])]
    connection: Option<String>,
    /// The table of the mapping file.
    #[arg(long, default_value = "rows")]
    stream: String,
    /// The sheet of a workbook; otherwise the first one.
    #[arg(long)]
    sheet: Option<String>,
    /// Print a proposed mapping file and stop; with --connection write it, and the table in huiliu.toml if there is none.
    #[arg(long)]
    suggest: bool,
    /// Show gaps, bad formats and duplicates and stop; without --connection as the proposed mapping sees them.
    #[arg(long)]
    profile: bool,
    /// Show what would be made, joined, changed, asked and refused, and stop; nothing is written.
    #[arg(long)]
    dry_run: bool,
    /// Import at once, also on a terminal.
    #[arg(long)]
    yes: bool,
    /// How many of each kind are shown.
    #[arg(long, default_value_t = 3)]
    samples: usize,
    /// Print the result as JSON; nothing is asked.
    #[arg(long)]
    json: bool,
}

/// Imports, or shows what there is to know before.
pub fn run(folder: &Path, args: &Args, language: Language) -> Result<ExitCode, String> {
    let options = Options { sheet: args.sheet.as_deref() };
    if args.suggest {
        return begin::suggest(folder, args, options, language);
    }
    other_sheets(args, language)?;
    if args.profile {
        return look(folder, args, options, language);
    }
    let at = deployment::open(folder)?;
    let source = source(&at, args, language)?;
    let asks = !args.yes && !args.json && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.dry_run || asks {
        let bar = Bar::new(language);
        let shown = import::preview(&at.engine, &source, &at.folder.join("data"), args.samples, &|rows, of| {
            bar.at(rows, of);
        })?;
        bar.0.finish_and_clear();
        if args.json {
            println!("{}", serde_json::to_string(&shown).map_err(|error| error.to_string())?);
        } else {
            print!("{}", profile::told(&shown.profile, language));
            print!("{}", preview::told(&shown, language));
        }
        if args.dry_run || !agreed(language)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    in_force::enter(&at)?;
    let bar = Bar::new(language);
    let done = import::import(&at.engine, &source, &|rows| bar.at(rows, None))?;
    bar.0.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&done).map_err(|error| error.to_string())?);
    } else {
        println!("{}", summary(&done, language));
    }
    Ok(ExitCode::SUCCESS)
}

fn agreed(language: Language) -> Result<bool, String> {
    let agreed = yes(language.pick("Import it? [y/N] ", "确认导入？[y/N] "))?;
    if !agreed {
        println!("{}", language.pick("Nothing was imported.", "没有导入任何内容。"));
    }
    Ok(agreed)
}

/// Rows so far, of how many if that is known.
struct Bar(ProgressBar);

impl Bar {
    fn new(language: Language) -> Self {
        let bar = ProgressBar::no_length();
        // The texts are constants: they are right, or every test of an import fails.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {human_pos} {wide_bar} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(language.pick("rows", "行"));
        Self(bar)
    }

    fn at(&self, rows: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.0.set_length(of);
        }
        self.0.set_position(rows);
    }
}

fn source<'a>(at: &'a Deployment, args: &'a Args, language: Language) -> Result<Source<'a>, String> {
    let connection = args.connection.as_deref().unwrap_or_default();
    let given = at.config.connections.get(connection);
    let given = given.ok_or_else(|| {
        let hint = language.told(&suggest(connection, at.config.connections.keys().map(String::as_str)));
        say!(
            language,
            "huiliu.toml has no connection `{connection}`{hint}; `huiliu import FILE --suggest --connection {connection}` adds it",
            "huiliu.toml 中没有连接 `{connection}`{hint}；运行 `huiliu import 文件 --suggest --connection {connection}` 添加"
        )
    })?;
    let key = given.key.as_deref();
    Ok(Source { path: &args.file, sheet: args.sheet.as_deref(), connection, stream: &args.stream, key })
}

/// Says which sheet of several is read.
fn other_sheets(args: &Args, language: Language) -> Result<(), String> {
    if args.sheet.is_some() || args.json || Kind::of(&args.file)? != Kind::Workbook {
        return Ok(());
    }
    let sheets = workbook::sheets(&args.file)?;
    if let [first, _, ..] = sheets.as_slice() {
        let (count, all) = (sheets.len(), sheets.join(", "));
        eprintln!(
            "{}",
            say!(
                language,
                "the workbook has {count} sheets ({all}); `{first}` is read, --sheet NAME reads another one",
                "工作簿有 {count} 个工作表（{all}）；读取的是 `{first}`，用 --sheet 名称 可读取其他工作表"
            )
        );
    }
    Ok(())
}

/// The profile alone: as the connection's mapping sees the file, or as the proposed one does.
fn look(folder: &Path, args: &Args, options: Options<'_>, language: Language) -> Result<ExitCode, String> {
    let bar = Bar::new(language);
    let progress = |rows: u64| bar.at(rows, None);
    let report = if args.connection.is_some() {
        let at = deployment::open(folder)?;
        import::profile_of(&at.engine, &source(&at, args, language)?, &progress)?
    } else {
        let headers = read::headers(&args.file, options)?;
        let (text, key) = (huiliu_file::suggest::mapping(&headers), huiliu_file::suggest::key_column(&headers));
        let model = huiliu_mappings::model::Model::shipped();
        let lenses = Lens::parse_file("suggested", &text, &model).map_err(|told| deployment::lines(&told))?;
        let lenses: Vec<&Lens> = lenses.iter().collect();
        import::profile(&args.file, options, &lenses, key.map(String::as_str), &progress)?
    };
    bar.0.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?);
    } else {
        print!("{}", profile::told(&report, language));
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(done: &Imported, language: Language) -> String {
    let Imported { rows, rejected, created, changes, reviews, .. } = done;
    let mut text = say!(
        language,
        "{rows} rows: {created} golden records made, {changes} changes, {reviews} for review, {rejected} rejected",
        "{rows} 行：新建主记录 {created}，更改 {changes}，待判断 {reviews}，拒绝 {rejected}"
    );
    if let Some(path) = &done.rejects {
        let path = path.display();
        text += &say!(
            language,
            "\nthe rejected rows are in {path}, each with its reason: mend them there and import that file",
            "\n被拒绝的行及原因见 {path}：修正后导入该文件即可"
        );
    }
    if let Some(told) = &done.rejects_error {
        let told = language.told(told);
        text += &say!(
            language,
            "\nthe rejected rows could not be written: {told}; `huiliu dead-letters` lists them with their reasons",
            "\n无法写出被拒绝的行：{told}；`huiliu dead-letters` 可列出这些行及原因"
        );
    }
    text
}
