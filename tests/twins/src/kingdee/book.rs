//! The records, and the rules of documents: draft, in review, approved, reopened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::filter::{self, Fields, Filter};

/// How many writes were carried out through the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Records saved, new or changed.
    pub saves: u64,
    /// Records submitted.
    pub submits: u64,
    /// Records approved.
    pub audits: u64,
}

/// An order: header and entries.
struct Order {
    head: Fields,
    entries: Vec<Fields>,
}

/// Everything the twin keeps.
pub struct Book {
    customers: BTreeMap<u64, Fields>,
    orders: BTreeMap<u64, Order>,
    last_id: u64,
    saved_texts: BTreeSet<String>,
    pub now_s: Option<i64>,
    pub rows_max: usize,
    pub writes: Writes,
    pub queries: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            customers: BTreeMap::new(),
            orders: BTreeMap::new(),
            last_id: 100_000,
            saved_texts: BTreeSet::new(),
            now_s: None,
            rows_max: ROWS_MAX,
            writes: Writes::default(),
            queries: 0,
        }
    }
}

/// A refusal: the field, and the message in the vendor's language.
pub type Refusal = (String, String);

/// The vendor's default maximum of one query.
const ROWS_MAX: usize = 10_000;

/// The organizations of the account.
const ORGS: [&str; 2] = ["100", "101"];

const CUSTOMER_KEYS: [&str; 13] = [
    "FCUSTID",
    "FNumber",
    "FName",
    "FShortName",
    "FContact",
    "FPhone",
    "FTAXREGISTERCODE",
    "FADDRESS",
    "FDocumentStatus",
    "FForbidStatus",
    "FCreateOrgId.FNumber",
    "FUseOrgId.FNumber",
    "FModifyDate",
];

const ORDER_KEYS: [&str; 13] = [
    "FID",
    "FBillNo",
    "FDate",
    "FDocumentStatus",
    "FCustId",
    "FCustId.FNumber",
    "FCustId.FName",
    "FSaleOrgId.FNumber",
    "FSalerId.FNumber",
    "FModifyDate",
    "FBillAllAmount",
    "FBillAllAmount_LC",
    "FSettleCurrId.FCODE",
];

const ENTRY_KEYS: [&str; 6] =
    ["FSaleOrderEntry_FEntryId", "FMaterialId.FNumber", "FMaterialId.FName", "FQty", "FTaxPrice", "FAllAmount"];

/// Keys that only the system sets.
const OWN_KEYS: [&str; 3] = ["FCUSTID", "FDocumentStatus", "FModifyDate"];

impl Book {
    pub fn put_customer(&mut self, fields: &Value) -> u64 {
        let id = self.next_id();
        let mut customer = self.blank_customer(id, "C");
        customer.insert("FNumber".to_owned(), json!(format!("CUST{id}")));
        customer.extend(flat(fields).into_iter().map(|(key, value)| tidy(key, &value)));
        self.customers.insert(id, customer);
        id
    }

    pub fn edit_customer(&mut self, id: &str, fields: &Value) -> bool {
        let stamp = self.stamp();
        let Some(customer) = id.parse().ok().and_then(|id: u64| self.customers.get_mut(&id)) else { return false };
        customer.insert("FModifyDate".to_owned(), stamp);
        customer.extend(flat(fields).into_iter().map(|(key, value)| tidy(key, &value)));
        true
    }

    pub fn delete_customer(&mut self, id: &str) -> bool {
        id.parse().ok().and_then(|id: u64| self.customers.remove(&id)).is_some()
    }

    pub fn put_order(&mut self, fields: &Value) -> u64 {
        let id = self.next_id();
        let entries = fields["entries"].as_array().cloned().unwrap_or_default();
        let mut entries: Vec<Fields> = entries.iter().map(flat).collect();
        for entry in &mut entries {
            entry.insert(ENTRY_KEYS[0].to_owned(), json!(self.next_id()));
        }
        let mut head = flat(fields);
        head.remove("entries");
        head.entry("FBillNo".to_owned()).or_insert_with(|| json!(format!("XSDD{id}")));
        head.entry("FDocumentStatus".to_owned()).or_insert_with(|| json!("C"));
        head.insert("FID".to_owned(), json!(id));
        head.entry("FModifyDate".to_owned()).or_insert(self.stamp());
        self.orders.insert(id, Order { head, entries });
        id
    }

