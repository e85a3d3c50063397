//! How pages follow each other: what asks for a page, and which page a reply says is next.

use huiliu_core::connector::{ConnectorError, Result};
use huiliu_core::manifest::Paginate;
use serde_json::{Number, Value};
use url::Url;

use crate::http::HeaderMap;
use crate::pointer;

/// The request of a page, as far as paging changes it.
pub struct Asked<'a> {
    /// The address, query included.
    pub url: &'a mut Url,
    /// The body, or a GraphQL call's variables.
    pub body: &'a mut Option<Value>,
}

/// What a page showed.
pub struct Shown<'a> {
    /// The reply.
    pub reply: &'a Value,
    /// How many records.
    pub records: usize,
    /// The key of the last one.
    pub last: Option<&'a str>,
}

/// Puts the place of `page` into a request. None is the first page.
pub fn ask(paginate: &Paginate, page: Option<&str>, asked: &mut Asked<'_>) -> Result<()> {
    match paginate {
        Paginate::Cursor { param, .. } => match page {
            // Some systems hand out the next page's whole address.
            Some(link) if is_link(link) => *asked.url = same_origin(asked.url, link)?,
            Some(cursor) => place(asked, param, Value::from(cursor)),
            None => {}
        },
        Paginate::Page { param, first, size, size_param, .. } => {
            place(asked, param, number(page, *first)?);
            if let Some(size_param) = size_param {
                place(asked, size_param, Value::from(*size));
            }
        }
        Paginate::Offset { param, size, size_param } => {
            place(asked, param, number(page, 0)?);
            if let Some(size_param) = size_param {
                place(asked, size_param, Value::from(*size));
            }
        }
        Paginate::LinkHeader {} => {
            if let Some(link) = page {
                *asked.url = same_origin(asked.url, link)?;
            }
        }
        // The call itself says `{cursor}`.
        Paginate::Keyset { .. } | Paginate::None {} => {}
    }
    Ok(())
}

/// Whether pages are counted, so that a record's page changes when those before it do.
pub fn is_numbered(paginate: &Paginate) -> bool {
    matches!(paginate, Paginate::Page { .. } | Paginate::Offset { .. })
}

/// The numbered page after an empty one; none where pages are not counted.
pub fn beyond(paginate: &Paginate, page: Option<&str>) -> Option<String> {
    let here = |first| parse(page, first).ok();
    match paginate {
        Paginate::Page { first, .. } => Some(here(*first)?.saturating_add(1).to_string()),
        Paginate::Offset { size, .. } => Some(here(0)?.saturating_add(*size).to_string()),
        _ => None,
    }
}

/// The page after this one, or none when it was the last.
pub fn next(
    paginate: &Paginate,
    page: Option<&str>,
    url: &Url,
    headers: &HeaderMap,
    shown: &Shown<'_>,
) -> Result<Option<String>> {
    let (reply, count) = (shown.reply, u64::try_from(shown.records).unwrap_or(u64::MAX));
    match paginate {
        Paginate::Cursor { from, more, .. } => {
            let told_last =
                more.as_ref().is_some_and(|more| reply.pointer(more).and_then(Value::as_bool) == Some(false));
            let cursor = reply.pointer(from).filter(|value| !value.is_boolean()).and_then(pointer::text);
            let cursor = cursor.filter(|cursor| !cursor.is_empty() && !told_last);
            if cursor.as_deref().is_some_and(|cursor| Some(cursor) == page) {
                return Err(ConnectorError::broken(
                    "the system names the same next page twice; paging would never end",
                ));
            }
            Ok(cursor)
        }
        Paginate::Page { first, size, pages_header, .. } => {
            let here = parse(page, *first)?;
            let told =
                pages_header.as_ref().and_then(|name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok());
            let more = told.map_or(count >= *size, |pages| here.saturating_sub(*first).saturating_add(1) < pages);
            Ok(more.then(|| here.saturating_add(1).to_string()))
        }
        Paginate::Offset { size, .. } => {
            let here = parse(page, 0)?;
            Ok((count >= *size).then(|| here.saturating_add(count).to_string()))
        }
        Paginate::LinkHeader {} => {
            let link = headers.get_all("link").iter().filter_map(|value| value.to_str().ok()).find_map(next_link);
            let next = link.map(|link| url.join(link).map(String::from));
            let next = next.transpose().map_err(|_| ConnectorError::broken("the Link header holds no URL"))?;
            if next.as_deref() == Some(url.as_str()) {
                return Err(ConnectorError::broken(
                    "the system names the same next page twice; paging would never end",
                ));
            }
            Ok(next)
        }
        Paginate::Keyset { size, .. } => {
            let last = shown.last.filter(|_| count >= *size).map(str::to_owned);
            if last.is_some() && last.as_deref() == page {
                return Err(ConnectorError::broken("the page after a key ends with that key; paging would never end"));
            }
            Ok(last)
        }
        Paginate::None {} => Ok(None),
    }
}

/// A name is a query parameter; a JSON pointer leads into the body.
pub fn place(asked: &mut Asked<'_>, param: &str, value: Value) {
    if param.starts_with('/') {
        let body = asked.body.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
        pointer::put(body, param, value);
        return;
    }
    let text = pointer::text(&value).unwrap_or_default();
    // A parameter that the manifest also names is replaced, not repeated.
    let kept: Vec<(String, String)> = asked
        .url
        .query_pairs()
        .filter(|(name, _)| name != param)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    asked.url.query_pairs_mut().clear().extend_pairs(kept).append_pair(param, &text);
}

fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// A link is followed only to where the credentials belong.
fn same_origin(base: &Url, link: &str) -> Result<Url> {
    let url = Url::parse(link).map_err(|_| ConnectorError::broken("the next page is not a URL"))?;
    if url.origin() != base.origin() {
        let (there, here) = (url.host_str().unwrap_or_default(), base.host_str().unwrap_or_default());
        return Err(ConnectorError::broken(format!("the next page is at {there}, not at {here}; it is not followed")));
    }
    Ok(url)
}

fn parse(page: Option<&str>, first: u64) -> Result<u64> {
    let strange = |_| ConnectorError::CursorExpired { detail: "the stored page is no number".to_owned() };
    page.map_or(Ok(first), |page| page.parse().map_err(strange))
}

fn number(page: Option<&str>, first: u64) -> Result<Value> {
    parse(page, first).map(Number::from).map(Value::Number)
}

/// The address with `rel="next"` in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, params) = after.split_once('>')?;
        // A comma inside a quoted parameter does not end the link; no recorded system writes an angle bracket there.
        let (mine, others) = params.split_once('<').map_or((params, ""), |(mine, _)| (mine, &params[mine.len()..]));
        let is_next = mine.split([';', ',']).any(|param| {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            let rels = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && rels.split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = others;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        let header =
            r#"<https://a.example/x?page=1>; rel="prev", <https://a.example/x?page=3>; title="a, b"; rel="next last""#;
        assert_eq!(next_link(header), Some("https://a.example/x?page=3"));
        assert_eq!(next_link("</x?p=2>; rel=next"), Some("/x?p=2"));
        assert_eq!(next_link(r#"<https://a.example/x>; rel="last""#), None);
        assert_eq!(next_link(""), None);
    }

    #[test]
    fn a_link_to_another_host_is_not_followed() {
        let mut url = Url::parse("https://a.example/x").unwrap();
        let mut body = None;
        let mut asked = Asked { url: &mut url, body: &mut body };
        let error = ask(&Paginate::LinkHeader {}, Some("https://b.example/x"), &mut asked).unwrap_err();
        assert_eq!(error.kind(), "broken");
    }
}
