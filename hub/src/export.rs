//! Golden records out, as JSON Lines.

use std::io::Write;

use huiliu_core::engine::Engine;
use huiliu_core::store::goldens;

/// Records read at once.
const PAGE: i64 = 1000;

/// Writes every living golden record of an entity, one JSON object a line; returns how many.
pub fn export(engine: &Engine, entity: &str, out: &mut dyn Write) -> Result<u64, String> {
    let mut after = 0;
    let mut count = 0;
    loop {
        let page =
            engine.store.read(|tx| goldens::after(tx, entity, after, PAGE)).map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(count) };
        after = last.id;
        for golden in &page {
            let line = serde_json::json!({"id": golden.id, "entity": golden.entity, "fields": golden.fields});
            writeln!(out, "{line}").map_err(|error| format!("cannot write: {error}"))?;
            count += 1;
        }
    }
}
