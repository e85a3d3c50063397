//! How old an arrival is: whether it is news, what was replaced since, or what must be looked up.

use std::cmp::Ordering;

use super::super::expand::{Arrival, Source};
use crate::connector::Version;
use crate::engine::Engine;
use crate::link::{Link, LinkState};
use crate::manifest::Ability;

/// When the system said it: the source's own instant by our clock, never later than the arrival. Whoever changes a record
/// after we wrote to it has seen what we knew, and speaks after all whose words that were, whatever clock stamps it.
pub(crate) fn said_at_us(state: &LinkState, version: Option<&Version>, received_us: i64, clock_offset_us: i64) -> i64 {
    let told = version.filter(|version| version.is_instant).and_then(|version| version.order);
    let told_us = told.map_or(received_us, |told| told.saturating_sub(clock_offset_us).min(received_us));
    if received_us < state.wrote_us { told_us } else { told_us.max(state.wrote_us.saturating_add(1)) }
}

fn order(version: Option<&Version>) -> Option<(bool, i64)> {
    version.and_then(|version| Some((version.is_instant, version.order?)))
}

/// The recency of one version against another, where both tell one and it is of the same kind.
pub(super) fn compare(one: Option<&Version>, other: Option<&Version>) -> Option<Ordering> {
    let ((kind, one), (other_kind, other)) = (order(one)?, order(other)?);
    (kind == other_kind).then(|| one.cmp(&other))
}

/// The recency of an arrival against that of the link.
fn recency(link: &Link, arrival: &Arrival) -> Option<Ordering> {
    compare(arrival.version.as_ref(), link.version.as_ref())
}

pub(super) fn is_stale(link: &Link, arrival: &Arrival) -> bool {
    recency(link, arrival) == Some(Ordering::Less)
}

/// Whether a record is not as it is known, and nobody can tell whether this is news or what was replaced since: it was
/// read before our last write was answered, before it was found gone or before what is known was heard, or it was told,
/// late perhaps. A newer version proves the record to be fresh; an equal one does not: two edits may bear one stamp, and
/// a list that lags behind shows the first of them.
pub(super) fn is_overtaken(engine: &Engine, link: &Link, arrival: &Arrival) -> bool {
    let news = match &arrival.mapped {
        Some(shown) => !link.open || link.state.differs(shown),
        None => link.open && arrival.source != Source::Told,
    };
    if !news || recency(link, arrival) == Some(Ordering::Greater) {
        return false;
    }
    let is_late = match arrival.source {
        Source::Told => true,
        // Whether a record that is gone is back is asked elsewhere.
        Source::Read => link.open && recency(link, arrival) == Some(Ordering::Equal),
        Source::Asked => false,
    };
    let is_late = is_late && arrival.mapped.is_some() && can_fetch(engine, arrival);
    let said_us = if order(link.version.as_ref()).is_none() { link.state.said_us() } else { 0 };
    is_late || arrival.received_us < link.state.fresh_us.max(said_us)
}

/// Notes that a record was heard now: what was asked for before may show it as it was. Where no record can be read alone,
/// the next pull brings it, and must be believed.
pub(super) fn heard_now(engine: &Engine, link: &mut Link, arrival: &Arrival) {
    if can_fetch(engine, arrival) {
        link.state.fresh_us = link.state.fresh_us.max(engine.clock.now_us());
    }
}

/// Whether an arrival must be looked up, if the system can be asked: a deletion that was told without a version to
/// compare may be about the past of a record that is there again, and a list that lags behind, or a call that comes late,
/// shows a record that is gone as it was.
pub(super) fn is_hearsay(link: &Link, arrival: &Arrival) -> bool {
    match arrival.mapped {
        None => arrival.source == Source::Told && link.open && recency(link, arrival).is_none(),
        Some(_) => arrival.source != Source::Asked && !link.open && recency(link, arrival) != Some(Ordering::Greater),
    }
}

/// Where one record cannot be read alone, the next pull brings it.
pub(super) fn can_fetch(engine: &Engine, arrival: &Arrival) -> bool {
    let connection = engine.connections.get(arrival.key.connection.as_str());
    connection.is_some_and(|it| it.can(arrival.lens.stream(), Ability::Fetch))
}
