//! Conflicts: where to look for them. What they are about is computed from the links ([`crate::conflict`]).

use huiliu_mappings::value::FieldName;

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};

/// Two links that said different things about a field, and which word of each is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// The link with the lower number, and when it said its word, microseconds since 1970 UTC.
    pub a: (i64, i64),
    /// The other one.
    pub b: (i64, i64),
    /// The field.
    pub field: FieldName,
}

/// A conflict as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: i64,
    /// Between whom, about what.
    pub noticed: Noticed,
    /// When it was noticed, microseconds since 1970 UTC.
    pub made_us: i64,
    /// What a steward decided, who, and when.
    pub decided: Option<(String, String, i64)>,
}

const CONFLICT: Insert = Insert {
    table: "conflict",
    columns: &[
        ("id", Col::Int),
        ("link_a", Col::Int),
        ("link_b", Col::Int),
        ("field", Col::Text),
        ("said_a_us", Col::Int),
        ("said_b_us", Col::Int),
        ("made_us", Col::Int),
    ],
    conflict: "ON CONFLICT (link_a, link_b, field) DO UPDATE SET said_a_us = excluded.said_a_us,
               said_b_us = excluded.said_b_us, made_us = excluded.made_us, verdict = NULL, decided_by = NULL,
               decided_us = NULL",
};

/// Keeps conflicts; one between the same links about the same field takes the place of the former.
pub fn put(tx: &mut Tx<'_>, noticed: &[Noticed], now_us: i64) -> Result<()> {
    if noticed.is_empty() {
        return Ok(());
    }
    let first = tx.max("id", "conflict")? + 1;
    let mut cells = Vec::with_capacity(noticed.len() * CONFLICT.columns.len());
    for (number, one) in (first..).zip(noticed) {
        cells.extend_from_slice(&[
            Param::Int(number),
            Param::Int(one.a.0),
            Param::Int(one.b.0),
            Param::Text(one.field.as_str()),
            Param::Int(one.a.1),
            Param::Int(one.b.1),
            Param::Int(now_us),
        ]);
    }
    tx.insert_later(&CONFLICT, &cells)
}

/// Forgets conflicts about fields that these links have said something new about: they are over.
pub fn forget(tx: &mut Tx<'_>, anew: &[(i64, FieldName)]) -> Result<()> {
    let keys = Keys::fields(anew.iter().map(|(link, field)| (*link, field.as_str())));
    for side in ["link_a", "link_b"] {
        let sql = format!(
            "DELETE FROM conflict WHERE id IN (SELECT c.id FROM {{keys:it}} AS k CROSS JOIN conflict AS c
             WHERE c.{side} = k.k0 AND c.field = k.k1)"
        );
        tx.execute_keys_later(&sql, &keys, &[])?;
    }
    Ok(())
}

const SELECT: &str =
    "SELECT c.id, c.link_a, c.link_b, c.field, c.said_a_us, c.said_b_us, c.made_us, c.verdict, c.decided_by,
                      c.decided_us";

/// Conflicts that nobody decided, with a number below `before`, the latest first.
pub fn open(tx: &mut Tx<'_>, before: i64, count: i64) -> Result<Vec<Kept>> {
    let sql = format!("{SELECT} FROM conflict AS c WHERE c.id < ?1 AND c.verdict IS NULL ORDER BY c.id DESC LIMIT ?2");
    tx.query(&sql, &[Param::Int(before), Param::Int(count)], kept)
}

/// The same, among those in which one of these links spoke.
pub fn open_of(tx: &mut Tx<'_>, links: &[i64], before: i64) -> Result<Vec<Kept>> {
    let keys = Keys::ints(links.iter().copied());
    let mut found = Vec::new();
    for side in ["link_a", "link_b"] {
        let sql = format!(
            "{SELECT} FROM {{keys:i}} AS k CROSS JOIN conflict AS c
             WHERE c.{side} = k.k0 AND c.id < ?2 AND c.verdict IS NULL"
        );
        found.extend(tx.query_keys(&sql, &keys, &[Param::Int(before)], kept)?);
    }
    found.sort_by_key(|one: &Kept| std::cmp::Reverse(one.number));
    found.dedup_by_key(|one| one.number);
    Ok(found)
}

/// One conflict.
pub fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Kept>> {
    tx.query_opt(&format!("{SELECT} FROM conflict AS c WHERE c.id = ?1"), &[Param::Int(number)], kept)
}

/// Notes what a steward decided.
pub fn decide(tx: &mut Tx<'_>, number: i64, verdict: &str, by: &str, now_us: i64) -> Result<()> {
    let sql = "UPDATE conflict SET verdict = ?2, decided_by = ?3, decided_us = ?4 WHERE id = ?1";
    tx.execute_later(sql, &[Param::Int(number), Param::Text(verdict), Param::Text(by), Param::Int(now_us)])
}

fn kept(row: &Row<'_>) -> Result<Kept> {
    let decided = match (row.opt_text(7)?, row.opt_text(8)?, row.opt_int(9)?) {
        (Some(verdict), Some(by), Some(at_us)) => Some((verdict, by, at_us)),
        _ => None,
    };
    Ok(Kept {
        number: row.int(0)?,
        noticed: Noticed {
            a: (row.int(1)?, row.int(4)?),
            b: (row.int(2)?, row.int(5)?),
            field: row.text(3)?.as_str().into(),
        },
        made_us: row.int(6)?,
        decided,
    })
}
