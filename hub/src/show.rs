//! Who a customer is, and why a record did or did not sync.

use std::fmt::Write as _;

use huiliu_core::engine::Engine;
use huiliu_core::link::{Link, LinkKey};
use huiliu_core::store::db::Result;
use huiliu_core::store::{deliveries, goldens, inbox, links};

/// Lines of history that are shown.
const HISTORY: i64 = 50;

/// A golden record with every value, its links and its changes.
pub fn customer(engine: &Engine, id: i64) -> Result<Option<String>> {
    engine.store.read(|tx| {
        let Some(golden) = goldens::by_ids(tx, [id])?.into_iter().next() else { return Ok(None) };
        let mut text = format!("{} {id}\n", golden.entity);
        if let Some(survivor) = golden.merged_into {
            let _ = writeln!(text, "  merged into {survivor}");
        }
        let members = links::by_goldens(tx, [id])?;
        for (field, value) in &golden.fields {
            let said_by: Vec<String> = members
                .iter()
                .filter(|link| link.state.said.get(field).is_some_and(|said| said.value == *value))
                .map(|link| link.key.to_string())
                .collect();
            let _ = writeln!(text, "  {field} = {value}   said by {}", said_by.join(", "));
        }
        for link in &members {
            let _ = writeln!(text, "  link {}{}", link.key, if link.open { "" } else { " (gone)" });
        }
        for change in goldens::changes_of(tx, id, HISTORY)? {
            let fields: Vec<&str> = change.diff.keys().map(huiliu_mappings::value::FieldName::as_str).collect();
            let _ = writeln!(
                text,
                "  change {} {} by {}: {}",
                change.position,
                change.kind,
                change.cause,
                fields.join(", ")
            );
        }
        Ok(Some(text))
    })
}

/// The story of one record, from the inbox to every target.
pub fn why(engine: &Engine, key: &LinkKey) -> Result<String> {
    engine.store.read(|tx| {
        let Some(link) = links::by_keys(tx, [key])?.into_iter().next() else {
            let waiting = inbox::backlog(tx, "process")?;
            return Ok(format!(
                "{key}: never seen. {waiting} item(s) wait to be processed. If the record exists in the system, see \
                 `huiliu status` for the last pull of its stream.\n"
            ));
        };
        let mut text = format!("{key}\n");
        for line in links::history(tx, link.number, HISTORY)? {
            let at = inbox::at(tx, line.position)?.map(|item| instant(item.received_us)).unwrap_or_default();
            let _ = writeln!(text, "  {at} inbox {}: {}", line.position, explain(&line.outcome));
            if let Some(detail) = line.detail {
                let _ = writeln!(text, "      could not be mapped: {detail}");
            }
        }
        let _ = writeln!(text, "  belongs to {} {}", link.entity, link.golden);
        targets(engine, tx, &link, &mut text)?;
        Ok(text)
    })
}

fn targets(engine: &Engine, tx: &mut huiliu_core::store::Tx<'_>, link: &Link, text: &mut String) -> Result<()> {
    let sent = deliveries::of_golden(tx, link.golden, HISTORY)?;
    let states = huiliu_core::store::streams::states(tx)?;
    for connection in engine.connections.values().filter(|it| it.name != link.key.connection) {
        let state = states.get(connection.name.as_str()).map_or("unknown", |(state, _)| state.as_str());
        let mine: Vec<_> = sent.iter().filter(|one| one.connection == connection.name.as_str()).collect();
        if mine.is_empty() {
            let _ = writeln!(
                text,
                "  → {} ({state}): nothing was sent{}",
                connection.name,
                reason(state, connection.writes)
            );
        }
        for one in mine {
            let fields: Vec<&str> = one.fields.keys().map(huiliu_mappings::value::FieldName::as_str).collect();
            let _ = writeln!(
                text,
                "  → {} ({state}): delivery {} {} {} [{}]{}",
                connection.name,
                one.delivery.number,
                one.delivery.operation.as_str(),
                one.state,
                fields.join(", "),
                one.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default()
            );
        }
    }
    Ok(())
}

fn reason(state: &str, writes: bool) -> &'static str {
    match (state, writes) {
        (_, false) => "; the configuration says writes = false",
        ("observing", _) => "; it observes, run `huiliu go-live` to write to it",
        ("paused", _) => "; it is paused, see `huiliu status`",
        _ => "; it holds these values already, or has no record and may not create one",
    }
}

fn explain(outcome: &str) -> &str {
    match outcome {
        "created" => "new, nobody known: made a golden record",
        "linked" => "new, recognised: linked to a golden record",
        "changed" => "said something new",
        "echo" => "held already: a repeat or our own write coming back",
        "stale" => "older than what is known: ignored",
        "overtaken" => "read before our last write was answered: read again",
        "deleted" => "the system says it is gone: the link closed",
        "review" => "new, perhaps somebody known: waits in the review queue",
        "unattached" => "kept; it belongs to nobody yet",
        other => other,
    }
}

fn instant(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map(|at| at.to_string()).unwrap_or_default()
}
