//! `huiliu review learn`: a model that heeds what stewards decided.

use super::super::learning::How;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu review learn
  huiliu review learn --precision 0.99
  huiliu review learn --precision 0.99 --adopt
  huiliu review learn --undo

From 50 decisions on the weights of the model in force are learned anew, beside the stored records; fewer move only the
bounds. A bound is lowered as far as decisions prove the precision; where they do not, the model's own chances set it.
Nothing is written without --adopt or --out.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) how: How,
}
