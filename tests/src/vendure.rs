//! A real Vendure shop, on a database of its own, and the people in it.
//!
//! tests/servers/vendure/ is the shop's configuration; its `install.sh` makes the database that each start copies. Buyers
//! act through the shop's public API and staff through its admin API, in words of their own: never through our connector.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::judge;
use crate::server::{Server, free_port};

/// The hub's account in the shop.
pub const USERNAME: &str = "hub";

/// Its password.
pub const PASSWORD: &str = "hub-password-1";

/// The password of everybody who registers.
const BUYERS_PASSWORD: &str = "Long-password-7";

/// What an act says of itself, or why it was refused.
const TOLD: &str = "{ __typename ... on ErrorResult { errorCode message } }";

/// See the module.
pub struct Vendure {
    server: Server,
    folder: tempfile::TempDir,
}

/// Somebody's session with one of the two APIs.
struct Session<'a> {
    shop: &'a Vendure,
    path: &'static str,
    token: Option<String>,
}

impl Vendure {
    /// Starts a shop without customers. `settings` are added to its environment.
    pub fn start(settings: &[(&'static str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("shop.sqlite3");
        let installed = judge::tools().join("vendure");
        std::fs::copy(installed.join("shop.sqlite3"), &database)
            .unwrap_or_else(|error| panic!("the shop's database is not there ({error}); run ./test.sh"));
        let (port, settings, here) = (free_port(), settings.to_vec(), folder.path().to_owned());
        let make = move || {
            let mut command = Command::new("node");
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/vendure/index.js"));
            command.current_dir(&here).env("NODE_PATH", installed.join("node_modules")).env("SHOP_DB", &database);
            command.env("PORT", port.to_string()).envs(settings.clone());
            command
        };
        let server = Server::start(port, folder.path().join("log"), "/health", make);
        Self { server, folder }
    }

    /// The server process.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where its admin API is.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}/admin-api", self.server.port)
    }

    fn session(&self, path: &'static str) -> Session<'_> {
        Session { shop: self, path, token: None }
    }

    /// Staff say something to the admin API; the answer is its `data`.
    pub fn staff(&self, document: &str, variables: &Value) -> Value {
        let mut staff = self.session("/admin-api");
        staff.log_in(USERNAME, PASSWORD);
        staff.say(document, variables)
    }

    /// Somebody opens an account.
    pub fn register(&self, email: &str, first: &str, last: &str, phone: &str) {
        let account = json!({ "emailAddress": email, "firstName": first, "lastName": last, "phoneNumber": phone,
            "password": BUYERS_PASSWORD });
        let document = format!("mutation($i: RegisterCustomerInput!) {{ registerCustomerAccount(input: $i) {TOLD} }}");
        self.session("/shop-api").act(&document, &json!({ "i": account }));
    }

    /// A checkout through the public API, paid at once: of somebody with an account, or of a guest with this name.
    pub fn buy(&self, email: &str, guest: Option<(&str, &str)>, sku: &str, quantity: u32) {
        let mut buyer = self.session("/shop-api");
        if guest.is_none() {
            buyer.log_in(email, BUYERS_PASSWORD);
        }
        let all = self.staff("{ productVariants { items { id sku } } }", &Value::Null);
        let variants = all["productVariants"]["items"].as_array().expect("a list");
        let variant = &variants.iter().find(|it| it["sku"] == sku).expect("it is sold")["id"];
        let add =
            format!("mutation($v: ID!, $n: Int!) {{ addItemToOrder(productVariantId: $v, quantity: $n) {TOLD} }}");
        buyer.act(&add, &json!({ "v": variant, "n": quantity }));
        if let Some((first, last)) = guest {
            let who = json!({ "emailAddress": email, "firstName": first, "lastName": last });
            buyer.act(
                &format!("mutation($i: CreateCustomerInput!) {{ setCustomerForOrder(input: $i) {TOLD} }}"),
                &json!({ "i": who }),
            );
        }
        let address = json!({ "fullName": "王收件", "streetLine1": "延安路1号", "city": "杭州", "countryCode": "CN" });
        buyer.act(
            &format!("mutation($i: CreateAddressInput!) {{ setOrderShippingAddress(input: $i) {TOLD} }}"),
            &json!({ "i": address }),
        );
        let ways = buyer.say("{ eligibleShippingMethods { id } }", &Value::Null);
        let way = &ways["eligibleShippingMethods"][0]["id"];
        buyer.act(
            &format!("mutation($i: [ID!]!) {{ setOrderShippingMethod(shippingMethodId: $i) {TOLD} }}"),
            &json!({ "i": [way] }),
        );
        buyer.act(&format!("mutation {{ transitionOrderToState(state: \"ArrangingPayment\") {TOLD} }}"), &Value::Null);
        let pay = format!("mutation {{ addPaymentToOrder(input: {{ method: \"dummy\", metadata: {{}} }}) {TOLD} }}");
        buyer.act(&pay, &Value::Null);
    }

    /// Staff change a customer.
    pub fn edit(&self, id: &str, fields: &Value) {
        let mut input = fields.clone();
        input["id"] = json!(id);
        let document = format!("mutation($i: UpdateCustomerInput!) {{ updateCustomer(input: $i) {TOLD} }}");
        let told = self.staff(&document, &json!({ "i": input }));
        assert_eq!(told["updateCustomer"]["errorCode"], Value::Null, "{told}");
    }

    /// Staff remove a customer.
    pub fn remove(&self, id: &str) {
        self.staff("mutation($id: ID!) { deleteCustomer(id: $id) { result } }", &json!({ "id": id }));
    }

    /// Staff enter many customers; all of them, and whoever is there already, then bear one and the same stamp.
    pub fn crowd(&self, count: usize) {
        let mut staff = self.session("/admin-api");
        staff.log_in(USERNAME, PASSWORD);
        let document = format!("mutation($i: CreateCustomerInput!) {{ createCustomer(input: $i) {TOLD} }}");
        for number in 0..count {
            let email = format!("buyer{number}@example.com");
            let buyer = json!({ "firstName": format!("Buyer {number}"), "lastName": "", "emailAddress": email });
            staff.act(&document, &json!({ "i": buyer }));
        }
        let script = "import sqlite3, sys; base = sqlite3.connect(sys.argv[1], 20); \
            base.execute(\"UPDATE customer SET updatedAt = (SELECT max(updatedAt) FROM customer)\"); base.commit()";
        let database = self.folder.path().join("shop.sqlite3");
        let done = Command::new("python3").args(["-c", script]).arg(database).status().expect("python3");
        assert!(done.success());
    }

    /// The customers of the shop, by id.
    pub fn customers(&self) -> Map<String, Value> {
        let document =
            "{ customers(options: { take: 1000 }) { items { id firstName lastName phoneNumber emailAddress } } }";
        let told = self.staff(document, &Value::Null);
        let items = told["customers"]["items"].as_array().expect("a list").iter();
        items.map(|it| (it["id"].as_str().expect("an id").to_owned(), it.clone())).collect()
    }

    /// How often the hub made (`createCustomer`) or changed (`updateCustomer`) a customer, by what the shop printed. Its
    /// calls bear names, those of the people do not.
    pub fn writes(&self, mutation: &str) -> u64 {
        let line = format!("mutation {mutation} {mutation}");
        self.server.log().lines().filter(|printed| *printed == line).count() as u64
    }
}

impl Session<'_> {
    fn log_in(&mut self, username: &str, password: &str) {
        let document = format!("mutation($u: String!, $p: String!) {{ login(username: $u, password: $p) {TOLD} }}");
        self.act(&document, &json!({ "u": username, "p": password }));
    }

    /// An act that the shop takes.
    fn act(&mut self, document: &str, variables: &Value) {
        let told = self.say(document, variables);
        let refused = told.as_object().into_iter().flat_map(Map::values).find(|it| !it["errorCode"].is_null());
        assert_eq!(refused, None, "{document} {variables}");
    }

    fn say(&mut self, document: &str, variables: &Value) -> Value {
        let call = json!({ "query": document, "variables": variables }).to_string();
        let token = self.token.as_deref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let mut stream = TcpStream::connect(("127.0.0.1", self.shop.server.port)).expect("the shop listens");
        // HTTP/1.0, so that the answer ends with the connection.
        write!(
            stream,
            "POST {} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{token}Content-Length: {}\r\n\r\n{call}",
            self.path,
            call.len()
        )
        .expect("the shop takes the call");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the shop answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let given = head.lines().find_map(|line| line.strip_prefix("vendure-auth-token: ")).filter(|it| !it.is_empty());
        self.token = given.map(str::to_owned).or(self.token.take());
        let told: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert!(told["errors"].is_null(), "{document} {variables}: {told}");
        told["data"].clone()
    }
}
