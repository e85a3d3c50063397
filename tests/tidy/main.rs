//! Rooms one would live in, kept so: sizes, arrows between the crates, words, and documents that tell the truth.

mod arrows;
mod documents;
mod language;
mod points;
mod sizes;
mod tree;
mod words;
