//! All connections at a glance: how each does, what waits, how much came and went in the last day.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use huiliu_core::node::MEANING;
use huiliu_core::store::console;
use huiliu_core::store::leases::{self, NodeRow};
use huiliu_core::store::logs::LogState;

use super::health::{Card, Reading, card};
use crate::chart::{self, Panel};
use crate::frame::{Section, Times, Visit};
use crate::language::Language;
use crate::site::{Content, Result, Site};

#[derive(Template)]
#[template(path = "connections.html")]
struct Page {
    t: Language,
    live: String,
    charts: Vec<Panel>,
}

#[derive(Template)]
#[template(path = "connections_live.html")]
struct Live {
    t: Language,
    cards: Vec<Card>,
    nodes: Vec<NodeShown>,
    logs: Vec<LogState>,
    inbox: i64,
    lag: Option<String>,
    changes: i64,
    reviews: i64,
    letters: i64,
    needs: usize,
}

/// A process of several.
struct NodeShown {
    name: String,
    told: String,
    more: String,
}

fn shown(t: Language, times: &Times, node: &NodeRow) -> NodeShown {
    let last = t.ago(times.span(node.silent_us));
    let word = |unit: &String| match unit.split_once(' ') {
        Some((_, connection)) => connection.to_owned(),
        None if unit == MEANING => t.unit_meaning().to_owned(),
        None => unit.clone(),
    };
    let holds: Vec<String> = node.holds.iter().map(word).collect();
    let told = match (node.is_alive, holds.is_empty()) {
        (false, _) => t.node_dead(&last),
        (true, true) => t.node_idle().to_owned(),
        (true, false) => t.node_does(holds.join(t.comma())),
    };
    NodeShown { name: node.name.clone(), told, more: t.node_more(&node.place, &node.roles, &node.version, last) }
}

/// The page.
pub async fn show(State(site): State<Arc<Site>>, Extension(visit): Extension<Arc<Visit>>) -> Response {
    site.page(&visit, Section::Connections, |site, visit| {
        let charts = chart::last_day(site, visit.t, None)?;
        let html = Page { t: visit.t, live: live(site, visit)?, charts }.render()?;
        Ok(Content { title: visit.t.connections().to_owned(), html })
    })
    .await
}

/// The part of the page that is rendered anew while it is watched.
pub fn live(site: &Site, visit: &Visit) -> Result<String> {
    let (reading, reviews, nodes) =
        site.engine.store.read(|tx| Ok((Reading::read(tx)?, console::reviews_waiting(tx)?, leases::nodes(tx)?)))?;
    let (t, times) = (visit.t, site.times(visit));
    let mut cards: Vec<Card> = reading
        .overview
        .connections
        .iter()
        .map(|(name, state, _)| card(t, &site.engine, &reading, &times, name, *state))
        .collect();
    let urgency = |class: &str| ["bad", "watch", "good"].iter().position(|it| *it == class);
    cards.sort_by(|a, b| (urgency(a.health.class), &a.name).cmp(&(urgency(b.health.class), &b.name)));
    let needs = cards.iter().filter(|card| card.health.class != "good").count();
    let overview = &reading.overview;
    let html = Live {
        t,
        logs: overview.logs.clone(),
        inbox: overview.inbox_waiting,
        lag: overview.inbox_oldest_us.map(|us| times.span(times.now_us - us)),
        changes: overview.changes_waiting,
        reviews,
        letters: reading.letters.values().sum(),
        needs,
        cards,
        nodes: nodes.iter().map(|node| shown(t, &times, node)).collect(),
    };
    Ok(html.render()?)
}
