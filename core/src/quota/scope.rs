//! Who shares a budget: from the words of a manifest to its key and its limits.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Limit;
use crate::manifest::Manifest;
use crate::manifest::budget::Budget;

/// One budget that the calls of a connection take from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `wecom/corp:ww123`; of one for each endpoint, what stands before its name.
    pub key: String,
    /// Its limits.
    pub limits: Vec<Limit>,
    /// Whether there is one for each endpoint.
    pub by_endpoint: bool,
}

impl Limit {
    /// So many calls a second, with a burst of as many at most.
    pub fn per_second(calls: NonZeroU32) -> Self {
        Self::Bucket { calls: calls.get().into(), per_second: calls.get().into() }
    }
}

impl Scope {
    /// A budget of its own.
    pub fn own(key: &str, limits: &[Limit]) -> Self {
        Self { key: key.to_owned(), limits: limits.to_vec(), by_endpoint: false }
    }
}

/// The budgets of a connection: its own, with the declared pace, and those that the manifest declares, or the deployment in
/// their place.
pub fn of(manifest: &Manifest, own: &[Budget], connection: &str, settings: &BTreeMap<String, String>) -> Vec<Scope> {
    let connector = &manifest.connector;
    let pace: Vec<Limit> = connector.limits.requests_per_second.map(Limit::per_second).into_iter().collect();
    let mut scopes = vec![Scope::own(&format!("{}/connection:{connection}", connector.name), &pace)];
    let declared = if own.is_empty() { &connector.quotas } else { own };
    for (at, budget) in declared.iter().enumerate() {
        let mut key = connector.name.clone();
        for word in budget.shared_by.iter().filter(|word| *word != "endpoint") {
            key = format!("{key}/{}", filled(word, connection, settings));
        }
        let by_endpoint = budget.shared_by.iter().any(|word| word == "endpoint");
        if by_endpoint {
            key += "/endpoint:";
        } else if scopes.iter().any(|scope| scope.key == key) {
            // Two that the same share, told apart by their place in the file.
            key = format!("{key}/{at}");
        }
        scopes.push(Scope { key, limits: limits(budget), by_endpoint });
    }
    scopes
}

fn limits(budget: &Budget) -> Vec<Limit> {
    let windows = budget.windows.iter().map(|window| {
        let span = Duration::from_secs(window.seconds.get().into());
        Limit::Window { calls: window.calls.get().into(), span_us: super::micros(span) }
    });
    let bucket = budget
        .bucket
        .iter()
        .map(|bucket| Limit::Bucket { calls: bucket.calls.get().into(), per_second: bucket.per_second.get().into() });
    windows.chain(bucket).collect()
}

/// A word with its value. Who has none shares with nobody.
fn filled(word: &str, connection: &str, settings: &BTreeMap<String, String>) -> String {
    let Some((name, value)) = word.split_once(":{config.") else {
        return if word == "connection" { format!("connection:{connection}") } else { word.to_owned() };
    };
    match settings.get(value.trim_end_matches('}')).filter(|value| !value.is_empty()) {
        // Slashes part the words of a key.
        Some(value) => format!("{name}:{}", value.replace('/', "|")),
        None => format!("{name}:?/connection:{connection}"),
    }
}

/// The name of an endpoint: its path, in which whatever looks like the id of a record is a star.
pub fn endpoint(path: &str) -> String {
    /// Words of paths are shorter.
    const WORD_MAX: usize = 40;
    let parts = path.trim_matches('/').split('/').map(|part| {
        let is_id = part.len() > WORD_MAX || part.chars().any(|c| c.is_ascii_digit() || c == '@' || c == '%');
        // A version is no id.
        let is_version = part.len() <= 3 && part.starts_with('v');
        if is_id && !is_version { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::budget;

    fn manifest(budgets: &str) -> Manifest {
        let text = format!(
            "[connector]\nname = 'wecom'\ntitle = 'W'\nabout = 'W.'\ndriver = 'rust'\nlimits = {{ requests_per_second = 5 }}\n\
             quotas = [{budgets}]\n[connector.config]\ncorp_id = {{ type = 'string', description = 'The corp.' }}\n[streams]\n"
        );
        Manifest::parse("connector.toml", &text).expect("a manifest")
    }

    #[test]
    fn those_who_name_the_same_share_a_budget() {
        let manifest = manifest(
            "{ shared_by = ['corp:{config.corp_id}', 'endpoint'], windows = [{ calls = 10, seconds = 60 }] },
             { shared_by = ['address'], bucket = { calls = 40, per_second = 2 } }",
        );
        let keys = |connection: &str, corp: &str| -> Vec<String> {
            let settings = [("corp_id".to_owned(), corp.to_owned())].into();
            of(&manifest, &[], connection, &settings).into_iter().map(|scope| scope.key).collect()
        };
        assert_eq!(keys("a", "ww1"), ["wecom/connection:a", "wecom/corp:ww1/endpoint:", "wecom/address"]);
        assert_eq!(keys("a", "ww1")[1..], keys("b", "ww1")[1..]);
        assert_ne!(keys("a", "ww1")[1], keys("a", "ww2")[1]);
        assert_ne!(keys("a", "")[1], keys("b", "")[1], "who has no corp shares with nobody");
        let scopes = of(&manifest, &[], "a", &BTreeMap::new());
        assert_eq!(scopes[0].limits, [Limit::Bucket { calls: 5, per_second: 5 }]);
        assert_eq!(scopes[1].limits, [Limit::Window { calls: 10, span_us: 60_000_000 }]);
        assert_eq!(scopes[2].limits, [Limit::Bucket { calls: 40, per_second: 2 }]);
        let own = &manifest.connector.quotas[1..];
        assert_eq!(
            of(&manifest, own, "a", &BTreeMap::new()).len(),
            2,
            "the deployment's stand in place of the manifest's"
        );
    }

    #[test]
    fn mistakes_name_their_place_and_the_nearest_word() {
        let told = budget::mistakes(&manifest(
            "{ shared_by = ['conection'], windows = [{ calls = 1, seconds = 3000000 }] },
             { shared_by = ['corp:{config.corp}'], bucket = { calls = 1, per_second = 1 } },
             { shared_by = ['corp:{secret.key}'] }, { shared_by = [], windows = [{ calls = 1, seconds = 1 }] }",
        ));
        let parts = [
            "connector.quotas[0].shared_by: `conection`: no such word; did you mean `connection`?",
            "connector.quotas[0].windows[0].seconds: 3000000 is more than 31 days",
            "connector.quotas[1].shared_by: `corp:{config.corp}`: no setting `corp`; did you mean `corp_id`?",
            "connector.quotas[2].shared_by: `corp:{secret.key}`: write a name in small letters and a setting",
            "connector.quotas[2]: it has no limit",
            "connector.quotas[3].shared_by: write one to 4 words",
        ];
        for part in parts {
            let begin = part.split("did you").next().unwrap_or(part).trim_end_matches("; ");
            assert!(told.iter().any(|told| told.starts_with(begin)), "{part}\n{told:#?}");
        }
        assert_eq!(told.len(), parts.len(), "{told:#?}");
    }

    #[test]
    fn an_endpoint_is_a_path_without_ids() {
        let rows = [
            ("/cgi-bin/externalcontact/get", "cgi-bin/externalcontact/get"),
            ("/crm/v3/objects/contacts/4711", "crm/v3/objects/contacts/*"),
            ("/api/v2/persons/anna%40example.com/deals", "api/v2/persons/*/deals"),
        ];
        for (path, name) in rows {
            assert_eq!(endpoint(path), name);
        }
    }
}
