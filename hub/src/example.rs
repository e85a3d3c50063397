//! What to write into huiliu.toml for a connector, made from its manifest: lines to fill in, and lines to uncomment.

use std::fmt::Write as _;

use huiliu_core::manifest::{Ability, Manifest, Setting, SettingKind};

use crate::config::Network;

/// What stands where a person must write.
const FILL_IN: &str = "…";

/// The table of a connection. A value in `given` is written; a required one that is not stands as `…`. What is optional is
/// commented out with `# `, prose with `## `.
pub fn table(name: &str, manifest: &Manifest, given: impl Fn(&str) -> Option<String>, network: Network) -> String {
    let connector = &manifest.connector;
    let title = connector.title_zh.as_ref().map_or(connector.title.clone(), |zh| format!("{} {zh}", connector.title));
    let mut text = format!("## {title}: {}\n[connections.{}]\n", one_line(&connector.about), key(name));
    let _ = writeln!(text, "connector = {}", quoted(&connector.name));
    for (setting, what) in &connector.config {
        let value = given(setting);
        let fill_in = value.clone().or_else(|| what.default.clone()).unwrap_or_else(|| FILL_IN.to_owned());
        let comment = if value.is_none() && what.default.is_some() { "# " } else { "" };
        let _ = writeln!(text, "{comment}config.{} = {}  # {}", key(setting), quoted(&fill_in), describe(what));
    }
    let comment = match network {
        Network::Private => Some(""),
        Network::Public if connector.config.values().any(|it| it.kind == SettingKind::Url) => Some("# "),
        Network::Public => None,
    };
    if let Some(comment) = comment {
        let _ = writeln!(text, "{comment}network = \"private\"  # private addresses may be called too");
    }
    for (stream, what) in manifest.streams.iter().filter(|(_, what)| what.can(Ability::Pull)) {
        let every = what.every.as_deref().unwrap_or("5m");
        let _ = writeln!(text, "# every.{} = {}  # how often it is pulled", key(stream), quoted(every));
    }
    let creates: Vec<String> =
        manifest.streams.iter().filter(|(_, it)| it.can(Ability::Create)).map(|(stream, _)| quoted(stream)).collect();
    if !creates.is_empty() {
        let _ = writeln!(
            text,
            "# creates = [{}]  # records may be made there; without this they are only changed",
            creates.join(", ")
        );
    }
    if manifest.streams.values().any(|it| it.can(Ability::Create) || it.can(Ability::Update)) {
        let _ = writeln!(text, "# writes = false  # it is only read");
    }
    let secrets: Vec<&str> = connector.secret.keys().map(String::as_str).collect();
    let _ = match secrets.as_slice() {
        [] => writeln!(text, "## `huiliu connect {name}` checks it"),
        some => writeln!(text, "## `huiliu connect {name}` asks for its secrets: {}", some.join(", ")),
    };
    text
}

/// The table of a source of files; `row_key` is the column that names a row.
pub fn file_table(name: &str, mapping: &str, row_key: Option<&str>) -> String {
    let mut text = format!("[connections.{}]\nconnector = \"file\"\nmapping = {}\n", key(name), quoted(mapping));
    if let Some(column) = row_key {
        let _ = writeln!(text, "key = {}  # the column that names a row", quoted(column));
    }
    text
}

/// The table with every line commented out: `# ` makes it what [`table`] gives.
pub fn commented(name: &str, manifest: &Manifest) -> String {
    let mut text = String::new();
    for line in table(name, manifest, |_| None, Network::Public).lines() {
        let comment = if line.starts_with('#') { "" } else { "# " };
        let _ = writeln!(text, "{comment}{line}");
    }
    text
}

/// The text with every line that `# ` comments out made a setting.
pub fn uncommented(text: &str) -> String {
    text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn describe(setting: &Setting) -> String {
    let values =
        if setting.values.is_empty() { String::new() } else { format!(" One of: {}.", setting.values.join(", ")) };
    format!("{}{values}", one_line(&setting.description))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A TOML key: bare where it may be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted(name) }
}
