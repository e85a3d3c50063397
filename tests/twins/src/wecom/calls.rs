//! The API calls, with limits and error codes in HTTP 200.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::state::{Issued, Pair, State};
use super::{AGENT_ID, CORP_ID, CORP_SECRET};

/// One call, taken apart.
pub(super) struct Ask<'a> {
    pub(super) post: bool,
    pub(super) call: &'a str,
    pub(super) query: &'a HashMap<String, String>,
    pub(super) body: &'a Value,
    pub(super) now: i64,
}

/// An `errcode`.
pub(super) type Answer = Result<Value, i64>;

const BAD_PARAMETER: i64 = 40058;
const NO_RELATION: i64 = 84061;
const NO_SUCH_CUSTOMER: i64 = 40096;
const NO_SUCH_MEMBER: i64 = 60111;
const NO_SUCH_TAG: i64 = 40068;
const NO_SUCH_CHAT: i64 = 40050;

/// Lengths of the `remark` call's texts, in characters.
const LIMITS: [(&str, usize); 3] = [("remark", 20), ("description", 150), ("remark_company", 20)];

/// Followers on one page of `get`.
const FOLLOWERS_PAGE: usize = 500;

/// The answer as it is sent.
pub(super) fn answer(state: &mut State, ask: &Ask<'_>) -> Value {
    *state.calls.entry(ask.call.to_owned()).or_default() += 1;
    match called(state, ask) {
        Ok(mut reply) => {
            reply["errcode"] = 0.into();
            reply["errmsg"] = "ok".into();
            reply
        }
        Err(code) => json!({"errcode": code, "errmsg": format!("twin says {code}, more info at nowhere")}),
    }
}

fn called(state: &mut State, ask: &Ask<'_>) -> Answer {
    if let Some((code, left)) = state.faults.refusals.filter(|(_, left)| *left > 0) {
        state.faults.refusals = Some((code, left - 1));
        return Err(code);
    }
    if ask.call == "gettoken" {
        return token(state, ask);
    }
    let given = ask.query.get("access_token").ok_or(41001)?;
    let issued = state.token.as_ref().filter(|issued| issued.text == *given).ok_or(40014)?;
    match issued {
        Issued { ended: true, .. } => return Err(40014),
        Issued { ends_at, .. } if *ends_at <= ask.now => return Err(42001),
        Issued { .. } => {}
    }
    let reply = carried_out(state, ask)?;
    if state.faults.lost_reply.as_deref() == Some(ask.call) {
        state.faults.lost_reply = None;
        return Err(-1);
    }
    Ok(reply)
}

fn carried_out(state: &mut State, ask: &Ask<'_>) -> Answer {
    match (ask.call, ask.post) {
        ("externalcontact/get_follow_user_list", false) => Ok(json!({"follow_user": state.members})),
        ("externalcontact/list", false) => list(state, ask),
        ("externalcontact/get", false) => get(state, ask),
        ("externalcontact/batch/get_by_user", true) => batch(state, ask.body),
        ("externalcontact/get_corp_tag_list", true) => tag_list(state, ask.body),
        ("externalcontact/remark", true) => remark(state, ask.body),
        ("externalcontact/mark_tag", true) => mark_tag(state, ask.body),
        ("message/send", true) => send(state, ask.body),
        ("externalcontact/groupchat/list", true) => chat_list(state, ask.body),
        ("externalcontact/groupchat/get", true) => chat(state, ask.body),
        // "Require GET" and "require POST" are other codes in the original; neither is a path a connector relies on.
        _ => Err(43002),
    }
}

