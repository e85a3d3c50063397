//! `huiliu schema`.

use std::process::ExitCode;

use huiliu_mappings::lens::schema;

/// Prints the JSON Schema of mapping files, for editors.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  huiliu schema mapping > mapping.schema.json")]
pub struct Args {
    /// Which files the schema describes.
    #[arg(value_parser = ["mapping"])]
    what: String,
}

/// Prints the schema.
pub fn run(args: &Args) -> ExitCode {
    if args.what == "mapping" {
        println!("{:#}", schema::mapping());
    }
    ExitCode::SUCCESS
}
