//! The processes that share the store, and what each does.

use huiliu_core::node;
use huiliu_core::store::leases::NodeRow;

use super::ago;
use crate::language::Language;
use crate::{say, table};

/// A table of nodes; nothing where one process does everything.
pub fn nodes(all: &[NodeRow], language: Language) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|it| {
            let holds: Vec<&str> = it.holds.iter().map(|unit| word(unit, language)).collect();
            let last = ago(it.silent_us, language);
            let last = if it.is_alive { last } else { say!(language, "{last}, dead", "{last}，已失联") };
            vec![it.name.clone(), it.place.clone(), it.roles.clone(), it.version.clone(), last, holds.join(", ")]
        })
        .collect();
    let heads = match language {
        Language::En => ["Node", "Where", "Roles", "Version", "Last sign", "Does"],
        Language::Zh => ["节点", "位置", "角色", "版本", "最近心跳", "负责"],
    };
    format!("\n{}", table::columns(&heads, &rows))
}

/// A unit of work, for people: a connection by its name.
fn word(unit: &str, language: Language) -> &str {
    match unit.split_once(' ') {
        Some((_, connection)) => connection,
        None if unit == node::MEANING => language.pick("processing", "处理"),
        None => unit,
    }
}
