//! Stable hashes under which records worth comparing find each other.

use super::NameMark;
use super::features::{birth_date, company, family, is_organization, name, organization};
use super::rules::{BlockField, Rules, Strength};
use super::subject::{Subject, line};
use super::{CUSTOMER, Evidence};
use crate::chinese::person;
use crate::value::Identity;

/// A record names at most this many blocks: enough for every identity kind and rule, few enough to bound a lookup.
pub const BLOCKS_MAX: usize = 12;

/// One blocking rule.
#[derive(Clone, Debug)]
pub(super) struct Block {
    fields: Vec<BlockField>,
}

impl Block {
    /// The order of the fields in the file does not change the hash.
    pub(super) fn new(mut fields: Vec<BlockField>) -> Self {
        fields.sort_unstable();
        fields.dedup();
        Self { fields }
    }

    fn hash(&self, entity: &str, values: &Values) -> Option<i64> {
        let mut hash = feed(feed(SEED, entity), "block");
        for field in &self.fields {
            let (word, value) = match field {
                BlockField::Name => ("name", &values.name),
                BlockField::BirthDate => ("birth_date", &values.birth_date),
                BlockField::Company => ("company", &values.company),
                BlockField::Organization => ("organization", &values.organization),
                BlockField::Given => ("given", &values.given),
                BlockField::Surname => ("surname", &values.surname),
                BlockField::House => ("house", &values.house),
            };
            hash = feed(feed(hash, word), value.as_deref()?);
        }
        Some(hash.cast_signed())
    }

    fn uses(&self, field: BlockField) -> bool {
        self.fields.contains(&field)
    }

    /// Whether people of different given names meet in it.
    fn is_of_any_name(&self) -> bool {
        let named = [BlockField::Name, BlockField::Given, BlockField::Organization];
        !named.into_iter().any(|field| self.uses(field))
    }
}

/// The values that blocks are made of.
#[derive(Default)]
struct Values {
    name: Option<String>,
    birth_date: Option<String>,
    company: Option<String>,
    organization: Option<String>,
    given: Option<String>,
    surname: Option<String>,
    house: Option<String>,
}

impl Values {
    fn of(rules: &Rules, evidence: &Evidence) -> Self {
        let mut values = Self::default();
        if is_organization(evidence) {
            values.organization = organization(evidence).map(|name| name.key().to_owned());
        }
        // Also of an organization: a record that does not say what it is may be compared with it by its other fields.
        values.birth_date = birth_date(rules, evidence).map(str::to_owned);
        values.company = company(evidence).map(|name| name.key().to_owned());
        let used = |field: BlockField| rules.blocks.iter().any(|block| block.uses(field));
        values.house = if used(BlockField::House) { house(rules, evidence) } else { None };
        // Names are the dearest to bring into form: only where a block could use them.
        let useful = |field: BlockField| {
            rules.blocks.iter().any(|block| {
                block.uses(field)
                    && (values.birth_date.is_some() || !block.uses(BlockField::BirthDate))
                    && (values.company.is_some() || !block.uses(BlockField::Company))
                    && (values.house.is_some() || !block.uses(BlockField::House))
            })
        };
        values.name = if useful(BlockField::Name) { name(evidence).map(|name| name.key()) } else { None };
        let (is_given, is_surname) = (useful(BlockField::Given), useful(BlockField::Surname));
        if is_given || is_surname {
            let [given, _, family] = Subject::spoken(evidence);
            values.given = if is_given { sound(given) } else { None };
            values.surname = if is_surname { sound(family) } else { None };
        }
        values
    }
}

/// How a name sounds, in whatever script it is written; as it is spelled where it has no sound.
fn sound(name: String) -> Option<String> {
    let sound = person::sound(&name).unwrap_or(name);
    (!sound.is_empty()).then_some(sound)
}

/// House number and street.
fn house(rules: &Rules, evidence: &Evidence) -> Option<String> {
    let mut lines = family(evidence, "addresses.", "addresses/").map(|address| line(address));
    let [number, street] = lines.find_map(|line| rules.judge(Subject::Person).house(&line))?;
    Some(format!("{number} {street}"))
}

/// The blocks of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// See [`block_keys`].
    pub hashes: Vec<i64>,
    /// Those of them in which people of any given name meet: beside these the name tells whether it is worth comparing.
    pub of_any_name: Vec<i64>,
    /// The name.
    pub mark: NameMark,
}

/// Stable hashes under which records worth comparing find each other: every identity that is not weak, strong ones
/// first, then every blocking rule that has all its fields. At most [`BLOCKS_MAX`], ascending.
pub fn block_keys(rules: &Rules, entity: &str, evidence: &Evidence) -> Vec<i64> {
    ranked_keys(rules, entity, evidence).0
}

/// The same with what stands beside them.
pub fn marked_keys(rules: &Rules, entity: &str, evidence: &Evidence) -> Keys {
    let (hashes, of_any_name) = ranked_keys(rules, entity, evidence);
    let mark = if entity == CUSTOMER { NameMark::of(evidence) } else { NameMark::OPEN };
    Keys { hashes, of_any_name, mark }
}

fn ranked_keys(rules: &Rules, entity: &str, evidence: &Evidence) -> (Vec<i64>, Vec<i64>) {
    let mut of_any_name = Vec::new();
    let mut ranked: Vec<(u8, i64)> = Vec::with_capacity(BLOCKS_MAX);
    for identity in &evidence.identities {
        let rank = match rules.strength(identity, evidence) {
            _ if entity != CUSTOMER => 0,
            Strength::Strong => 0,
            Strength::Medium => 1,
            Strength::Weak => continue,
        };
        let kind = rules.base(identity.kind.as_str());
        ranked.push((rank, identity_block(rules, entity, identity)));
        // Another form of the same number is found by what they have in common.
        let number = rules.number(identity).filter(|number| *number != identity.value);
        ranked.extend(number.map(|number| (rank, hash(&[entity, kind, &number]))));
    }
    if entity == CUSTOMER {
        let values = Values::of(rules, evidence);
        for block in &rules.blocks {
            let Some(key) = block.hash(entity, &values) else { continue };
            ranked.push((2, key));
            of_any_name.extend(block.is_of_any_name().then_some(key));
        }
    }
    ranked.sort_unstable();
    ranked.dedup_by_key(|(_, key)| *key);
    ranked.truncate(BLOCKS_MAX);
    let mut keys: Vec<i64> = ranked.into_iter().map(|(_, key)| key).collect();
    keys.sort_unstable();
    of_any_name.retain(|key| keys.binary_search(key).is_ok());
    (keys, of_any_name)
}

/// The block in which those meet who have an identity in common, claimed or not.
pub fn identity_block(rules: &Rules, entity: &str, identity: &Identity) -> i64 {
    hash(&[entity, rules.base(identity.kind.as_str()), &identity.value])
}

/// The hash of one identity of an entity: the block key under which its holder is found.
pub fn identity_hash(entity: &str, identity: &Identity) -> i64 {
    hash(&[entity, identity.kind.as_str(), &identity.value])
}

/// FNV-1a over parts, 64 bits: stable over versions and machines, which the stored blocks need. Equal hashes only
/// make a pair worth comparing; they prove nothing.
pub fn hash(parts: &[&str]) -> i64 {
    parts.iter().fold(SEED, |hash, part| feed(hash, part)).cast_signed()
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// One part and a separator, which no canonical value contains.
fn feed(hash: u64, part: &str) -> u64 {
    part.bytes().chain([0x1e]).fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
