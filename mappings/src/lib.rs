//! What does a record mean, and whose is it? Pure functions only: no clock, no network, no database, no credentials.
//!
//! A mapping file compiles to a [`lens`], which turns a vendor's record into canonical [`value::Fields`] and back.
//! [`normalize`] gives every value one canonical form. [`matching`] decides which golden record a mapped record
//! belongs to, and [`merge`] computes a golden record from everything that its links said. [`automation`] says what is to
//! happen when one changes. [`model`] is the data that names the entities and fields; [`called`] folds names for those who search by them; [`chinese`] knows what only Chinese values have; [`diagnose`] makes every
//! mistake in a file a sentence with a place.

pub mod automation;
pub mod called;
pub mod chinese;
pub mod diagnose;
pub mod lens;
pub mod matching;
pub mod merge;
pub mod model;
pub mod normalize;
pub mod value;
