//! OAuth 2: signing in for `huiliu connect`, and tokens for calls. Refresh tokens rotate, and some servers end the
//! whole family when an old one is used: so a refresh is single-flight and stored before use (core's token vault).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::manifest::{Auth, ClientSend, Manifest, OauthClient};
use huiliu_core::secrets::{Renewal, Token};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse};
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IntrospectionUrl, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};
use serde_json::Value;
use url::Url;

use crate::http::{Http, Request};
use crate::template::{self, Values};
use crate::wire;

/// The name of a connection's token in its vault.
pub const TOKEN: &str = "oauth";

type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// A sign-in that has begun: keep state and verifier until the person comes back.
pub struct SignIn {
    /// Where the person signs in.
    pub url: Url,
    /// What the redirect must bring back in `state`.
    pub state: String,
    /// The PKCE verifier, for [`exchange_code`].
    pub verifier: String,
}

/// Begins an authorization-code sign-in with PKCE (S256).
///
/// # Errors
/// [`ConnectorError::Broken`] if the manifest's `auth` is not `oauth2_code` or an address is not a URL, and what a
/// missing setting or secret gives.
pub fn authorize_url(manifest: &Manifest, cx: &Cx, redirect: &str) -> Result<SignIn> {
    let Some(Auth::Oauth2Code { authorize_url, scopes, .. }) = &manifest.auth else { return Err(no_sign_in(manifest)) };
    let page = wire::address(manifest, authorize_url, &Values::of(cx))?;
    let page = AuthUrl::new(page).map_err(|_| not_a_url("auth.authorize_url"))?;
    let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|_| not_a_url("the redirect address"))?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let client = client(manifest, cx)?.set_auth_uri(page).set_redirect_uri(redirect);
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scopes(scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge)
        .url();
    Ok(SignIn { url, state: state.into_secret(), verifier: verifier.into_secret() })
}

/// Ends a sign-in: exchanges the code and stores the tokens. The caller has compared `state`.
///
/// # Errors
/// [`ConnectorError::Unauthorized`] if the server refuses the code, and what a call can give.
pub async fn exchange_code(manifest: &Manifest, cx: &Cx, redirect: &str, code: &str, verifier: &str) -> Result<()> {
    if !matches!(manifest.auth, Some(Auth::Oauth2Code { .. })) {
        return Err(no_sign_in(manifest));
    }
    let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|_| not_a_url("the redirect address"))?;
    let client = client(manifest, cx)?.set_redirect_uri(redirect);
    let raw = Raw::default();
    let http = wire::http(manifest, cx)?;
    let answer = client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
        .request_async(&|request| carry(http.clone(), raw.clone(), request))
        .await
        .map_err(|error| refused(cx, error))?;
    let token = token_of(cx, &answer, &raw, None);
    cx.tokens.put(TOKEN, &token).map_err(|error| ConnectorError::transient(format!("the token store failed: {error}")))
}

/// An access token other than `rejected`: the stored one while it is good, else a fresh one.
///
/// # Errors
/// [`ConnectorError::Unauthorized`] when nobody has signed in or the server refuses, and what a call can give.
pub async fn token(manifest: &Manifest, auth: &Auth, cx: &Cx, http: &Http, rejected: Option<&str>) -> Result<String> {
    let fresh = |renewal: Renewal| async move {
        let raw = Raw::default();
        let carrier = |request| carry(http.clone(), raw.clone(), request);
        let client = client(manifest, cx)?;
        if let Auth::Oauth2Client { scopes, .. } = auth {
            let scopes = scopes.iter().cloned().map(Scope::new);
            let request = client.exchange_client_credentials().add_scopes(scopes);
            let answer = request.request_async(&carrier).await.map_err(|error| refused(cx, error))?;
            return Ok(token_of(cx, &answer, &raw, None));
        }
        if let Some(ago_us) = renewal.in_doubt_us {
            still_good(manifest, auth, cx, http, renewal.stored.as_ref(), ago_us).await?;
        }
        let Some((stored, refresh)) =
            renewal.stored.and_then(|token| token.refresh.clone().map(|refresh| (token, refresh)))
        else {
            let connection = &cx.connection;
            let detail = format!("connection {connection} is not signed in; run `huiliu connect {connection}`");
            return Err(ConnectorError::Unauthorized { detail });
        };
        let refresh = RefreshToken::new(refresh);
        let request = client.exchange_refresh_token(&refresh);
        let answer = request.request_async(&carrier).await.map_err(|error| refused(cx, error))?;
        Ok(token_of(cx, &answer, &raw, Some(stored)))
    };
    let token = cx.tokens.renew::<ConnectorError, _>(TOKEN, cx.clock.now_us(), rejected, fresh).await?;
    Ok(token.access)
}

/// A refresh token was sent away and no answer was kept. It may be sent again where the server does not mind, or says that
/// it is still good; else nobody can know whether it was used, and a server that sees one twice may end all tokens.
async fn still_good(
    manifest: &Manifest,
    auth: &Auth,
    cx: &Cx,
    http: &Http,
    stored: Option<&Token>,
    ago_us: i64,
) -> Result<()> {
    let Auth::Oauth2Code { introspect_url, reuse_seconds, .. } = auth else { return Ok(()) };
    let Some(token) = stored else { return Ok(()) };
    let connection = &cx.connection;
    let Some(introspect_url) = introspect_url else {
        if !token.rotates || ago_us < i64::from(*reuse_seconds) * 1_000_000 {
            return Ok(());
        }
        return Err(ConnectorError::Unauthorized {
            detail: format!(
                "a renewal of the token of connection {connection} was interrupted, and its server gives each refresh token \
                 for one use: whether this one was used is not known; run `huiliu connect {connection}`"
            ),
        });
    };
    let url = wire::address(manifest, introspect_url, &Values::of(cx))?;
    let url = IntrospectionUrl::new(url).map_err(|_| not_a_url("auth.introspect_url"))?;
    let refresh = AccessToken::new(token.refresh.clone().unwrap_or_default());
    let answer = client(manifest, cx)?
        .set_introspection_url(url)
        .introspect(&refresh)
        .set_token_type_hint("refresh_token")
        .request_async(&|request| carry(http.clone(), Raw::default(), request))
        .await
        .map_err(|error| refused(cx, error))?;
    if answer.active() {
        return Ok(());
    }
    Err(ConnectorError::Unauthorized {
        detail: format!(
            "a renewal of the token of connection {connection} was interrupted after its server had given another one, which \
             is lost; run `huiliu connect {connection}`"
        ),
    })
}