/// The same token until it ends: asking again does not make a new one.
fn token(state: &mut State, ask: &Ask<'_>) -> Answer {
    let given = |name: &str| ask.query.get(name).map_or("", String::as_str);
    if given("corpid") != CORP_ID {
        return Err(40013);
    }
    if given("corpsecret") != CORP_SECRET {
        return Err(40001);
    }
    let good = state.token.clone().filter(|issued| !issued.ended && issued.ends_at > ask.now);
    let issued = good.unwrap_or_else(|| {
        state.tokens_issued += 1;
        Issued {
            text: format!("token-{}-{}", state.tokens_issued, "x".repeat(64)),
            ends_at: ask.now + state.token_seconds,
            ended: false,
        }
    });
    state.token = Some(issued.clone());
    Ok(json!({"access_token": issued.text, "expires_in": issued.ends_at - ask.now}))
}

/// Members hear the app if they exist; the same JSON within the interval is not shown again.
fn send(state: &mut State, body: &Value) -> Answer {
    if body["agentid"] != AGENT_ID {
        return Err(40056);
    }
    let content = body["text"]["content"].as_str().filter(|text| !text.is_empty()).ok_or(BAD_PARAMETER)?;
    if content.len() > 2_048 || body["msgtype"] != "text" {
        return Err(BAD_PARAMETER);
    }
    let named: Vec<&str> = body["touser"].as_str().unwrap_or_default().split('|').collect();
    let (known, unknown): (Vec<&str>, Vec<&str>) = named.into_iter().partition(|it| state.members.contains(*it));
    if known.is_empty() {
        return Err(81013);
    }
    let is_repeat = body["enable_duplicate_check"] == 1 && state.messages.iter().any(|(asked, _)| asked == body);
    if !is_repeat {
        state.messages.push((body.clone(), known.into_iter().map(str::to_owned).collect()));
    }
    Ok(json!({ "invaliduser": unknown.join("|"), "msgid": format!("msg{}", state.messages.len()) }))
}

fn list(state: &State, ask: &Ask<'_>) -> Answer {
    let userid = ask.query.get("userid").filter(|userid| state.members.contains(*userid)).ok_or(NO_SUCH_MEMBER)?;
    let ids: Vec<&str> = state.follows.keys().filter(|pair| pair.0 == *userid).map(|pair| pair.1.as_str()).collect();
    if ids.is_empty() { Err(NO_RELATION) } else { Ok(json!({"external_userid": ids})) }
}

fn get(state: &State, ask: &Ask<'_>) -> Answer {
    let external = ask.query.get("external_userid").ok_or(NO_SUCH_CUSTOMER)?;
    let customer = state.customers.get(external).ok_or(NO_SUCH_CUSTOMER)?;
    let pairs: Vec<&Pair> = state.follows.keys().filter(|pair| pair.1 == *external).collect();
    if pairs.is_empty() {
        return Err(NO_RELATION);
    }
    let (page, next) = paged(&pairs, ask.query.get("cursor").map_or("", String::as_str), FOLLOWERS_PAGE)?;
    let followers = page.iter().map(|pair| {
        let follow = &state.follows[*pair];
        let mut shown = State::follow_json(pair, follow);
        let corp = state
            .tags
            .iter()
            .filter(|tag| follow.tags.contains(&tag.id))
            .map(|tag| json!({"group_name": tag.group, "tag_name": tag.name, "tag_id": tag.id, "type": 1}));
        let own = follow.personal_tags.iter().map(|name| json!({"group_name": "", "tag_name": name, "type": 2}));
        shown["tags"] = corp.chain(own).collect();
        shown
    });
    let followers: Vec<Value> = followers.collect();
    Ok(json!({"external_contact": customer.json(external), "follow_user": followers, "next_cursor": next}))
}

