//! `huiliu match learn`: a model of the records that the hub has stored.

use super::super::learning::How;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  huiliu match learn
  huiliu match learn --of people --precision 0.99 --json
  huiliu match learn --adopt
  huiliu match learn --undo

The records teach it, without labels: how telling each agreement is, how common each value, how many are one customer.
Nothing is written without --adopt or --out. `huiliu review learn` learns from what stewards decided.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) how: How,
}
