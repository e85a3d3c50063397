//! The deployment folder of a demo: the same files that a real deployment has.

use std::fs;
use std::path::{Path, PathBuf};

use huiliu_core::seal::SealedVault;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, ENCODING_AES_KEY};
use tokio::net::TcpListener;

use super::systems::Systems;
use crate::console::Door;
use crate::deployment::{self, Deployment};

/// The folder, and where the hub listens.
pub struct Home {
    /// The folder.
    pub folder: PathBuf,
    /// `http://127.0.0.1:7200`.
    pub address: String,
    /// Removes a folder that nobody asked to keep.
    _temporary: Option<tempfile::TempDir>,
}

const SURVIVE: &str = r#"# Which value survives when systems disagree; `huiliu init` explains the strategies.
default = ["most_recent"]

[customer]
tags = ["union"]
legal_name = ["prefer:erp", "most_recent"]   # the head office decides how a company is called
tax_id = ["prefer:erp", "most_recent"]
"#;

/// The port of the README; any other if it is taken.
const PORT: u16 = 7200;

/// That of its console.
const CONSOLE_PORT: u16 = 7210;

/// A port of this machine, this one if it is free, and its address.
async fn port(wanted: u16) -> Result<(TcpListener, String), String> {
    let told = |error: std::io::Error| format!("no free port on this machine: {error}");
    let listener = match TcpListener::bind(("127.0.0.1", wanted)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await.map_err(told)?,
    };
    let address = listener.local_addr().map_err(told)?.to_string();
    Ok((listener, address))
}

impl Home {
    /// Makes the folder: `at`, or a temporary one. The ports of the hub and of its console are open already, so that
    /// nobody else can take them.
    pub async fn make(at: Option<&Path>, systems: &Systems) -> Result<(Self, TcpListener, Door), String> {
        let (folder, temporary) = if let Some(folder) = at {
            if folder.join("huiliu.toml").exists() {
                return Err(format!(
                    "{} holds a deployment already; give --folder a new folder, or leave it out",
                    folder.display()
                ));
            }
            (folder.to_owned(), None)
        } else {
            let made = tempfile::Builder::new().prefix("huiliu-demo-").tempdir();
            let made = made.map_err(|error| format!("no temporary folder can be made: {error}; give --folder"))?;
            (made.path().to_owned(), Some(made))
        };
        let (listener, listen) = port(PORT).await?;
        let (pages, shown) = port(CONSOLE_PORT).await?;
        let door = Door { listener: pages, address: format!("http://{shown}") };
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(folder.join("rules")).map_err(|error| format!("{}: {error}", folder.display()))?;
        write("huiliu.toml", &config(systems, &listen, &shown))?;
        write("rules/survive.toml", SURVIVE)?;
        Ok((Self { folder, address: format!("http://{listen}"), _temporary: temporary }, listener, door))
    }

    /// Opens the deployment with its secrets sealed, as `huiliu secret` seals them.
    pub fn open(&self, systems: &Systems) -> Result<Deployment, String> {
        let first = deployment::open(&self.folder)?;
        let wecom =
            [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
        seal(&first, "wecom", &wecom)?;
        seal(&first, "shop", &systems.shop.secrets())?;
        seal(&first, "erp", &systems.erp.secrets())?;
        seal(&first, "branch", &systems.branch.secrets())?;
        for (name, value) in systems.mailbox.secrets() {
            seal(&first, "mail", &[(name, &value)])?;
        }
        drop(first);
        deployment::open(&self.folder)
    }
}

fn seal(at: &Deployment, connection: &str, secrets: &[(&str, &str)]) -> Result<(), String> {
    let (store, seal) = (at.engine.store.clone(), at.seal.clone());
    let vault = SealedVault { store, seal, connection: connection.to_owned() };
    secrets.iter().try_for_each(|(name, value)| vault.put(&format!("secret.{name}"), value))
}

/// `huiliu.toml`. The schedules are short, so that a day passes in seconds; real ones are minutes.
fn config(systems: &Systems, listen: &str, console: &str) -> String {
    let mut text = format!(
        "# Written by `huiliu demo`. The systems are pretended ones on this machine.\n[hub]\nlisten = {listen:?}\n\
         [console]\nlisten = {console:?}\n"
    );
    let wecom = [("corp_id", CORP_ID.to_owned()), ("base_url", systems.wecom.base_url())];
    text += &connection("wecom", "wecom", &wecom, r#"every = { contacts = "2s", tags = "1h", chats = "1h" }"#);
    text += &connection("shop", "shopify", &systems.shop.settings(), r#"every = { customers = "2s", orders = "5s" }"#);
    for (name, twin) in [("erp", &systems.erp), ("branch", &systems.branch)] {
        let more = "every = { customers = \"1s\", orders = \"2s\" }\ncreates = [\"customers\"]";
        text += &connection(name, "kingdee", &twin.settings(), more);
    }
    text += &connection("mail", "email", &systems.mailbox.settings(), r#"every = { messages = "5s" }"#);
    text
}

fn connection(name: &str, connector: &str, settings: &[(&str, String)], more: &str) -> String {
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let settings = settings.join(", ");
    format!(
        "\n[connections.{name}]\nconnector = {connector:?}\nnetwork = \"private\"\nconfig = {{ {settings} }}\n{more}\n"
    )
}
