//! The pretended systems, as their own people see them: what is in each, and who wrote to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_twins::hooks::Tally;
use huiliu_twins::kingdee::KingdeeTwin;
use huiliu_twins::mailbox::MailboxTwin;
use huiliu_twins::shopify::ShopifyTwin;
use huiliu_twins::wecom::WecomTwin;
use serde_json::Value;

/// 企业微信, a shop, the ledgers of a head office and of a branch, and a mailbox.
pub struct Systems {
    /// 企业微信.
    pub wecom: Arc<WecomTwin>,
    /// The shop.
    pub shop: ShopifyTwin,
    /// The ERP of the head office.
    pub erp: KingdeeTwin,
    /// The ERP of the branch.
    pub branch: KingdeeTwin,
    /// The mailbox that customers write to.
    pub mailbox: MailboxTwin,
}

/// One record as its system shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The connection's name.
    pub system: String,
    /// Whom or what it is about, in that system's own spelling. Companies go by their tax number.
    pub who: String,
    /// What it says; an empty field says nothing and is left out.
    pub fields: BTreeMap<String, String>,
}

impl Systems {
    /// Starts them on free loopback ports, empty.
    pub async fn start() -> Result<Self, String> {
        let told = |error: std::io::Error| format!("no free port on this machine: {error}");
        Ok(Self {
            wecom: WecomTwin::start().await,
            shop: ShopifyTwin::start().await.map_err(told)?,
            erp: KingdeeTwin::start().await.map_err(told)?,
            branch: KingdeeTwin::start().await.map_err(told)?,
            mailbox: MailboxTwin::start().await.map_err(told)?,
        })
    }

    /// From now on webhooks go to the hub at this address.
    pub fn subscribe(&self, hub: &str) {
        self.wecom.set_callback(&format!("{hub}/hooks/wecom"));
        self.shop.set_webhook(&format!("{hub}/hooks/shop"));
    }

    /// Everything that is in them.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = contacts(&self.wecom.snapshot());
        rows.extend(shop_rows(&self.shop.snapshot()));
        rows.extend(ledger("erp", &self.erp.snapshot()));
        rows.extend(ledger("branch", &self.branch.snapshot()));
        rows.extend(mails(&self.mailbox.snapshot()));
        rows
    }

    /// What a system says about somebody; an empty text where it says nothing.
    pub fn says(&self, system: &str, who: &str, field: &str) -> String {
        let row = self.rows().into_iter().find(|row| row.system == system && row.who == who);
        row.and_then(|mut row| row.fields.remove(field)).unwrap_or_default()
    }

    /// Whether a system knows somebody.
    pub fn knows(&self, system: &str, who: &str) -> bool {
        self.rows().iter().any(|row| row.system == system && row.who == who)
    }

    /// Writing calls that arrived, by system.
    pub fn writes(&self) -> BTreeMap<&'static str, u64> {
        let calls = self.wecom.calls();
        let wecom = ["externalcontact/remark", "externalcontact/mark_tag"];
        let ledger = |twin: &KingdeeTwin| {
            let writes = twin.writes();
            writes.saves + writes.submits + writes.audits
        };
        BTreeMap::from([
            ("wecom", wecom.iter().filter_map(|call| calls.get(*call)).sum()),
            ("shop", self.shop.writes().values().sum()),
            ("erp", ledger(&self.erp)),
            ("branch", ledger(&self.branch)),
            ("mail", u64::try_from(self.mailbox.sent().len()).unwrap_or(u64::MAX)),
        ])
    }

    /// What became of the webhooks.
    pub fn webhooks(&self) -> Tally {
        self.wecom.hooks.tally() + self.shop.hooks().tally()
    }
}

fn row(system: &str, who: String, fields: impl IntoIterator<Item = (&'static str, String)>) -> Row {
    let said = fields.into_iter().filter(|(_, text)| !text.is_empty());
    let fields = said.map(|(name, text)| (name.to_owned(), text)).collect();
    Row { system: system.to_owned(), who, fields }
}

/// A text, a number, or several of them with commas; blanks at the ends do not count.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

fn each(snapshot: &Value) -> impl Iterator<Item = &Value> {
    snapshot.as_object().into_iter().flatten().map(|(_, record)| record)
}

fn contacts(snapshot: &Value) -> Vec<Row> {
    let shown = each(snapshot).map(|contact| {
        let (person, noted) = (&contact["external_contact"], &contact["follow_info"]);
        let fields = [
            ("adviser", text(&contact["userid"])),
            ("alias", text(&noted["remark"])),
            ("note", text(&noted["description"])),
            ("company", text(&noted["remark_corp_name"])),
            ("phone", text(&noted["remark_mobiles"])),
            ("tags", text(&noted["tag_names"])),
        ];
        row("wecom", text(&person["name"]), fields)
    });
    shown.collect()
}

fn shop_rows(snapshot: &Value) -> Vec<Row> {
    let name = |customer: &Value| {
        let whole = format!("{} {}", text(&customer["firstName"]), text(&customer["lastName"]));
        whole.trim().to_owned()
    };
    let customers = each(&snapshot["customers"]).map(|customer| {
        let fields = [
            ("note", text(&customer["note"])),
            ("email", text(&customer["defaultEmailAddress"]["emailAddress"])),
            ("phone", text(&customer["defaultPhoneNumber"]["phoneNumber"])),
            ("tags", text(&customer["tags"])),
        ];
        row("shop", name(customer), fields)
    });
    let orders = each(&snapshot["orders"]).map(|order| {
        let buyer = order["customer"]["id"].as_str().map(|id| name(&snapshot["customers"][id]));
        let total = text(&order["totalPriceSet"]["shopMoney"]["amount"]);
        let fields = [("buyer", buyer.unwrap_or_default()), ("phone", text(&order["phone"])), ("total", total)];
        row("shop", text(&order["name"]), fields)
    });
    customers.chain(orders).collect()
}

fn ledger(system: &str, snapshot: &Value) -> Vec<Row> {
    let customers = each(&snapshot["customers"]).map(|customer| {
        let fields = [
            ("name", text(&customer["FName"])),
            ("contact", text(&customer["FContact"])),
            ("phone", text(&customer["FPhone"])),
            ("status", text(&customer["FDocumentStatus"])),
        ];
        row(system, text(&customer["FTAXREGISTERCODE"]), fields)
    });
    let orders = each(&snapshot["orders"]).map(|order| {
        let buyer = text(&snapshot["customers"][text(&order["FCustId"])]["FTAXREGISTERCODE"]);
        row(system, text(&order["FBillNo"]), [("buyer", buyer), ("total", text(&order["FBillAllAmount_LC"]))])
    });
    customers.chain(orders).collect()
}

/// Mails by their subject: those in the folders, and those that the hub sent.
fn mails(snapshot: &Value) -> Vec<Row> {
    let kept = each(&snapshot["folders"]).flat_map(|folder| folder["mails"].as_array().into_iter().flatten());
    let sent = snapshot["sent"].as_array().into_iter().flatten();
    let row = |mail: &Value| {
        let raw = mail["raw"].as_str().unwrap_or_default();
        let header = |name: &str| raw.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        row("mail", header("Subject: "), [("from", header("From: "))])
    };
    kept.chain(sent).map(row).collect()
}
