//! The completeness meter of one connection.

use huiliu_core::store::meter::{Meter, share};

use crate::language::Language;
use crate::words;

/// One stream.
pub struct MeterRow {
    pub stream: String,
    pub compared: i64,
    pub share: String,
    pub notes: String,
    pub fields: Vec<FieldRow>,
}

/// One of its fields.
pub struct FieldRow {
    pub name: String,
    pub compared: i64,
    pub share: String,
    pub differing: i64,
}

/// The rows of a connection.
pub fn rows(t: Language, meters: Vec<Meter>, connection: &str) -> Vec<MeterRow> {
    meters.into_iter().filter(|it| it.connection == connection).map(|it| row(t, it)).collect()
}

fn row(t: Language, meter: Meter) -> MeterRow {
    let part = |compared, differing| share(compared, differing).unwrap_or_else(|| t.nothing().to_owned());
    let mut notes = Vec::new();
    if meter.repairing > 0 {
        notes.push(t.meter_repairing(meter.repairing));
    }
    if meter.stuck > 0 {
        notes.push(t.meter_stuck(meter.stuck));
    }
    if meter.suspected > 0 {
        notes.push(t.meter_suspected(meter.suspected));
    }
    if meter.last_us.is_none() {
        notes.push(t.meter_first().to_owned());
    }
    if meter.error.is_some() {
        notes.push(t.meter_waits().to_owned());
    }
    let fields = meter.fields.iter().map(|(field, it)| FieldRow {
        name: words::field(t, field.as_str()),
        compared: it.compared,
        share: part(it.compared, it.differing),
        differing: it.differing,
    });
    MeterRow {
        share: part(meter.compared, meter.differing()),
        compared: meter.compared,
        notes: notes.join(t.comma()),
        fields: fields.collect(),
        stream: meter.stream,
    }
}
