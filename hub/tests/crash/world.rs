//! Three systems and the hub between them. What they hold is read from the twins, never asked of the hub.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use huiliu_tests::postgres;
use huiliu_twins::hubspot::{self, HubspotTwin};
use huiliu_twins::shopify::{self, ShopifyTwin};
use huiliu_twins::wecom::{AGENT_ID, CALLBACK_TOKEN, CORP_ID, CORP_SECRET, ENCODING_AES_KEY, WecomTwin};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::kit::{Folder, free_port};
use crate::program::{Fate, Program};

/// Nothing takes longer on a busy machine, several deaths included.
const PATIENCE: Duration = Duration::from_secs(120);

/// The twins of all days run here.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
});

/// What is to happen when somebody becomes a manager: it is told once.
const RULES: &str = "[manager]\nentity = 'customer'\nwhen = 'title = \"经理\"'\n\
    do = [{ notify = 'wecom', to = 'zhang', text = '{family_name}{given_name}: {title}' }]\n";

/// Where the hub keeps what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    pub const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// See the module.
pub struct World {
    pub shop: ShopifyTwin,
    pub crm: HubspotTwin,
    pub wecom: Arc<WecomTwin>,
    pub program: Program,
}

impl World {
    /// Starts the systems and makes a deployment whose connections are live; the hub is not running yet.
    pub fn open(store: Store, fate: Fate) -> Self {
        let (shop, crm, wecom) = RUNTIME.block_on(async {
            let shop = ShopifyTwin::start().await.expect("a port");
            (shop, HubspotTwin::start().await.expect("a port"), WecomTwin::start().await)
        });
        let (hub, console) = (free_port(), free_port());
        let address = format!("http://127.0.0.1:{hub}");
        if fate.shop_is_late {
            (0..3).for_each(|_| shop.fault(shopify::Fault::Status(503)));
        }
        shop.set_webhook(&format!("{address}/hooks/shop"));
        crm.set_webhook(&format!("{address}/hooks/crm"), &format!("{address}/hooks/crm"));
        wecom.set_callback(&format!("{address}/hooks/wecom"));
        let folder = Folder::new("");
        let url = prepared(store).copy_to(folder.path());
        let accounts = accounts(&shop, &crm, &wecom, &address);
        folder.write(
            "huiliu.toml",
            &format!(
                "[hub]\nlisten = '127.0.0.1:{hub}'\nstore = '{url}'\n[console]\nlisten = '127.0.0.1:{console}'\n{accounts}"
            ),
        );
        wecom.add_member("zhang");
        folder.write("rules/automation.toml", RULES);
        Self { shop, crm, wecom, program: Program::on(folder, fate) }
    }

    /// Keeps the hub running until something is so.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.program.tend();
            if is_so(self) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: never; they show\n{}\n{}\n{}\n{}",
                self.shown(),
                self.stories(),
                self.program.folder.run(&["status", "--json"]).out,
                self.program.log()
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Keeps the hub running for a while.
    pub fn rest(&mut self, time: Duration) {
        let begun = Instant::now();
        self.until("time passes", |_| begun.elapsed() >= time);
    }

    /// Whether the hub has nothing left to do, and needs nobody.
    pub fn is_idle(&self) -> bool {
        let status = self.program.folder.run(&["status", "--json"]).json();
        let none = ["inbox_waiting", "changes_waiting", "fetches_waiting"].iter().all(|name| status[name] == 0);
        let open = |it: &Value| ["pending", "sending"].contains(&it["state"].as_str().unwrap_or_default());
        let is_open = status["deliveries"].as_array().is_some_and(|all| all.iter().any(open));
        let letters = || self.program.folder.run(&["dead-letters", "--json"]).out;
        assert_eq!(status["dead_letters"], serde_json::json!([]), "{}\n{status}\n{}", letters(), self.program.log());
        let asked = || self.program.folder.run(&["review", "list", "--json"]);
        assert_eq!(status["reviews_waiting"], 0, "{:?}\n{}", asked(), self.shown());
        none && !is_open
    }

    /// The CRM's id of the contact with this address.
    pub fn contact(&self, email: &str) -> String {
        let all = self.crm.snapshot("contacts");
        let found = all.as_object().expect("contacts").iter().find(|(_, it)| it["email"] == email);
        found.unwrap_or_else(|| panic!("no contact has {email}")).0.clone()
    }

    /// The shop's id of the customer with this address.
    pub fn customer(&self, email: &str) -> String {
        let all = self.shop.snapshot();
        let mut all = all["customers"].as_object().expect("customers").iter();
        let found = all.find(|(_, it)| it["defaultEmailAddress"]["emailAddress"] == email);
        found.unwrap_or_else(|| panic!("no customer has {email}")).0.clone()
    }

    /// Every record of every system, a line each.
    pub fn shown(&self) -> String {
        let mut lines = Vec::new();
        let mut line = |system: &str, parts: &[&Value]| {
            let parts: Vec<&str> = parts.iter().map(|it| it.as_str().unwrap_or("-")).collect();
            lines.push(format!("{system}: {}\n", parts.join(" | ")));
        };
        for it in self.shop.snapshot()["customers"].as_object().expect("customers").values() {
            let email = &it["defaultEmailAddress"]["emailAddress"];
            line("shop", &[&it["lastName"], &it["firstName"], email, &it["note"]]);
        }
        for it in self.crm.snapshot("contacts").as_object().expect("contacts").values() {
            line(
                "crm",
                &["lastname", "firstname", "email", "mobilephone", "company", "jobtitle"].map(|name| &it[name]),
            );
        }
        for it in self.wecom.snapshot().as_object().expect("contacts").values() {
            let noted = &it["follow_info"];
            let parts = [&noted["remark_mobiles"][0], &noted["remark_corp_name"], &noted["description"]];
            line("wecom", &[&[&it["external_contact"]["name"]], &parts[..]].concat());
        }
        lines.extend(
            self.wecom
                .messages()
                .iter()
                .map(|(member, text)| format!("told: {member} | {}\n", text.replace('\n', " "))),
        );
        lines.sort();
        lines.concat()
    }

