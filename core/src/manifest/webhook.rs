//! How a system calls us.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[webhook]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// How a call proves its origin.
    pub verify: Verify,
    /// Where the event's id is: `header:NAME`, `body:/pointer`, or `body` for a hash of the raw body. Several are
    /// joined.
    #[serde(default)]
    pub dedupe: Vec<String>,
    /// How a call finds its stream.
    pub route: Option<Route>,
    /// What a call carries.
    #[serde(default)]
    pub carries: Carries,
    /// JSON pointer to the record in the body; without it the whole body is the record.
    pub record: Option<String>,
    /// JSON pointer to the record's id where it differs from the stream's key (a numeric id in a webhook, a global id
    /// in the API).
    pub key: Option<String>,
    /// JSON pointers to further ids that an event names, such as those of records that were merged; a list counts with
    /// each of its items. Every one is a hint beside the first, or instead of it.
    #[serde(default)]
    pub more_keys: Vec<String>,
    /// Where an event of `route.merges` names the records. A merge of which only the ids are told, not which of them
    /// survives, is better read key by key (`more_keys`): what answers under another id was merged into that.
    pub merge: Option<Merge>,
    /// Unsigned calls that ask whether anybody is here: they are answered with 200, and nothing of them is kept.
    pub ping: Option<Ping>,
    /// How the id is written for the API: `gid://shopify/Customer/{id}`.
    #[serde(default)]
    pub key_form: BTreeMap<String, String>,
}

/// `[webhook.merge]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// JSON pointers to the ids of records that are no more; a list counts with each of its items.
    pub from: Vec<String>,
    /// JSON pointer to the id of the record that stands for them.
    pub into: String,
    /// What an event shows once the merge was carried out, where others tell of one that was not.
    pub when: Option<When>,
}

/// What an event shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// JSON pointer into the event.
    pub at: String,
    /// The value there, compared as text.
    pub equals: String,
}

/// Schemes: a closed list, no default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verify {
    /// HMAC-SHA256 over the raw body.
    HmacSha256 {
        /// Header of the signature.
        header: String,
        /// Its encoding.
        encoding: Encoding,
        /// The key, with placeholders.
        secret: String,
        /// Text before the signature: `sha256=`.
        #[serde(default)]
        prefix: String,
    },
    /// A shared token in a header or a query parameter.
    SharedToken {
        /// Header of the token.
        header: Option<String>,
        /// Query parameter of the token.
        param: Option<String>,
        /// The token, with placeholders.
        secret: String,
    },
    /// HTTP Basic.
    Basic {
        /// User, with placeholders.
        username: String,
        /// Password, with placeholders.
        password: String,
    },
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`, five minutes of tolerance.
    Standard {
        /// `whsec_…`, with placeholders.
        secret: String,
    },
    /// HubSpot v3: base64 of an HMAC-SHA256 over method, public address, raw body and a timestamp in milliseconds, in
    /// `X-HubSpot-Signature-v3` and `X-HubSpot-Request-Timestamp`, five minutes of tolerance both ways.
    HubspotV3 {
        /// The app's client secret, with placeholders.
        secret: String,
        /// Scheme and host under which the world calls us, with placeholders: a proxy in front makes the socket's own
        /// address worthless.
        public_url: String,
    },
    /// A form that people fill in. A browser holds no key, so nothing in the body can be signed; what is proven is that
    /// the form was given out by us a little while ago: a signed token in the query of the form's address.
    Form(Box<Form>),
    /// The connector's `open`.
    Connector {},
    /// Unsigned, and why that is right.
    None {
        /// Why.
        reason: String,
    },
}

/// Unsigned calls that ask whether anybody is here: a closed list. A call that carries anything else is an event and
/// must prove its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ping {
    /// A form with one field that holds a whole number: `webhook_id=17`.
    Form {
        /// The field.
        field: String,
    },
}

/// `verify = { kind = "form", … }`: texts take placeholders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The key that tokens are signed with.
    pub secret: String,
    /// Origins of pages that may hold the form, parted by commas: `https://www.shop.example`.
    pub origins: String,
    /// Inputs, parted by commas; a star marks one that must be filled in: `name, email*, message`.
    pub fields: String,
    /// Channels that may be consented to, parted by commas: `email, sms`.
    pub consents: String,
    /// What a person consents to, word for word; it is kept with each consent.
    pub consent_text: String,
    /// The version of that text.
    pub consent_version: String,
    /// The heading of the form.
    pub title: String,
    /// Where a browser is sent after a submission; empty: a page of ours says thank you.
    pub thank_you: String,
    /// The header in which a proxy of ours writes the caller's address; empty: callers come directly.
    pub address_header: String,
    /// An input that people do not see: what fills it in is no person.
    pub trap: String,
    /// Nobody fills a form in faster, in seconds.
    pub seconds_min: u32,
    /// A form is taken so long after it was given out, in seconds.
    pub seconds_max: u32,
    /// Submissions that one address may send in a minute; it may ask for ten times as many forms.
    pub per_minute: u32,
}

/// Encodings of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal, lower case.
    Hex,
    /// Base64, standard alphabet, padded.
    Base64,
}

/// How a webhook call finds its stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `header:NAME`, `body:/pointer` or `stream:NAME` when every call belongs to one stream.
    pub by: String,
    /// Topic to stream. A topic that is not listed is answered and kept out.
    #[serde(default)]
    pub topics: BTreeMap<String, String>,
    /// Topics that say a record is gone.
    #[serde(default)]
    pub deletes: BTreeMap<String, String>,
    /// Topics that say records were merged; `webhook.merge` says where the ids are.
    #[serde(default)]
    pub merges: BTreeMap<String, String>,
}

/// What a webhook call carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    /// A key: fetch runs.
    #[default]
    Hint,
    /// The whole record.
    Record,
}