fn batch(state: &State, body: &Value) -> Answer {
    let members = texts(&body["userid_list"])?;
    let limit = body.get("limit").map_or(Some(50), Value::as_u64).ok_or(BAD_PARAMETER)?;
    let limit = usize::try_from(limit).map_err(|_| BAD_PARAMETER)?;
    if members.is_empty() || members.len() > 100 || limit == 0 || limit > 100 {
        return Err(BAD_PARAMETER);
    }
    if members.iter().any(|member| !state.members.contains(member)) {
        return Err(NO_SUCH_MEMBER);
    }
    let pairs: Vec<&Pair> = state.follows.keys().filter(|pair| members.contains(&pair.0)).collect();
    if pairs.is_empty() {
        return Err(NO_RELATION);
    }
    let (page, next) = paged(&pairs, body["cursor"].as_str().unwrap_or_default(), limit)?;
    let rows = page.iter().map(|pair| {
        let follow = &state.follows[*pair];
        let mut shown = State::follow_json(pair, follow);
        shown["tag_id"] = follow.tags.iter().cloned().collect();
        // Old mobiles come as numbers in this call.
        shown["remark_mobiles"] = follow.mobiles.iter().map(|mobile| old_style(mobile)).collect();
        json!({"external_contact": state.customers[&pair.1].json(&pair.1), "follow_info": shown})
    });
    Ok(json!({"external_contact_list": rows.collect::<Vec<_>>(), "next_cursor": next}))
}

fn old_style(mobile: &str) -> Value {
    let digits = mobile.bytes().all(|byte| byte.is_ascii_digit());
    mobile.parse::<u64>().ok().filter(|_| digits).map_or_else(|| mobile.into(), Value::from)
}

/// The page after a cursor, which names the last pair that was shown: so a page stays right while others change.
fn paged<'a>(pairs: &[&'a Pair], cursor: &str, limit: usize) -> Result<(Vec<&'a Pair>, String), i64> {
    let after = match cursor {
        "" => None,
        text => {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BAD_PARAMETER)?;
            let text = String::from_utf8(bytes).map_err(|_| BAD_PARAMETER)?;
            let (userid, external) = text.split_once(':').ok_or(BAD_PARAMETER)?;
            Some((userid.to_owned(), external.to_owned()))
        }
    };
    let rest: Vec<&Pair> =
        pairs.iter().copied().filter(|pair| after.as_ref().is_none_or(|after| *pair > after)).collect();
    let page: Vec<&Pair> = rest.iter().copied().take(limit).collect();
    let next = match page.last() {
        Some(last) if rest.len() > limit => URL_SAFE_NO_PAD.encode(format!("{}:{}", last.0, last.1)),
        _ => String::new(),
    };
    Ok((page, next))
}

fn tag_list(state: &State, body: &Value) -> Answer {
    let wanted = texts(&body["tag_id"])?;
    if wanted.iter().any(|id| !state.tags.iter().any(|tag| tag.id == *id)) {
        return Err(NO_SUCH_TAG);
    }
    let mut groups: Vec<&str> = state.tags.iter().map(|tag| tag.group.as_str()).collect();
    groups.dedup();
    let shown = groups.iter().map(|group| {
        let tags = state.tags.iter().filter(|tag| tag.group == *group && (wanted.is_empty() || wanted.contains(&tag.id)));
        let tags: Vec<Value> =
            tags.map(|tag| json!({"id": tag.id, "name": tag.name, "create_time": 1_700_000_000, "order": 1})).collect();
        json!({"group_id": format!("g-{group}"), "group_name": group, "create_time": 1_700_000_000, "order": 1, "tag": tags})
    });
    let shown: Vec<Value> =
        shown.filter(|group| group["tag"].as_array().is_some_and(|tags| !tags.is_empty())).collect();
    Ok(json!({"tag_group": shown}))
}

fn pair_of(state: &State, body: &Value) -> Result<Pair, i64> {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let pair = (text("userid"), text("external_userid"));
    if !state.members.contains(&pair.0) {
        return Err(NO_SUCH_MEMBER);
    }
    if !state.customers.contains_key(&pair.1) {
        return Err(NO_SUCH_CUSTOMER);
    }
    if state.follows.contains_key(&pair) { Ok(pair) } else { Err(NO_RELATION) }
}

