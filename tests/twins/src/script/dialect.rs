//! How a vendor's calls and replies look, as far as interfering with them needs it: which call does what, where a list
//! keeps its records, and how the vendor words a refusal.

use serde_json::{Value, json};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks for a token.
    Token,
    /// It lists records of people; the pointer leads to them in the reply.
    List(&'static str),
    /// It reads something else.
    Read,
    /// It writes.
    Write,
}

/// A refusal: HTTP status and body.
pub type Refusal = (u16, &'static str);

/// See the module.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// The system.
    pub name: &'static str,
    /// What a call does: `METHOD /path?query`, and its body.
    pub kind: fn(&str, &str) -> Kind,
    /// Where a record of a list has its id.
    pub id: &'static str,
    /// Whether every list shows everybody, and so has no index behind it.
    pub lists_all: bool,
    /// Whether more follows a list.
    pub goes_on: fn(&Value) -> bool,
    /// Makes a list the last one.
    pub end: fn(&mut Value),
    /// An error inside a success, after which the same call may succeed.
    pub busy: Refusal,
    /// A token that ended.
    pub expired: Refusal,
    /// Too many calls.
    pub limited: Refusal,
    /// A value that is missing.
    pub refused: Refusal,
    /// Members of a write's body that are texts for people.
    pub texts: &'static [&'static str],
    /// Members of a write's body that are phone numbers.
    pub phones: &'static [&'static str],
}

const HTML: &str = "<html>Too Many Requests</html>";

/// `HubSpot`: contacts by list and by search.
pub const HUBSPOT: Dialect = Dialect {
    name: "hubspot",
    kind: |call, _| match call {
        _ if call.contains("/contacts/search") || call.starts_with("GET /crm/v3/objects/contacts?") => {
            Kind::List("/results")
        }
        _ if call.starts_with("PATCH ") || call.contains("/batch/") => Kind::Write,
        "POST /crm/v3/objects/contacts" => Kind::Write,
        _ => Kind::Read,
    },
    id: "/id",
    lists_all: false,
    goes_on: |reply| reply.pointer("/paging/next").is_some(),
    end: |reply| {
        reply.as_object_mut().map(|reply| reply.remove("paging"));
    },
    busy: (200, r#"{"status":"error","category":"RATE_LIMITS","message":"busy"}"#),
    expired: (401, r#"{"status":"error","category":"EXPIRED_AUTHENTICATION","message":"expired"}"#),
    limited: (429, r#"{"status":"error","category":"RATE_LIMITS","message":"You have reached your limit."}"#),
    refused: (400, r#"{"status":"error","category":"VALIDATION_ERROR","message":"a required value is missing"}"#),
    texts: &["jobtitle", "company", "firstname", "lastname"],
    phones: &["mobilephone", "phone"],
};

/// Shopify: customers over GraphQL.
pub const SHOPIFY: Dialect = Dialect {
    name: "shopify",
    kind: |_, body| match body {
        _ if body.contains("mutation ") => Kind::Write,
        _ if body.contains("query customers(") => Kind::List("/data/customers/nodes"),
        _ => Kind::Read,
    },
    id: "/id",
    lists_all: false,
    goes_on: |reply| reply.pointer("/data/customers/pageInfo/hasNextPage") == Some(&Value::Bool(true)),
    end: |reply| {
        if let Some(more) = reply.pointer_mut("/data/customers/pageInfo/hasNextPage") {
            *more = json!(false);
        }
    },
    busy: (200, r#"{"errors":[{"message":"Internal error","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#),
    expired: (401, r#"{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}"#),
    limited: (429, r#"{"errors":"Exceeded 2 calls per second for api client."}"#),
    refused: (
        200,
        r#"{"data":{"customerSet":{"userErrors":[{"field":["input"],"message":"a required value is missing","code":"BLANK"}],"customer":null}}}"#,
    ),
    texts: &["note", "firstName", "lastName"],
    phones: &["phone"],
};

/// 企业微信: contacts of members.
pub const WECOM: Dialect = Dialect {
    name: "wecom",
    kind: |call, _| match call {
        _ if call.contains("/gettoken") => Kind::Token,
        _ if call.contains("/batch/get_by_user") => Kind::List("/external_contact_list"),
        _ if call.contains("/externalcontact/remark") || call.contains("/mark_tag") => Kind::Write,
        _ => Kind::Read,
    },
    id: "/external_contact/external_userid",
    lists_all: true,
    goes_on: |reply| reply["next_cursor"].as_str().is_some_and(|next| !next.is_empty()),
    end: |reply| {
        if reply.get("next_cursor").is_some() {
            reply["next_cursor"] = json!("");
        }
    },
    busy: (200, r#"{"errcode":-1,"errmsg":"system busy"}"#),
    expired: (200, r#"{"errcode":42001,"errmsg":"access_token expired"}"#),
    limited: (429, HTML),
    refused: (200, r#"{"errcode":40058,"errmsg":"a required value is missing"}"#),
    texts: &["remark", "description", "remark_company"],
    phones: &["remark_mobiles"],
};

/// 金蝶云星空: customers by query.
pub const KINGDEE: Dialect = Dialect {
    name: "kingdee",
    kind: |call, body| match call {
        _ if [".Save.", ".Submit.", ".Audit."].iter().any(|name| call.contains(name)) => Kind::Write,
        _ if body.contains("BD_Customer") && body.contains(r#""OrderString":"FModifyDate"#) => Kind::List(""),
        _ => Kind::Read,
    },
    id: "/0",
    lists_all: false,
    goes_on: |_| false,
    end: |_| {},
    busy: (200, "response_error:服务器内部错误"),
    expired: (
        200,
        r#"{"Result":{"ResponseStatus":{"IsSuccess":false,"MsgCode":1,"Errors":[{"FieldName":"","Message":"会话信息已丢失，请重新登录"}]}}}"#,
    ),
    limited: (429, HTML),
    refused: (
        200,
        r#"{"Result":{"ResponseStatus":{"IsSuccess":false,"MsgCode":11,"Errors":[{"FieldName":"","Message":"必填项不能为空"}]}}}"#,
    ),
    texts: &["FShortName", "FContact"],
    phones: &["FPhone"],
};

/// All of them.
pub const ALL: [Dialect; 4] = [HUBSPOT, SHOPIFY, WECOM, KINGDEE];
