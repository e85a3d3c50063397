//! What a system says by the record that it shows: what is new in it. The rest are repeats, or copies of ours.

use std::collections::BTreeSet;

use huiliu_mappings::merge::Said;
use huiliu_mappings::value::{FieldName, Identity, IdentityKind, MappedRecord};
use serde_json::Value;

use super::{Heard, LinkState, Word};

/// So many identities that its system took away a link remembers: whoever changes his number more often is known by others.
const GONE_MAX: usize = 16;

impl LinkState {
    /// Takes in a record as the system shows it now. `word`: how far its word about a field counts.
    pub fn hear(&mut self, record: MappedRecord, at_us: i64, word: impl Fn(&FieldName) -> Word) -> Heard {
        if self.held.is_empty() && self.said.is_empty() && self.written.is_empty() {
            return self.hear_first(record, at_us, word);
        }
        let mut heard = Heard::default();
        for (field, value) in record.fields {
            if self.held.get(&field) == Some(&value) {
                continue;
            }
            // A record that never held a value clears nothing by showing that it has none.
            if value.is_null() && !self.held.contains_key(&field) {
                self.held.insert(field, value);
                continue;
            }
            // A target may hold what we wrote in a form of its own: what it had before it is what we wrote.
            let word = word(&field);
            let held = self.held.insert(field.clone(), value.clone());
            let said = match word {
                Word::Items => own_items(self.said.get(&field).map(|it| &it.value), held.as_ref(), value),
                Word::Whole | Word::Unheard => value,
            };
            let before = self.written.remove(&field).or(held).unwrap_or_default();
            if word == Word::Unheard {
                self.said.remove(&field);
                heard.unsaid = true;
                continue;
            }
            self.said.insert(field.clone(), Said { value: said, at_us });
            heard.said.push((field, before));
        }
        self.hear_identities(record.identities);
        self.references = record.references;
        heard
    }

    /// Where nothing was ever heard there is nothing to compare with, and what is kept is made at once.
    fn hear_first(&mut self, record: MappedRecord, at_us: i64, word: impl Fn(&FieldName) -> Word) -> Heard {
        let mut heard = Heard::default();
        self.held = record.fields;
        let mut said = Vec::with_capacity(self.held.len());
        for (field, value) in self.held.iter().filter(|(_, value)| !value.is_null()) {
            if word(field) == Word::Unheard {
                heard.unsaid = true;
                continue;
            }
            said.push((field.clone(), Said { value: value.clone(), at_us }));
            heard.said.push((field.clone(), Value::Null));
        }
        self.said = said.into_iter().collect();
        self.hear_identities(record.identities);
        self.references = record.references;
        heard
    }

    /// What is new in a record, or was its own before, is its own; the rest are copies. What is its own and not shown was
    /// taken away, unless the record shows of its kind exactly what we left there.
    fn hear_identities(&mut self, shown: Vec<Identity>) {
        let held = std::mem::take(&mut self.identities_held);
        let over = std::mem::take(&mut self.identities_over);
        let is_own = |it: &&Identity| self.identities.contains(it) || over.contains(it) || !held.contains(it);
        let own: Vec<Identity> = shown.iter().filter(is_own).cloned().collect();
        let of = |list: &[Identity], kind: &IdentityKind| -> BTreeSet<String> {
            list.iter().filter(|it| it.kind == *kind).map(|it| it.value.clone()).collect()
        };
        let former = std::mem::take(&mut self.identities).into_iter().chain(over).filter(|it| !shown.contains(it));
        let (over, gone): (Vec<Identity>, Vec<Identity>) = former.partition(|it| {
            let (shows, held) = (of(&shown, &it.kind), of(&held, &it.kind));
            !held.contains(&it.value) && shows == held
        });
        self.identities_gone.retain(|it| !own.contains(it) && !gone.contains(it));
        self.identities_gone.extend(gone);
        self.identities_gone.drain(..self.identities_gone.len().saturating_sub(GONE_MAX));
        (self.identities, self.identities_held, self.identities_over) = (own, shown, over);
    }
}

/// What a system says of a set that it shows: what it said before and still shows, and what it put there itself. The rest
/// are copies of others' words.
fn own_items(said: Option<&Value>, held: Option<&Value>, shown: Value) -> Value {
    let (Some(Value::Array(held)), Value::Array(items)) = (held, &shown) else { return shown };
    let said = said.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let own: Vec<Value> = items.iter().filter(|it| said.contains(it) || !held.contains(it)).cloned().collect();
    if own.is_empty() { Value::Null } else { Value::Array(own) }
}
