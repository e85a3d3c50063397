//! Corp tags (企业标签): a stream of their own, and the names behind the ids that customers carry.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use huiliu_core::connector::{ConnectionName, ConnectorError, Page, Received, Record, Result};
use serde_json::{Value, json};

use crate::api::Api;
use crate::scan::Scan;

/// Names are looked up again after this long: staff rename tags rarely, and a scan always asks anew.
const KEEP_US: i64 = 300 * 1_000_000;

/// The corp tags of each connection, kept in memory for a short while.
#[derive(Default)]
pub(crate) struct TagCache(Mutex<HashMap<ConnectionName, (i64, Arc<Tags>)>>);

/// The corp tags as last read.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// Tag id to name.
    names: BTreeMap<String, String>,
}

impl Tags {
    /// The sorted names behind these ids. An id that is no corp tag (a personal one) is left out: names of those
    /// cannot be read in every call, nor written.
    pub(crate) fn names<'a>(&self, ids: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        ids.filter_map(|id| self.names.get(id).cloned()).collect()
    }

    fn ids(&self, name: &str) -> Vec<&str> {
        self.names.iter().filter(|(_, known)| *known == name).map(|(id, _)| id.as_str()).collect()
    }

    /// The one id of a name, if there is exactly one.
    pub(crate) fn id_to_add(&self, name: &str) -> Result<String> {
        match self.ids(name).as_slice() {
            [id] => Ok((*id).to_owned()),
            [] => Err(rejected(
                "one of the tags is not a corp tag; create it in the admin console under 客户联系 → 客户标签",
            )),
            _ => Err(rejected("one of the tags exists in several tag groups; give each a name of its own")),
        }
    }

    /// All ids of a name: whichever of them the customer carries is taken away.
    pub(crate) fn ids_to_remove(&self, name: &str) -> Vec<String> {
        self.ids(name).into_iter().map(str::to_owned).collect()
    }

    /// Whether every name is a corp tag.
    pub(crate) fn knows_all<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> bool {
        names.all(|name| !self.ids(name).is_empty())
    }
}

fn rejected(reason: &str) -> ConnectorError {
    ConnectorError::Rejected { at: "/follow_info/tag_names".to_owned(), reason: reason.to_owned() }
}

impl TagCache {
    /// The tags, at most five minutes old.
    pub(crate) async fn get(&self, api: &Api<'_>) -> Result<Arc<Tags>> {
        let now_us = api.cx.clock.now_us();
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&api.cx.connection).cloned();
        match kept.filter(|(until_us, _)| now_us < *until_us) {
            Some((_, tags)) => Ok(tags),
            None => self.refresh(api).await,
        }
    }

    /// The tags as they are now.
    pub(crate) async fn refresh(&self, api: &Api<'_>) -> Result<Arc<Tags>> {
        let reply = api.post("externalcontact/get_corp_tag_list", &json!({})).await?;
        let names = rows(&reply).filter_map(|(_, tag)| Some((text(tag, "id")?, text(tag, "name")?)));
        let tags = Arc::new(Tags { names: names.collect() });
        let kept = (api.cx.clock.now_us().saturating_add(KEEP_US), Arc::clone(&tags));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(api.cx.connection.clone(), kept);
        Ok(tags)
    }
}

/// Every group with each of its tags.
fn rows(reply: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let groups = reply["tag_group"].as_array().into_iter().flatten();
    groups.flat_map(|group| group["tag"].as_array().into_iter().flatten().map(move |tag| (group, tag)))
}

fn text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

/// All corp tags: one page, at most 3,000.
pub(crate) async fn pull(api: &Api<'_>) -> Result<Page> {
    let reply = api.post("externalcontact/get_corp_tag_list", &json!({})).await?;
    let items = records(api, &reply)?.into_iter().map(Received::Record).collect();
    Ok(Page { items, next: Some(Scan::default().write()), more: false, complete_scan: true })
}

/// One tag.
pub(crate) async fn fetch(api: &Api<'_>, id: &str) -> Result<Option<Record>> {
    let reply = api.post("externalcontact/get_corp_tag_list", &json!({"tag_id": [id]})).await;
    let reply = match reply {
        Err(failure) if failure.is(NO_SUCH_TAG) => return Ok(None),
        other => other?,
    };
    Ok(records(api, &reply)?.into_iter().find(|record| record.id.as_str() == id))
}

/// The tag id is not given or does not exist (document 90313).
const NO_SUCH_TAG: i64 = 40068;

fn records(api: &Api<'_>, reply: &Value) -> Result<Vec<Record>> {
    let corp_id = api.cx.setting("corp_id")?;
    let made = rows(reply).map(|(group, tag)| {
        let id = text(tag, "id").ok_or_else(|| ConnectorError::broken("WeCom lists a tag without an id"))?;
        let mut body = tag.clone();
        body["corp_id"] = corp_id.into();
        body["group_id"] = group["group_id"].clone();
        body["group_name"] = group["group_name"].clone();
        Ok(Record { stream: "tags".into(), id: id.into(), version: None, body })
    });
    made.collect()
}