fn client(manifest: &Manifest, cx: &Cx) -> Result<Client> {
    let Some(Auth::Oauth2Code { token_url, client, .. } | Auth::Oauth2Client { token_url, client, .. }) =
        &manifest.auth
    else {
        return Err(no_sign_in(manifest));
    };
    let OauthClient { id, secret, send } = client;
    let values = Values::of(cx);
    let token_url = wire::address(manifest, token_url, &values)?;
    let token_url = TokenUrl::new(token_url).map_err(|_| not_a_url("auth.token_url"))?;
    let mut client = BasicClient::new(ClientId::new(template::text_required(id, &values)?)).set_token_uri(token_url);
    if let Some(secret) = secret {
        client = client.set_client_secret(ClientSecret::new(template::text_required(secret, &values)?));
    }
    Ok(client.set_auth_type(match send {
        ClientSend::Basic => AuthType::BasicAuth,
        ClientSend::Post => AuthType::RequestBody,
    }))
}

/// The last reply's JSON: the vendor's own additions to it are kept beside the token.
type Raw = Arc<Mutex<Value>>;

/// Carries a token request over our own way out. Replies that say "later" end here, with their own kind.
async fn carry(http: Http, raw: Raw, request: HttpRequest) -> Result<HttpResponse> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|_| not_a_url("auth.token_url"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let request = Request { method: parts.method, url, headers: parts.headers, body: Some(body.into()) };
    let response = http.send(request).await?;
    let detail = format!("token request: {host} answered HTTP {}", response.status);
    match response.status {
        429 => return Err(ConnectorError::RateLimited { detail, after: http.retry_after(&response) }),
        // It was answered: nothing was issued.
        408 | 425 | 500..=599 => return Err(ConnectorError::Unreached { detail, after: http.retry_after(&response) }),
        300..=399 | 404 => return Err(ConnectorError::broken(format!("{detail}; check auth.token_url"))),
        _ => {}
    }
    let mut body = response.body.to_vec();
    if let Ok(mut reply) = serde_json::from_slice::<Value>(&body)
        && let Some(map) = reply.as_object_mut()
        && map.contains_key("access_token")
    {
        // The standard asks for a type, and for a number of seconds; some vendors leave the first out and write the
        // second as text.
        map.entry("token_type").or_insert_with(|| Value::from("Bearer"));
        if let Some(seconds) = map.get("expires_in").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok()) {
            map.insert("expires_in".to_owned(), Value::from(seconds));
        }
        body = serde_json::to_vec(&reply).unwrap_or(body);
        *raw.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() =
        oauth2::http::StatusCode::from_u16(response.status).map_err(|_| ConnectorError::broken(detail))?;
    *answer.headers_mut() = response.headers;
    Ok(answer)
}

/// Members of a token reply that are no vendor's addition.
const STANDARD: &[&str] = &["access_token", "refresh_token", "id_token", "token_type", "scope", "expires_in"];

fn token_of(cx: &Cx, answer: &BasicTokenResponse, raw: &Raw, former: Option<Token>) -> Token {
    let mut extra = former.as_ref().map_or_else(BTreeMap::new, |token| token.extra.clone());
    let raw = raw.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, value) in raw.as_object().into_iter().flatten() {
        if let Some(text) = value.as_str()
            && !STANDARD.contains(&name.as_str())
        {
            extra.insert(name.clone(), text.to_owned());
        }
    }
    let refresh = answer.refresh_token().map(|token| token.secret().clone());
    let rotates = former.as_ref().is_some_and(|it| it.rotates || (refresh.is_some() && it.refresh != refresh));
    let life_us = answer.expires_in().and_then(|life| i64::try_from(life.as_micros()).ok());
    Token {
        access: answer.access_token().secret().clone(),
        // A server that does not rotate leaves the former one in force.
        refresh: refresh.or_else(|| former?.refresh),
        expires_at_us: life_us.map(|life| cx.clock.now_us().saturating_add(life)),
        extra,
        rotates,
    }
}

/// The server's code says why; its description could repeat what was sent, so it stays out.
fn refused(cx: &Cx, error: RequestTokenError<ConnectorError, BasicErrorResponse>) -> ConnectorError {
    let connection = &cx.connection;
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(reply) => ConnectorError::Unauthorized {
            detail: format!(
                "the authorization server refuses connection {connection} ({}); run `huiliu connect {connection}`",
                reply.error().as_ref()
            ),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            ConnectorError::broken(format!("the token reply for connection {connection} is not as OAuth 2 has it"))
        }
    }
}

fn no_sign_in(manifest: &Manifest) -> ConnectorError {
    ConnectorError::broken(format!("connector {} does not sign in with OAuth 2 codes", manifest.connector.name))
}

fn not_a_url(what: &str) -> ConnectorError {
    ConnectorError::broken(format!("{what} is not a URL"))
}
