//! Contracts of streams, what differs from them, and what waits because of it.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};
use super::links::NOT_TAKEN_IN;
use crate::drift::{Contract, Detail, Finding, Kind, Parked, Part, Policy, State};
use crate::link::LinkKey;

/// Names a contract: connection, lens, `read` or `told`.
pub type ContractName = (String, String, &'static str);

/// The contracts of these names that exist.
pub fn contracts(tx: &mut Tx<'_>, names: &BTreeSet<ContractName>) -> Result<BTreeMap<ContractName, Contract>> {
    let keys =
        Keys::texts(names.iter().map(|(connection, lens, source)| [connection.as_str(), lens.as_str(), *source]));
    let sql = "SELECT c.connection, c.lens, c.source, c.shape FROM {keys:ttt} AS k CROSS JOIN contract AS c
               WHERE c.connection = k.k0 AND c.lens = k.k1 AND c.source = k.k2";
    let rows = tx.query_keys(sql, &keys, &[], |row| {
        let contract: Contract = serde_json::from_str(&row.text(3)?)?;
        Ok((row.text(0)?, row.text(1)?, row.text(2)?, contract))
    })?;
    let named = |(connection, lens, source, contract): (String, String, String, Contract)| {
        names
            .iter()
            .find(|it| (&it.0, &it.1, it.2) == (&connection, &lens, source.as_str()))
            .map(|it| (it.clone(), contract))
    };
    Ok(rows.into_iter().filter_map(named).collect())
}

const CONTRACT: Insert = Insert {
    table: "contract",
    columns: &[("connection", Col::Text), ("lens", Col::Text), ("source", Col::Text), ("shape", Col::Text)],
    conflict: "ON CONFLICT (connection, lens, source) DO UPDATE SET shape = excluded.shape",
};

/// Writes contracts.
pub fn put_contracts(tx: &mut Tx<'_>, contracts: &[(ContractName, Contract)]) -> Result<()> {
    let shapes: Vec<String> =
        contracts.iter().map(|(_, contract)| serde_json::to_string(contract)).collect::<std::result::Result<_, _>>()?;
    let rows = contracts.iter().zip(&shapes);
    let cells: Vec<Param<'_>> = rows
        .flat_map(|(((connection, lens, source), _), shape)| {
            [Param::Text(connection), Param::Text(lens), Param::Text(source), Param::Text(shape)]
        })
        .collect();
    tx.insert_later(&CONTRACT, &cells)
}

const FINDINGS: &str =
    "SELECT d.id, d.connection, d.stream, d.lens, d.kind, d.place, d.detail, d.policy, d.digest, d.state, d.made_us,
     d.done_us FROM";

fn finding(row: &Row<'_>) -> Result<Finding> {
    let detail: Detail = serde_json::from_str(&row.text(6)?)?;
    Ok(Finding {
        number: row.int(0)?,
        connection: row.text(1)?,
        stream: row.text(2)?,
        lens: row.text(3)?,
        kind: Kind::parse(&row.text(4)?),
        place: row.text(5)?,
        detail,
        policy: Policy::parse(&row.text(7)?),
        digest: row.text(8)?,
        state: State::parse(&row.text(9)?),
        made_us: row.int(10)?,
        done_us: row.opt_int(11)?,
    })
}

/// What was found about these lenses (connection, lens) and still has a meaning: open, noted or accepted.
pub fn of_lenses(tx: &mut Tx<'_>, lenses: &BTreeSet<(String, String)>) -> Result<Vec<Finding>> {
    let keys = Keys::texts(lenses.iter().map(|(connection, lens)| [connection.as_str(), lens.as_str()]));
    let sql = format!(
        "{FINDINGS} {{keys:tt}} AS k CROSS JOIN drift AS d WHERE d.connection = k.k0 AND d.lens = k.k1
         AND d.state IN ('open', 'noted', 'accepted') ORDER BY d.id"
    );
    tx.query_keys(&sql, &keys, &[], finding)
}

/// The findings that wait for a person, oldest first.
pub fn open(tx: &mut Tx<'_>) -> Result<Vec<Finding>> {
    tx.query(&format!("{FINDINGS} drift AS d WHERE d.state = 'open' ORDER BY d.id"), &[], finding)
}

/// The last findings, whatever became of them, newest first.
pub fn recent(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Finding>> {
    tx.query(&format!("{FINDINGS} drift AS d ORDER BY d.id DESC LIMIT ?1"), &[Param::Int(count)], finding)
}

/// One finding.
pub fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Finding>> {
    tx.query_opt(&format!("{FINDINGS} drift AS d WHERE d.id = ?1"), &[Param::Int(number)], finding)
}

/// The findings that are over and whose rows still wait, and all that are open.
pub fn unfinished(tx: &mut Tx<'_>) -> Result<Vec<Finding>> {
    let sql = format!(
        "{FINDINGS} drift AS d WHERE d.state = 'open'
         OR (d.state IN ('back', 'accepted') AND EXISTS (SELECT 1 FROM parked AS p WHERE p.drift = d.id)) ORDER BY d.id"
    );
    tx.query(&sql, &[], finding)
}

const FINDING: Insert = Insert {
    table: "drift",
    columns: &[
        ("id", Col::Int),
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("lens", Col::Text),
        ("kind", Col::Text),
        ("place", Col::Text),
        ("detail", Col::Text),
        ("policy", Col::Text),
        ("digest", Col::Text),
        ("state", Col::Text),
        ("made_us", Col::Int),
        ("done_us", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET detail = excluded.detail, policy = excluded.policy,
               digest = excluded.digest, state = excluded.state, done_us = excluded.done_us",
};

/// Writes findings, new and changed.
pub fn put(tx: &mut Tx<'_>, findings: &[Finding]) -> Result<()> {
    let details: Vec<String> =
        findings.iter().map(|it| serde_json::to_string(&it.detail)).collect::<std::result::Result<_, _>>()?;
    let mut cells = Vec::with_capacity(findings.len() * FINDING.columns.len());
    for (one, detail) in findings.iter().zip(&details) {
        cells.extend_from_slice(&[
            Param::Int(one.number),
            Param::Text(&one.connection),
            Param::Text(&one.stream),
            Param::Text(&one.lens),
            Param::Text(one.kind.as_str()),
            Param::Text(&one.place),
            Param::Text(detail),
            Param::Text(one.policy.as_str()),
            Param::Text(&one.digest),
            Param::Text(one.state.as_str()),
            Param::Int(one.made_us),
            one.done_us.into(),
        ]);
    }
    tx.insert_later(&FINDING, &cells)
}

const PARKED: Insert = Insert {
    table: "parked",
    columns: &[
        ("drift", Col::Int),
        ("connection", Col::Text),
        ("lens", Col::Text),
        ("external_id", Col::Text),
        ("position", Col::Int),
        ("part", Col::Text),
        ("recency", Col::Int),
    ],
    conflict: "ON CONFLICT (drift, connection, lens, external_id) DO UPDATE SET position = excluded.position,
               part = excluded.part, recency = excluded.recency
               WHERE parked.recency IS NULL OR excluded.recency IS NULL OR excluded.recency >= parked.recency",
};

/// Sets aside; of one record and finding the newest version stays, by what the system says of recency, else by arrival.
/// No record and finding twice in one call.
pub fn park(tx: &mut Tx<'_>, parked: &[Parked]) -> Result<()> {
    let mut cells = Vec::with_capacity(parked.len() * PARKED.columns.len());
    for one in parked {
        cells.extend_from_slice(&[
            Param::Int(one.drift),
            Param::Text(one.key.connection.as_str()),
            Param::Text(&one.key.lens),
            Param::Text(one.key.id.as_str()),
            Param::Int(one.position),
            Param::Text(one.part.as_str()),
            one.recency.into(),
        ]);
    }
    tx.insert_later(&PARKED, &cells)
}

/// What waits for a finding behind a record's name, in the order of names, at most `count`.
pub fn waiting(tx: &mut Tx<'_>, drift: i64, after: &str, count: i64) -> Result<Vec<Parked>> {
    let sql = "SELECT drift, connection, lens, external_id, position, part, recency FROM parked
               WHERE drift = ?1 AND external_id > ?2 ORDER BY external_id LIMIT ?3";
    tx.query(sql, &[Param::Int(drift), Param::Text(after), Param::Int(count)], |row| {
        Ok(Parked {
            drift: row.int(0)?,
            key: LinkKey { connection: row.text(1)?.into(), lens: row.text(2)?, id: row.text(3)?.into() },
            position: row.int(4)?,
            part: Part::parse(&row.text(5)?),
            recency: row.opt_int(6)?,
        })
    })
}

/// How much waits for each finding.
pub fn waiting_counts(tx: &mut Tx<'_>) -> Result<BTreeMap<i64, i64>> {
    let sql = "SELECT drift, COUNT(*) FROM parked GROUP BY drift";
    Ok(tx.query(sql, &[], |row| Ok((row.int(0)?, row.int(1)?)))?.into_iter().collect())
}

/// Open findings, and how much waits for them, by connection.
pub fn counts(tx: &mut Tx<'_>) -> Result<Vec<(String, i64, i64)>> {
    let sql =
        "SELECT d.connection, COUNT(*), CAST(SUM((SELECT COUNT(*) FROM parked AS p WHERE p.drift = d.id)) AS BIGINT)
               FROM drift AS d WHERE d.state = 'open' GROUP BY d.connection ORDER BY d.connection";
    tx.query(sql, &[], |row| Ok((row.text(0)?, row.int(1)?, row.int(2)?)))
}

/// These records of one finding wait no more.
pub fn unpark(tx: &mut Tx<'_>, drift: i64, keys: &[LinkKey]) -> Result<u64> {
    tx.execute_keys(
        "DELETE FROM parked WHERE drift = ?2 AND (connection, lens, external_id) IN (SELECT k0, k1, k2 FROM {keys:ttt} AS k)",
        &names(keys.iter()),
        &[Param::Int(drift)],
    )
}

/// What was set aside of records that are gone says nothing any more.
pub fn forget<'a>(tx: &mut Tx<'_>, keys: impl IntoIterator<Item = &'a LinkKey>) -> Result<u64> {
    tx.execute_keys(
        "DELETE FROM parked WHERE part <> 'delivery'
         AND (connection, lens, external_id) IN (SELECT k0, k1, k2 FROM {keys:ttt} AS k)",
        &names(keys),
        &[],
    )
}

fn names<'a>(keys: impl IntoIterator<Item = &'a LinkKey>) -> Keys {
    Keys::texts(keys.into_iter().map(|key| [key.connection.as_str(), key.lens.as_str(), key.id.as_str()]))
}

/// Of these links: the last position at which the record was taken in with its content.
pub fn last_heard(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, i64>> {
    let outcomes = NOT_TAKEN_IN.map(|outcome| format!("'{outcome}'")).join(", ");
    let sql = format!(
        "SELECT j.link, MAX(j.position) FROM {{keys:i}} AS k CROSS JOIN journal AS j WHERE j.link = k.k0
         AND j.outcome NOT IN ({outcomes}) GROUP BY j.link"
    );
    Ok(tx.query_keys(&sql, &Keys::ints(links), &[], |row| Ok((row.int(0)?, row.int(1)?)))?.into_iter().collect())
}

/// Waiting dead letters of these deliveries: number and delivery.
pub fn letters_of(tx: &mut Tx<'_>, deliveries: impl IntoIterator<Item = i64>) -> Result<Vec<i64>> {
    let sql = "SELECT l.id FROM dead_letter AS l WHERE l.state = 'waiting' AND l.stage = 'push'
               AND l.item IN (SELECT k0 FROM {keys:i} AS k)";
    tx.query_keys(sql, &Keys::ints(deliveries), &[], |row| row.int(0))
}

/// Gives up dead deliveries that a new plan replaces.
pub fn drop_dead(tx: &mut Tx<'_>, deliveries: impl IntoIterator<Item = i64>) -> Result<u64> {
    tx.execute_keys(
        "UPDATE delivery SET state = 'dropped' WHERE state = 'dead' AND id IN (SELECT k0 FROM {keys:i} AS k)",
        &Keys::ints(deliveries),
        &[],
    )
}
