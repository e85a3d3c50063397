//! What the pretended corp holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A member and a customer: one follow relation.
pub(super) type Pair = (String, String);

/// A customer as `WeChat` shows them.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The name that the person gave themselves.
    pub name: String,
    /// 0 unknown, 1 male, 2 female.
    pub gender: u8,
    /// 1 a `WeChat` user, 2 a `WeCom` user of another corp.
    pub kind: u8,
    /// The union id, where the corp has bound an Open Platform account.
    pub unionid: Option<String>,
    /// The corp of a `WeCom` user.
    pub corp_name: Option<String>,
    /// The position of a `WeCom` user.
    pub position: Option<String>,
}

impl Customer {
    /// A `WeChat` user of unknown gender without a union id.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), gender: 0, kind: 1, unionid: None, corp_name: None, position: None }
    }

    /// The same with a union id.
    #[must_use]
    pub fn with_unionid(self, unionid: &str) -> Self {
        Self { unionid: Some(unionid.to_owned()), ..self }
    }

    /// The same with a gender: 1 male, 2 female.
    #[must_use]
    pub fn with_gender(self, gender: u8) -> Self {
        Self { gender, ..self }
    }

    pub(super) fn json(&self, external_userid: &str) -> Value {
        let mut shown = json!({
            "external_userid": external_userid, "name": self.name, "type": self.kind, "gender": self.gender,
            "avatar": format!("http://wx.qlogo.cn/mmhead/{external_userid}/0"),
        });
        let more = [("unionid", &self.unionid), ("corp_name", &self.corp_name), ("position", &self.position)];
        for (name, value) in more {
            if let Some(value) = value {
                shown[name] = value.as_str().into();
            }
        }
        shown
    }
}

/// What a member notes about a customer.
#[derive(Clone, Debug, Default)]
pub(super) struct Follow {
    pub(super) remark: String,
    pub(super) description: String,
    pub(super) company: String,
    pub(super) mobiles: Vec<String>,
    /// Corp tag ids.
    pub(super) tags: BTreeSet<String>,
    /// Names of the member's own tags.
    pub(super) personal_tags: BTreeSet<String>,
    pub(super) created_at: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) group: String,
}

#[derive(Clone, Debug)]
pub(super) struct Chat {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) created_at: i64,
    pub(super) members: Vec<String>,
}

/// Everything behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) members: BTreeSet<String>,
    pub(super) customers: BTreeMap<String, Customer>,
    pub(super) follows: BTreeMap<Pair, Follow>,
    pub(super) tags: Vec<Tag>,
    pub(super) chats: BTreeMap<String, Chat>,
    /// What the app told members: the request, and who it reached.
    pub(super) messages: Vec<(Value, Vec<String>)>,
    pub(super) writes: BTreeMap<String, u64>,
    pub(super) calls: BTreeMap<String, u64>,
    pub(super) token: Option<Issued>,
    pub(super) tokens_issued: u64,
    pub(super) faults: Faults,
    pub(super) made: u64,
    pub(super) callback: Option<String>,
    pub(super) json_callbacks: bool,
    pub(super) fixed_time: Option<i64>,
    pub(super) chat_list_max: usize,
    pub(super) token_seconds: i64,
}

/// The token in force.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) text: String,
    pub(super) ends_at: i64,
    /// Ended before its time.
    pub(super) ended: bool,
}

/// Answers that the next calls get whatever they ask.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// This `errcode` for so many calls.
    pub(super) refusals: Option<(i64, u32)>,
    /// This `errcode` for one call of this name, after it was carried out.
    pub(super) lost_reply: Option<String>,
}

impl State {
    pub(super) fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(super) fn tag_names(&self, follow: &Follow) -> BTreeSet<String> {
        self.tags.iter().filter(|tag| follow.tags.contains(&tag.id)).map(|tag| tag.name.clone()).collect()
    }

    /// The part of a follow relation that both calls show alike.
    pub(super) fn follow_json(pair: &Pair, follow: &Follow) -> Value {
        json!({
            "userid": pair.0, "remark": follow.remark, "description": follow.description,
            "createtime": follow.created_at, "remark_corp_name": follow.company, "remark_mobiles": follow.mobiles,
            "oper_userid": pair.0, "add_way": 1, "state": "",
        })
    }

    /// Every relation, tags by name, for comparison with other systems.
    pub(super) fn snapshot(&self) -> Value {
        let rows = self.follows.iter().map(|(pair, follow)| {
            let mut follow_info = Self::follow_json(pair, follow);
            follow_info["tag_names"] = self.tag_names(follow).into_iter().collect();
            let customer = self.customers.get(&pair.1).map(|customer| customer.json(&pair.1));
            let row = json!({"userid": pair.0, "external_contact": customer, "follow_info": follow_info});
            (format!("{}:{}", pair.0, pair.1), row)
        });
        Value::Object(rows.collect())
    }
}
