//! The least that a program does which pulls customers: it asks for a page, reads 18 fields of each, and puts them into one
//! table, one row an e-mail address, one commit a page.

use std::path::Path;

use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::customers::by_hand::{self, Mapped, Record};
use crate::text;
use crate::usage::{Took, Usage, took};

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    customers: Vec<Record<'a>>,
    next: Option<&'a str>,
}

const TABLE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000;
    CREATE TABLE customer (id TEXT NOT NULL, email TEXT NOT NULL UNIQUE, given_name TEXT, family_name TEXT, phone TEXT,
        address TEXT, company TEXT, title TEXT, birth_date TEXT, gender TEXT, tags TEXT, owner TEXT, lifecycle TEXT,
        consent TEXT, remark TEXT, website TEXT, language TEXT, orders TEXT, spent TEXT);";

const INSERT: &str =
    "INSERT INTO customer VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
    ?17, ?18, ?19) ON CONFLICT (email) DO UPDATE SET id = excluded.id, given_name = excluded.given_name,
    family_name = excluded.family_name, phone = excluded.phone, address = excluded.address, company = excluded.company,
    title = excluded.title, birth_date = excluded.birth_date, gender = excluded.gender, tags = excluded.tags,
    owner = excluded.owner, lifecycle = excluded.lifecycle, consent = excluded.consent, remark = excluded.remark,
    website = excluded.website, language = excluded.language, orders = excluded.orders, spent = excluded.spent";

/// Pulls all; `keeps`: into a table in the folder, else what was fetched is dropped.
#[allow(clippy::disallowed_methods)] // The bench's own API, on this machine.
pub fn pull(url: &str, folder: &Path, keeps: bool) -> Result<Took, String> {
    let from = Usage::now();
    let mut database = Connection::open(folder.join("floor.db")).map_err(text)?;
    database.execute_batch(TABLE).map_err(text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let client = reqwest::Client::builder().no_proxy().build().map_err(text)?;
    let (mut after, mut rows) = (Some(String::new()), 0);
    while let Some(place) = after.take() {
        let page = format!("{url}/customers{}", if place.is_empty() { place } else { format!("?after={place}") });
        let body = runtime.block_on(async { client.get(page).send().await?.bytes().await }).map_err(text)?;
        if keeps {
            let page: Page<'_> = serde_json::from_slice(&body).map_err(text)?;
            rows += page.customers.len() as u64;
            store(&mut database, &page.customers).map_err(text)?;
            after = page.next.map(str::to_owned);
        } else {
            // The next page's number is all that is looked for.
            let end = String::from_utf8_lossy(&body[body.len().saturating_sub(40)..]).into_owned();
            rows += crate::server::PAGE;
            after = end.split("\"next\":\"").nth(1).and_then(|it| it.split('"').next()).map(str::to_owned);
        }
    }
    Ok(took(rows, from, String::new()))
}

fn store(database: &mut Connection, records: &[Record<'_>]) -> rusqlite::Result<()> {
    let tx = database.transaction()?;
    {
        let mut insert = tx.prepare_cached(INSERT)?;
        for record in records {
            let Mapped {
                address,
                birth_date,
                company,
                consent,
                orders,
                spent,
                email,
                family_name,
                gender,
                given_name,
                language,
                lifecycle,
                owner,
                phone,
                remark,
                tags,
                title,
                website,
            } = by_hand::map(record);
            let [address, tags] = [serde_json::to_string(&address), serde_json::to_string(&tags)];
            let (address, tags) = (address.unwrap_or_default(), tags.unwrap_or_default());
            #[rustfmt::skip]
            insert.execute(params![
                record.id, email, given_name, family_name, phone.number, address, company, title, birth_date, gender,
                tags, owner, lifecycle, consent, remark, website, language, orders, spent,
            ])?;
        }
    }
    tx.commit()
}