    pub fn edit_order(&mut self, id: &str, fields: &Value) -> bool {
        let stamp = self.stamp();
        let Some(order) = id.parse().ok().and_then(|id: u64| self.orders.get_mut(&id)) else { return false };
        order.head.insert("FModifyDate".to_owned(), stamp);
        order.head.extend(flat(fields));
        true
    }

    pub fn snapshot(&self) -> Value {
        let orders: Map<String, Value> = self
            .orders
            .iter()
            .map(|(id, order)| {
                let mut fields = order.head.clone();
                fields.insert("entries".to_owned(), json!(order.entries));
                (id.to_string(), json!(fields))
            })
            .collect();
        let customers: Map<String, Value> =
            self.customers.iter().map(|(id, fields)| (id.to_string(), json!(fields))).collect();
        json!({ "customers": customers, "orders": orders })
    }

    /// `ExecuteBillQuery`: rows of values in the order of the asked keys.
    pub fn query(&mut self, ask: &Value) -> Result<Value, Refusal> {
        self.queries += 1;
        let text = |key: &str| ask[key].as_str().unwrap_or_default();
        let keys: Vec<&str> = text("FieldKeys").split(',').map(str::trim).collect();
        let filter = Filter::parse(text("FilterString")).map_err(|message| (String::new(), message))?;
        let sort: Vec<(&str, bool)> = text("OrderString").split(',').filter_map(sort_key).collect();
        let named: Vec<&str> =
            keys.iter().copied().chain(filter.keys()).chain(sort.iter().map(|(key, _)| *key)).collect();
        let mut rows = self.rows(text("FormId"), &named)?;
        rows.retain(|row| filter.fits(row));
        rows.sort_by(|a, b| {
            let orders = sort.iter().map(|(key, is_down)| {
                let order = filter::order(a.get(*key).unwrap_or(&Value::Null), b.get(*key).unwrap_or(&Value::Null));
                if *is_down { order.reverse() } else { order }
            });
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        let count = |key: &str| ask[key].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
        let limits = [count("TopRowCount"), count("Limit")].into_iter().filter(|&limit| limit > 0);
        let limit = limits.chain([self.rows_max]).min().unwrap_or(ROWS_MAX);
        let page = rows.iter().skip(count("StartRow")).take(limit);
        Ok(page.map(|row| keys.iter().map(|key| shown(row, key)).collect::<Value>()).collect())
    }

    /// `View`: the record in the vendor's own nesting.
    pub fn view(&self, form: &str, data: &Value) -> Result<Value, Refusal> {
        if form != "BD_Customer" {
            return Err((String::new(), format!("表单 {form} 不存在")));
        }
        let (id, fields) =
            self.customers.get(&self.find(data)?).map(|fields| (&fields["FCUSTID"], fields)).ok_or_else(missing)?;
        let text = |key: &str| shown(fields, key);
        Ok(json!({
            "Id": id,
            "Number": text("FNumber"),
            "Name": [{ "Key": 2052, "Value": text("FName") }],
            "DocumentStatus": text("FDocumentStatus"),
            "CreateOrgId": { "Number": text("FCreateOrgId.FNumber") },
            "UseOrgId": { "Number": text("FUseOrgId.FNumber") },
            "FModifyDate": text("FModifyDate"),
        }))
    }

    /// `Save`: id and number of the saved record.
    pub fn save(&mut self, form: &str, data: &Value) -> Result<(u64, String), Refusal> {
        if form != "BD_Customer" {
            return Err((String::new(), format!("表单 {form} 不能保存")));
        }
        let text = data.to_string();
        let is_once = data["ValidateRepeatJson"] == "true" || data["ValidateRepeatJson"] == true;
        if is_once && self.saved_texts.contains(&text) {
            return Err((String::new(), "数据重复提交".to_owned()));
        }
        let model = flat(&data["Model"]);
        for key in ["FCreateOrgId.FNumber", "FUseOrgId.FNumber"] {
            if let Some(org) = model.get(key).filter(|org| !ORGS.iter().any(|known| *org == known)) {
                return Err((key.to_owned(), format!("组织 {org} 不存在")));
            }
        }
        let fields: Vec<&str> =
            data["NeedUpDateFields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let saved = match model.get("FCUSTID").and_then(|id| plain(id).parse().ok()).filter(|id| *id > 0) {
            Some(id) => self.save_changed(id, &model, &fields)?,
            None => self.save_new(&model)?,
        };
        if is_once {
            self.saved_texts.insert(text);
        }
        self.writes.saves += 1;
        Ok(saved)
    }

    /// `Submit` and `Audit` of every id in the comma text `Ids`.
    pub fn advance(&mut self, form: &str, data: &Value, from: &[&str], to: &str) -> Result<(u64, String), Refusal> {
        if form != "BD_Customer" {
            return Err((String::new(), format!("表单 {form} 不存在")));
        }
        let id: u64 = plain(&data["Ids"]).parse().map_err(|_| missing())?;
        let customer = self.customers.get_mut(&id).ok_or_else(missing)?;
        let status = plain(&customer["FDocumentStatus"]);
        if !from.contains(&status.as_str()) {
            return Err(("FDocumentStatus".to_owned(), format!("单据状态 {status} 不允许此操作")));
        }
        customer.insert("FDocumentStatus".to_owned(), json!(to));
        let number = plain(&customer["FNumber"]);
        *if to == "B" { &mut self.writes.submits } else { &mut self.writes.audits } += 1;
        Ok((id, number))
    }

    fn save_new(&mut self, model: &Fields) -> Result<(u64, String), Refusal> {
        if model.get("FName").is_none_or(|name| plain(name).trim().is_empty()) {
            return Err(("FName".to_owned(), "客户名称是必填项".to_owned()));
        }
        if !model.contains_key("FCreateOrgId.FNumber") {
            return Err(("FCreateOrgId".to_owned(), "创建组织是必填项".to_owned()));
        }
        let number = model.get("FNumber").map(plain);
        if self
            .customers
            .values()
            .any(|known| number.as_ref().is_some_and(|number| plain(&known["FNumber"]) == *number))
        {
            return Err(("FNumber".to_owned(), "编码在系统中已经被使用".to_owned()));
        }
        let id = self.next_id();
        let mut customer = self.blank_customer(id, "A");
        customer.insert("FNumber".to_owned(), json!(number.unwrap_or_else(|| format!("CUST{id}"))));
        customer.extend(writable(model));
        let number = plain(&customer["FNumber"]);
        self.customers.insert(id, customer);
        Ok((id, number))
    }

    fn save_changed(&mut self, id: u64, model: &Fields, fields: &[&str]) -> Result<(u64, String), Refusal> {
        let stamp = self.stamp();
        let customer = self.customers.get_mut(&id).ok_or_else(missing)?;
        let status = plain(&customer["FDocumentStatus"]);
        if status == "B" {
            return Err(("FDocumentStatus".to_owned(), "单据审核中，不允许修改".to_owned()));
        }
        if fields.is_empty() {
            // Without NeedUpDateFields the system blanks what was not sent.
            for key in ["FShortName", "FContact", "FPhone", "FTAXREGISTERCODE", "FADDRESS"] {
                customer.insert(key.to_owned(), json!(" "));
            }
        }
        let is_listed = |key: &str| fields.is_empty() || fields.contains(&key.split('.').next().unwrap_or(key));
        customer.extend(writable(model).filter(|(key, _)| is_listed(key)));
        customer.insert("FModifyDate".to_owned(), stamp);
        if status == "C" {
            customer.insert("FDocumentStatus".to_owned(), json!("D"));
        }
        Ok((id, plain(&customer["FNumber"])))
    }

    /// Every row of a form that the named keys can speak about.
    fn rows(&self, form: &str, named: &[&str]) -> Result<Vec<Fields>, Refusal> {
        let unknown = |known: &[&str]| {
            named.iter().find(|key| !known.contains(*key)).map(|key| ((*key).to_owned(), format!("字段 {key} 不存在")))
        };
        match form {
            "BD_Customer" => {
                unknown(&CUSTOMER_KEYS).map_or_else(|| Ok(self.customers.values().cloned().collect()), Err)
            }
            "SAL_SaleOrder" => {
                if let Some(refusal) = unknown(&[&ORDER_KEYS[..], &ENTRY_KEYS[..]].concat()) {
                    return Err(refusal);
                }
                let by_entry = named.iter().any(|key| ENTRY_KEYS.contains(key));
                Ok(self.orders.values().flat_map(|order| self.order_rows(order, by_entry)).collect())
            }
            other => Err((String::new(), format!("业务对象 {other} 不存在"))),
        }
    }

    fn order_rows(&self, order: &Order, by_entry: bool) -> Vec<Fields> {
        let mut head = order.head.clone();
        let customer =
            head.get("FCustId").and_then(|id| plain(id).parse().ok()).and_then(|id: u64| self.customers.get(&id));
        for (key, from) in [("FCustId.FNumber", "FNumber"), ("FCustId.FName", "FName")] {
            head.insert(key.to_owned(), customer.map_or(Value::Null, |customer| customer[from].clone()));
        }
        if !by_entry {
            return vec![head];
        }
        let with = |entry: &Fields| head.clone().into_iter().chain(entry.clone()).collect();
        order.entries.iter().map(with).collect()
    }

    fn blank_customer(&self, id: u64, status: &str) -> Fields {
        let mut customer: Fields = CUSTOMER_KEYS.iter().map(|key| ((*key).to_owned(), json!(" "))).collect();
        customer.insert("FCUSTID".to_owned(), json!(id));
        customer.insert("FDocumentStatus".to_owned(), json!(status));
        customer.insert("FForbidStatus".to_owned(), json!("A"));
        customer.insert("FCreateOrgId.FNumber".to_owned(), json!(ORGS[0]));
        customer.insert("FUseOrgId.FNumber".to_owned(), json!(ORGS[0]));
        customer.insert("FModifyDate".to_owned(), self.stamp());
        customer
    }

    fn find(&self, data: &Value) -> Result<u64, Refusal> {
        let id = plain(&data["Id"]).parse().unwrap_or(0);
        let number = plain(&data["Number"]);
        let fits = |(known, fields): &(&u64, &Fields)| {
            **known == id || (!number.is_empty() && plain(&fields["FNumber"]) == number)
        };
        self.customers.iter().find(fits).map(|(id, _)| *id).ok_or_else(missing)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whole seconds in GMT+8, without a zone.
    fn stamp(&self) -> Value {
        #[allow(clippy::disallowed_methods)] // A stand-in has its own clock, as a vendor has; a test may stop it.
        let now_s = self.now_s.unwrap_or_else(|| jiff::Timestamp::now().as_second());
        let now = jiff::Timestamp::from_second(now_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        json!(jiff::tz::offset(8).to_datetime(now).strftime("%Y-%m-%dT%H:%M:%S").to_string())
    }
}

fn sort_key(text: &str) -> Option<(&str, bool)> {
    let mut words = text.split_whitespace();
    Some((words.next()?, words.next().is_some_and(|word| word.eq_ignore_ascii_case("desc"))))
}

fn shown(row: &Fields, key: &str) -> Value {
    row.get(key).cloned().unwrap_or(Value::Null)
}

fn missing() -> Refusal {
    (String::new(), "传递的主键值在系统中不存在".to_owned())
}

/// The part of a model that a caller may set; unknown fields are passed over in silence, as the vendor does.
fn writable(model: &Fields) -> impl Iterator<Item = (String, Value)> {
    let known =
        model.iter().filter(|(key, _)| CUSTOMER_KEYS.contains(&key.as_str()) && !OWN_KEYS.contains(&key.as_str()));
    known.map(|(key, value)| tidy(key.clone(), value))
}

/// What the system makes of a text: no blanks at its ends, tax codes in capitals, a blank for an empty one.
fn tidy(key: String, value: &Value) -> (String, Value) {
    let Value::String(text) = value else { return (key, value.clone()) };
    let text = if key == "FTAXREGISTERCODE" { text.trim().to_uppercase() } else { text.trim().to_owned() };
    (key, json!(if text.is_empty() { " ".to_owned() } else { text }))
}

/// Nested objects as dotted keys.
fn flat(value: &Value) -> Fields {
    let mut fields = Fields::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => {
                fields.extend(flat(value).into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            other => {
                fields.insert(key.clone(), other.clone());
            }
        }
    }
    fields
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
