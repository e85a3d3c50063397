//! Chance that repeats itself, as the simulated days have it.

#[path = "../../simulation/src/dice.rs"]
mod throws;

pub use throws::Dice;