fn remark(state: &mut State, body: &Value) -> Answer {
    let pair = pair_of(state, body)?;
    let mut says = false;
    for (name, limit) in LIMITS {
        let Some(value) = body.get(name) else { continue };
        let text = value.as_str().ok_or(BAD_PARAMETER)?;
        says |= !text.is_empty();
        if text.chars().count() > limit {
            return Err(BAD_PARAMETER);
        }
    }
    let mobiles = body.get("remark_mobiles").map(texts).transpose()?;
    says |= mobiles.as_ref().is_some_and(|list| !list.is_empty());
    if !says {
        // "May not all be empty at the same time."
        return Err(BAD_PARAMETER);
    }
    let takes_company = state.customers[&pair.1].kind == 1;
    let follow = state.follows.get_mut(&pair).ok_or(NO_RELATION)?;
    let put = |place: &mut String, name: &str| {
        if let Some(text) = body[name].as_str() {
            text.trim().clone_into(place);
        }
    };
    put(&mut follow.remark, "remark");
    put(&mut follow.description, "description");
    if takes_company {
        put(&mut follow.company, "remark_company");
    }
    if let Some(list) = mobiles {
        follow.mobiles = list.into_iter().filter(|mobile| !mobile.is_empty()).collect();
    }
    *state.writes.entry(format!("{}:{}", pair.0, pair.1)).or_default() += 1;
    Ok(json!({}))
}

fn mark_tag(state: &mut State, body: &Value) -> Answer {
    let pair = pair_of(state, body)?;
    let (add, remove) = (texts(&body["add_tag"])?, texts(&body["remove_tag"])?);
    if add.is_empty() && remove.is_empty() {
        return Err(BAD_PARAMETER);
    }
    if add.iter().chain(&remove).any(|id| !state.tags.iter().any(|tag| tag.id == *id)) {
        return Err(NO_SUCH_TAG);
    }
    let follow = state.follows.get_mut(&pair).ok_or(NO_RELATION)?;
    follow.tags.extend(add);
    follow.tags.retain(|id| !remove.contains(id));
    *state.writes.entry(format!("{}:{}", pair.0, pair.1)).or_default() += 1;
    Ok(json!({}))
}

fn chat_list(state: &State, body: &Value) -> Answer {
    let limit = body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).ok_or(BAD_PARAMETER)?;
    let owners = texts(&body["owner_filter"]["userid_list"])?;
    if limit == 0 || limit > 1000 || owners.len() > 100 {
        return Err(BAD_PARAMETER);
    }
    if owners.is_empty() && state.chats.len() > state.chat_list_max {
        return Err(81017);
    }
    let cursor = body["cursor"].as_str().unwrap_or_default();
    let rest = state
        .chats
        .iter()
        .filter(|(id, chat)| id.as_str() > cursor && (owners.is_empty() || owners.contains(&chat.owner)));
    let rest: Vec<&String> = rest.map(|(id, _)| id).collect();
    let page: Vec<Value> = rest.iter().take(limit).map(|id| json!({"chat_id": id, "status": 0})).collect();
    let next = if rest.len() > limit { rest[limit - 1].as_str() } else { "" };
    Ok(json!({"group_chat_list": page, "next_cursor": next}))
}

fn chat(state: &State, body: &Value) -> Answer {
    let id = body["chat_id"].as_str().unwrap_or_default();
    let chat = state.chats.get(id).ok_or(NO_SUCH_CHAT)?;
    let members = chat.members.iter().map(|member| {
        let kind = if state.members.contains(member) { 1 } else { 2 };
        json!({"userid": member, "type": kind, "join_time": chat.created_at, "join_scene": 1})
    });
    let members: Vec<Value> = members.collect();
    Ok(json!({"group_chat": {
        "chat_id": id, "name": chat.name, "owner": chat.owner, "create_time": chat.created_at, "notice": "",
        "member_list": members,
    }}))
}

/// A list of texts; missing is empty.
fn texts(value: &Value) -> Result<Vec<String>, i64> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let list = value.as_array().ok_or(BAD_PARAMETER)?;
    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or(BAD_PARAMETER)).collect()
}
