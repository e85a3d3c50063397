//! The calls that a manifest declares, and which of them a request is.

use std::collections::BTreeMap;

use huiliu_core::connector::Operation;
use huiliu_core::manifest::{Batch, Call, Lookup, Manifest, Method, Paginate, Pull, Stream};
use serde_json::Value;

use super::answer::Asked;
use super::pattern::{self, Bound, has_holes, settled, settled_json};

/// What a call is for.
#[derive(Clone)]
pub enum Act<'a> {
    /// Proving the credentials.
    Check,
    /// Listing.
    Pull(Listing<'a>),
    /// Reading one record.
    Fetch(&'a Call),
    /// Writing one record.
    Write(Operation, &'a Call),
    /// Looking whether a create was carried out.
    Lookup(&'a Lookup),
    /// Writing many.
    Batch(Operation, &'a Call, &'a Batch),
}

/// A list that can be asked for.
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    /// The call.
    pub pull: &'a Pull,
    /// Where the list stands in a reply.
    pub records: &'a str,
    /// How pages follow.
    pub paginate: Option<&'a Paginate>,
    /// Whether it lists what is gone.
    pub deletes: bool,
}

/// What a declared call looks like.
pub struct Shape<'a> {
    method: Method,
    path: Option<&'a str>,
    params: &'a BTreeMap<String, String>,
    graphql: Option<&'a str>,
    body: Option<&'a Value>,
}

/// A call that fits a request.
pub struct Fit<'a> {
    /// How particular it is.
    pub weight: usize,
    /// Its stream; empty for the check.
    pub stream: String,
    /// What it is for.
    pub act: Act<'a>,
    /// What its placeholders took.
    pub bound: Bound,
}

fn shape(call: &Call) -> Shape<'_> {
    let Call { method, path, params, graphql, body, .. } = call;
    Shape { method: *method, path: path.as_deref(), params, graphql: graphql.as_deref(), body: body.as_ref() }
}

fn shape_of_pull(pull: &Pull) -> Shape<'_> {
    let Pull { method, path, params, graphql, body, .. } = pull;
    Shape { method: *method, path: path.as_deref(), params, graphql: graphql.as_deref(), body: body.as_ref() }
}

fn shape_of_lookup(look: &Lookup) -> Shape<'_> {
    let Lookup { path, params, graphql, body, .. } = look;
    let method = if body.is_some() { Method::Post } else { Method::Get };
    Shape { method, path: path.as_deref(), params, graphql: graphql.as_deref(), body: body.as_ref() }
}

/// A stream's lists.
fn listings(stream: &Stream) -> Vec<Listing<'_>> {
    let own = stream.records.as_deref().unwrap_or_default();
    let paging = stream.paginate.as_ref();
    let mut lists = Vec::new();
    if let Some(pull) = &stream.pull {
        lists.push(Listing { pull, records: own, paginate: paging, deletes: false });
    }
    if let Some(it) = &stream.changes {
        let records = it.records.as_deref().unwrap_or(own);
        lists.push(Listing { pull: &it.pull, records, paginate: it.paginate.as_ref().or(paging), deletes: false });
    }
    if let Some(it) = &stream.deletes {
        let records = it.records.as_deref().unwrap_or(own);
        lists.push(Listing { pull: &it.pull, records, paginate: it.paginate.as_ref().or(paging), deletes: true });
    }
    lists
}

/// A stream's calls.
fn acts(stream: &Stream) -> Vec<(Act<'_>, Shape<'_>)> {
    let mut acts: Vec<(Act<'_>, Shape<'_>)> =
        listings(stream).into_iter().map(|list| (Act::Pull(list), shape_of_pull(list.pull))).collect();
    if let Some(fetch) = &stream.fetch {
        acts.push((Act::Fetch(fetch), shape(fetch)));
    }
    let writes =
        [(Operation::Create, &stream.create), (Operation::Update, &stream.update), (Operation::Delete, &stream.delete)];
    for (operation, call) in writes {
        let Some(call) = call else { continue };
        acts.push((Act::Write(operation, call), shape(call)));
        if let Some(look) = &call.lookup {
            acts.push((Act::Lookup(look), shape_of_lookup(look)));
        }
        if let Some(batch) = &call.batch {
            let Batch { method, path, params, .. } = &**batch;
            let shape = Shape { method: *method, path: Some(path), params, graphql: None, body: None };
            acts.push((Act::Batch(operation, call, batch), shape));
        }
    }
    acts
}

/// The declared call that a request is: of those that fit the most particular one, of equals the first.
pub fn meant<'a>(
    manifest: &'a Manifest,
    streams: &'a [(String, Stream)],
    known: &BTreeMap<String, String>,
    asked: &Asked<'_>,
) -> Option<Fit<'a>> {
    let mut fits = Vec::new();
    for (name, stream) in streams {
        fits.extend(acts(stream).into_iter().filter_map(|(act, shape)| fit(name, act, &shape, known, asked)));
    }
    if let Some(check) = &manifest.connector.check {
        fits.extend(fit("", Act::Check, &shape(check), known, asked));
    }
    fits.into_iter().min_by_key(|fit| std::cmp::Reverse(fit.weight))
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

fn fit<'s>(
    stream: &str,
    act: Act<'s>,
    shape: &Shape<'_>,
    known: &BTreeMap<String, String>,
    asked: &Asked<'_>,
) -> Option<Fit<'s>> {
    let mut bound = Bound::new();
    let path = settled(shape.path.unwrap_or_default(), known);
    let path = format!("/{}", path.trim_start_matches('/'));
    let method = if shape.graphql.is_some() { "POST" } else { word(shape.method) };
    if method != asked.method || !pattern::text(&path, &asked.path, &mut bound) {
        return None;
    }
    let mut weight = 1 + path.split(['{', '}']).step_by(2).map(str::len).sum::<usize>();
    for (name, template) in shape.params {
        let template = settled(template, known);
        match asked.call.param(name) {
            Some(given) if pattern::text(&template, given, &mut bound) => weight += 10,
            None if has_holes(&template) => {}
            // A page's own parameters replace the manifest's.
            Some(_) if matches!(act, Act::Pull(..)) => {}
            _ => return None,
        }
    }
    let variables = shape.graphql.map_or(&asked.body, |_| &asked.body["variables"]);
    if shape.graphql.is_some_and(|document| asked.body["query"] != document) {
        return None;
    }
    if let Some(body) = shape.body {
        if !pattern::json(&settled_json(body, known), Some(variables).filter(|it| !it.is_null()), &mut bound) {
            return None;
        }
        weight += 10;
    }
    // Of two calls that look alike the one whose placeholders all have their values was meant.
    weight += bound.len();
    Some(Fit { weight, stream: stream.to_owned(), act, bound })
}