    /// Golden customers, without their numbers, in the order of their texts.
    pub fn goldens(&self) -> String {
        let told = self.program.folder.run(&["export"]).out();
        let mut lines: Vec<String> = told
            .lines()
            .map(|line| {
                let golden: Value = serde_json::from_str(line).expect("JSON");
                format!("golden: {}\n", golden["fields"])
            })
            .collect();
        lines.sort();
        lines.concat()
    }

    /// The number of the golden record with this address.
    pub fn golden(&self, email: &str) -> String {
        let told = self.program.folder.run(&["export"]).out();
        let mut goldens = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let found = goldens.find(|golden| golden["fields"].to_string().contains(email));
        found.unwrap_or_else(|| panic!("nobody has {email}: {told}"))["id"].to_string()
    }

    /// What the hub tells of every golden record and of each of its records: a day that fails by chance is not seen again.
    fn stories(&self) -> String {
        let told = self.program.folder.run(&["export"]).out;
        let goldens = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let story = |golden: Value| {
            let id = golden["id"].to_string();
            let shown = self.program.folder.run(&["show", &id, "--json"]).out;
            let links = serde_json::from_str::<Value>(&shown).map(|mut it| it["links"].take()).unwrap_or_default();
            let records = links.as_array().into_iter().flatten().filter_map(|it| it["record"].as_str());
            let whys = records.map(|record| self.program.folder.run(&["why", record]).out);
            self.program.folder.run(&["show", &id]).out + &whys.collect::<String>()
        };
        goldens.map(story).collect()
    }

    /// How often the hub wrote to each system.
    pub fn writes(&self) -> [u64; 3] {
        [self.shop.writes().values().sum(), self.crm.writes(), self.wecom.writes().values().sum()]
    }
}

fn accounts(shop: &ShopifyTwin, crm: &HubspotTwin, wecom: &WecomTwin, address: &str) -> String {
    let config = |settings: &[(&str, String)]| {
        settings.iter().map(|(name, value)| format!("{name} = '{value}'")).collect::<Vec<_>>().join(", ")
    };
    format!(
        "[connections.shop]\nconnector = 'shopify'\nnetwork = 'private'\ncreates = ['customers']\n\
         every = {{ customers = '1s', orders = '1h' }}\nconfig = {{ {} }}\n\
         [connections.crm]\nconnector = 'hubspot'\nnetwork = 'private'\ncreates = ['contacts']\n\
         every = {{ contacts = '1s', companies = '1h', deals = '1h' }}\nconfig = {{ {} }}\n\
         [connections.wecom]\nconnector = 'wecom'\nnetwork = 'private'\n\
         every = {{ contacts = '1s', chats = '1h', tags = '1h' }}\n\
         config = {{ corp_id = '{CORP_ID}', agent_id = '{AGENT_ID}', base_url = '{}' }}\n",
        config(&shop.settings()),
        config(&crm.settings(address)),
        wecom.base_url()
    )
}

/// A store with secrets and live connections, to be copied: to make it takes a command for each.
struct Prepared {
    folder: Folder,
    url: String,
    store: Store,
}

fn prepared(store: Store) -> &'static Prepared {
    static SQLITE: LazyLock<Prepared> = LazyLock::new(|| Prepared::new(Store::Sqlite));
    static POSTGRES: LazyLock<Prepared> = LazyLock::new(|| Prepared::new(Store::Postgres));
    match store {
        Store::Sqlite => &SQLITE,
        Store::Postgres => &POSTGRES,
    }
}

impl Prepared {
    fn new(store: Store) -> Self {
        let url = if store == Store::Sqlite { "sqlite:data/huiliu.db".to_owned() } else { postgres::database() };
        let (shop, crm, wecom) = RUNTIME.block_on(async {
            let shop = ShopifyTwin::start().await.expect("a port");
            (shop, HubspotTwin::start().await.expect("a port"), WecomTwin::start().await)
        });
        let accounts = accounts(&shop, &crm, &wecom, "http://127.0.0.1:1");
        let folder = Folder::new(&format!("[hub]\nstore = '{url}'\n{accounts}"));
        for (connection, name, value) in [
            ("shop", "access_token", shopify::ACCESS_TOKEN),
            ("shop", "client_secret", shopify::CLIENT_SECRET),
            ("crm", "access_token", hubspot::ACCESS_TOKEN),
            ("crm", "client_secret", hubspot::CLIENT_SECRET),
            ("wecom", "corp_secret", CORP_SECRET),
            ("wecom", "callback_token", CALLBACK_TOKEN),
            ("wecom", "encoding_aes_key", ENCODING_AES_KEY),
        ] {
            folder.tell(&["secret", connection, name], value).out();
        }
        for name in ["shop", "crm", "wecom"] {
            folder.run(&["go-live", name, "--yes"]).out();
        }
        Self { folder, url, store }
    }

    /// Answers the URL of the copy.
    fn copy_to(&self, folder: &Path) -> String {
        let (from, to) = (self.folder.path().join("data"), folder.join("data"));
        std::fs::create_dir_all(&to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
        match self.store {
            Store::Sqlite => self.url.clone(),
            Store::Postgres => postgres::copy(&self.url),
        }
    }
}
