//! Files in: CSV, XLSX and JSON Lines become records for the very same pipeline.
//!
//! [`read`] turns a file into rows, whatever its encoding, without holding it in memory; [`suggest`] proposes a mapping
//! file from the headers, in Chinese or English.

pub mod read;
pub mod suggest;
