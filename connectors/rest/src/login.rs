//! A session: a login call gives a token, which every call carries until the system refuses it. The token is kept like
//! any other (core's token vault), so a login is single-flight too.

use std::collections::BTreeMap;

use huiliu_core::connector::{ConnectorError, Result};
use huiliu_core::manifest::{Auth, Method};
use huiliu_core::secrets::Token;

use crate::failure::Verb;
use crate::receive::Source;
use crate::template::{self, Values};
use crate::wire::{Draft, Wire, graphql_body};
use crate::{pointer, wire};

/// The name of a connection's session in its vault.
pub const TOKEN: &str = "session";

/// A session's token other than `refused`: the stored one, else that of a login.
///
/// # Errors
/// [`ConnectorError::Unauthorized`] when the system refuses user name and password or gives no token, and what a call
/// can give.
pub async fn token(wire: &Wire<'_>, auth: &Auth, refused: Option<&str>) -> Result<String> {
    let cx = wire.cx;
    let log_in = |_| async move {
        let access = log_in(wire, auth).await?;
        Ok(Token { access, refresh: None, expires_at_us: None, extra: BTreeMap::new(), rotates: false })
    };
    let token = cx.tokens.get::<ConnectorError, _>(TOKEN, cx.clock.now_us(), refused, log_in).await?;
    Ok(token.access)
}

async fn log_in(wire: &Wire<'_>, auth: &Auth) -> Result<String> {
    let Auth::Login { path, graphql, body, token, .. } = auth else {
        return Err(ConnectorError::broken("this connector opens no session"));
    };
    let values = Values::of(wire.cx);
    let body = body.as_ref().map_or(Ok(None), |body| template::json(body, &values))?;
    let what = format!("login of {}", wire.cx.connection);
    let draft = Draft {
        what: what.clone(),
        verb: Verb::Check,
        method: Method::Post,
        url: wire.url(path.as_deref(), &BTreeMap::new(), &values)?,
        headers: Vec::new(),
        body: match graphql {
            Some(document) => Some(graphql_body(document, body)),
            None => body,
        },
        graphql: graphql.is_some(),
        idempotency_key: None,
        list: None,
    };
    let wire::Answer { value, response, .. } = wire.once(&draft, None).await?.1?;
    let found = match Source::parse(token).map_err(ConnectorError::broken)? {
        Source::Header(name) => response.header(name).map(str::to_owned),
        Source::Body(at) => value.pointer(at).and_then(pointer::text),
        Source::Stream(_) => None,
    };
    found.filter(|found| !found.is_empty()).ok_or_else(|| {
        let (host, connection) = (draft.url.host_str().unwrap_or_default(), &wire.cx.connection);
        let detail = format!(
            "{what}: {host} gave no token at `{token}`; check user name and password, then run `huiliu connect {connection}`"
        );
        ConnectorError::Unauthorized { detail }
    })
}
