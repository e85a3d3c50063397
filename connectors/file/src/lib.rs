//! Files in and out: CSV, XLSX and JSON Lines become records for the very same pipeline, golden records become tables.
//!
//! [`read`] turns a file into rows, whatever its encoding, without holding it in memory: [`decode`] makes text of bytes,
//! [`delimited`] and [`workbook`] make rows of text. [`suggest`] proposes a mapping file from the headers, in Chinese or
//! English, [`profile`] says how good the data is, [`rejects`] writes the rows that were refused into a file of their
//! own, and [`write`] writes tables that a spreadsheet can open without danger.

pub mod decode;
pub mod delimited;
pub mod profile;
pub mod read;
pub mod rejects;
pub mod suggest;
pub mod workbook;
pub mod write;
