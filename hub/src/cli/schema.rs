//! `huiliu schema`.

use std::process::ExitCode;

use huiliu_mappings::lens::schema;

/// Prints the JSON Schema of mapping files, for editors.
#[derive(clap::Args)]
pub struct Args {
    /// mapping
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
