//! How calls are authenticated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[auth]`: a closed list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A key in a header or a query parameter.
    ApiKey {
        /// Header name.
        header: Option<String>,
        /// Query parameter name.
        param: Option<String>,
        /// The value, with placeholders.
        value: String,
    },
    /// HTTP Basic.
    Basic {
        /// User, with placeholders.
        username: String,
        /// Password, with placeholders.
        password: String,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// The token, with placeholders.
        token: String,
    },
    /// OAuth 1.0a without a token (RFC 5849, HMAC-SHA256): each call is signed with a key pair, in its query. The body is
    /// not covered, so this is for systems that cannot be reached over TLS.
    Oauth1 {
        /// Consumer key, with placeholders.
        consumer_key: String,
        /// Consumer secret, with placeholders.
        consumer_secret: String,
        /// How the pair travels where the address is `https`.
        #[serde(default)]
        over_tls: OverTls,
    },
    /// A session: a POST with user name and password gives a token, which every call carries until it is refused; then
    /// one more login follows, however many calls were refused.
    Login {
        /// Path after the base URL, with placeholders.
        path: Option<String>,
        /// A GraphQL document.
        graphql: Option<String>,
        /// GraphQL variables or a JSON body, with placeholders for settings and secrets.
        body: Option<serde_json::Value>,
        /// Where the reply holds the token: `header:NAME` or `body:/pointer`.
        token: String,
        /// Header that takes the token in calls.
        header: String,
        /// Text before the token there: `Bearer `.
        #[serde(default)]
        prefix: String,
    },
    /// OAuth 2 authorization code with PKCE; refresh tokens kept sealed.
    Oauth2Code {
        /// Where the person signs in.
        authorize_url: String,
        /// Where codes and refresh tokens are exchanged.
        token_url: String,
        /// Client id and secret.
        client: OauthClient,
        /// Asked scopes.
        #[serde(default)]
        scopes: Vec<String>,
        /// Where the server says whether a refresh token is still good (RFC 7662). Asked when one was sent away and no answer
        /// was kept: a server that lets each be used once may end all tokens when it sees one again.
        introspect_url: Option<String>,
        /// How long a refresh token that was used may be used again, in seconds, where the server forgives that.
        #[serde(default)]
        reuse_seconds: u32,
    },
    /// OAuth 2 client credentials.
    Oauth2Client {
        /// Where the token comes from.
        token_url: String,
        /// Client id and secret.
        client: OauthClient,
        /// Asked scopes.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// Every call signed by Standard Webhooks: `webhook-id` (a delivery's idempotency key), `webhook-timestamp`,
    /// `webhook-signature`. A 2xx is then all that a reply needs to say.
    StandardWebhook {
        /// `whsec_…`, with placeholders.
        secret: String,
    },
    /// Every call signed in its query: `timestamp` in milliseconds, and `sign`, the base64 of the HMAC-SHA256 of timestamp,
    /// line feed and secret under the secret (DingTalk's custom robots).
    TimestampSignature {
        /// The secret, with placeholders.
        secret: String,
    },
    /// The connector's crate does it.
    Connector {},
    /// No authentication, and why that is right.
    None {
        /// Why.
        reason: String,
    },
}

/// How an OAuth 1.0a key pair travels over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverTls {
    /// Signed, as over plain HTTP.
    #[default]
    Sign,
    /// As HTTP Basic: some systems take nothing else there.
    Basic,
}

/// Client credentials of an OAuth 2 connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthClient {
    /// Client id, with placeholders.
    pub id: String,
    /// Client secret, with placeholders; none for a public client.
    pub secret: Option<String>,
    /// Whether the credentials travel in the form body (`post`) or in the Authorization header (`basic`).
    #[serde(default)]
    pub send: ClientSend,
}

/// How client credentials travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientSend {
    /// `Authorization: Basic`.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the form.
    Post,
}
