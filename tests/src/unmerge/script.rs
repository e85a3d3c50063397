//! What people do, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{NAMES, Size};
use crate::dice::Dice;

/// Edits in a round.
pub const ROUND_EDITS: usize = 100;

/// What a person does to a record.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes values.
    Patch(Value),
    /// Adds a tag to those that are shown.
    Tag(String),
    /// Takes a tag away, if it is shown.
    Untag(String),
}

/// A record: its system, and its name in the script.
pub type Whose = (usize, String);

/// How two customers became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A steward said so.
    Said,
    /// They have one name, and somebody took one for the other in `a`, and was never corrected.
    Taken,
    /// The same, corrected in the middle of the edits.
    Corrected,
}

pub struct Script {
    pub merges: Vec<(usize, usize, How)>,
    pub rounds: Vec<Vec<(Whose, Step)>>,
    /// After everything is taken back.
    pub later: Vec<(Whose, Step)>,
    /// The order in which customers are parted.
    pub parted: Vec<usize>,
}

fn name(customer: usize) -> String {
    const FAMILY: [&str; 8] = ["赵", "钱", "孙", "李", "周", "吴", "郑", "王"];
    const GIVEN: [&str; 10] = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十"];
    let given = |digit: usize| GIVEN[digit % 10];
    format!("{}{}{}{}", FAMILY[customer % 8], given(customer / 8), given(customer / 80), given(customer / 800))
}

/// Of two customers they have nothing in common.
fn email(customer: usize) -> String {
    let letter =
        |turn: usize| char::from(b'a' + u8::try_from((customer * 7919 + turn * 31) / (turn * turn) % 26).unwrap_or(0));
    let word: String = (1..=5).map(letter).collect();
    format!("p{customer}{word}@example.com")
}

/// Whose address it is.
pub fn whose(email: &str) -> Option<usize> {
    let digits = email.strip_prefix('p')?;
    digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// As `a` spells it.
fn phone(customer: usize) -> String {
    let number = (customer * 62_983 + 7) % 100_000_000;
    format!("138 {:04} {:04}", number / 10_000, number % 10_000)
}

/// Some know no title, as null or as nothing, some no phone, some no tags.
pub fn in_a(script: &Script, customer: usize) -> Value {
    let title = match customer % 5 {
        0 => Value::Null,
        1 => json!(""),
        _ => json!(format!("经理{customer}")),
    };
    let phone = if customer.is_multiple_of(6) { Value::Null } else { json!(phone(customer)) };
    let tags = if customer.is_multiple_of(4) { json!([]) } else { json!([format!("z{customer}"), "vip"]) };
    json!({ "name": script.called(customer), "email": email(customer), "title": title, "phone": phone, "tags": tags })
}

/// A third of the customers is not known there.
pub fn in_b(script: &Script, customer: usize) -> Option<Value> {
    let title = if customer.is_multiple_of(2) { json!(format!("总监 {customer}")) } else { json!("") };
    let phone = if customer.is_multiple_of(7) { json!(format!("(139) {customer:08}")) } else { Value::Null };
    let tags = json!([format!("y{customer}")]);
    let name = script.called(customer);
    let body = json!({ "name": name, "email": email(customer), "title": title, "phone": phone, "tags": tags });
    is_in_b(customer).then_some(body)
}

fn is_in_b(customer: usize) -> bool {
    !customer.is_multiple_of(3)
}

impl Script {
    /// The name of a customer: who is taken for another is a namesake.
    fn called(&self, customer: usize) -> String {
        let namesake = self.merges.iter().find(|it| it.2 != How::Said && it.1 == customer);
        name(namesake.map_or(customer, |it| it.0))
    }

    pub fn draw(size: Size) -> Self {
        let mut dice = Dice::new(size.seed);
        let merges = Self::merges(size, &mut dice);
        let astray: Vec<usize> =
            merges.iter().flat_map(|(a, b, _)| [*a, *b]).collect::<BTreeSet<_>>().into_iter().collect();
        let taken: BTreeSet<usize> =
            merges.iter().filter(|it| it.2 != How::Said).flat_map(|(a, b, _)| [*a, *b]).collect();
        let mut rounds =
            vec![merges.iter().filter(|it| it.2 != How::Said).map(|it| take(it.0, it.1)).collect::<Vec<_>>()];
        let (mut number, mut tags) = (0, BTreeMap::new());
        while number < size.edits {
            let mut round = Vec::with_capacity(ROUND_EDITS);
            for _ in 0..ROUND_EDITS.min(size.edits - number) {
                number += 1;
                let customer =
                    if dice.below(2) == 0 { astray[dice.below(astray.len())] } else { dice.below(size.customers) };
                round.push(edit(&mut dice, customer, number, taken.contains(&customer), &mut tags));
            }
            clear(&mut dice, &mut round);
            rounds.push(round);
        }
        let middle = rounds.len() / 2;
        rounds.insert(middle, merges.iter().filter(|it| it.2 == How::Corrected).map(|it| take(it.1, it.1)).collect());
        let mut later = Vec::new();
        for _ in 0..astray.len() {
            number += 1;
            let customer = astray[dice.below(astray.len())];
            later.push(edit(&mut dice, customer, number, true, &mut tags));
        }
        let mut parted = astray;
        for at in (1..parted.len()).rev() {
            parted.swap(at, dice.below(at + 1));
        }
        Self { merges, rounds, later, parted }
    }

    /// Pairs of customers, the first of whom survives; every fifth is merged with somebody who is merged already.
    fn merges(size: Size, dice: &mut Dice) -> Vec<(usize, usize, How)> {
        let mut left: Vec<usize> = (0..size.customers).collect();
        let mut draw = |dice: &mut Dice| left.swap_remove(dice.below(left.len()));
        let mut merges: Vec<(usize, usize, How)> = Vec::new();
        for number in 0..size.merges {
            let mut one = draw(dice);
            let mut other = draw(dice);
            let how = [How::Said, How::Taken, How::Said, How::Corrected, How::Said][number % 5];
            if number % 5 == 4 {
                one = merges[number - 4].1;
            }
            if how != How::Said && other < one {
                (one, other) = (other, one);
            }
            merges.push((one, other, how));
        }
        merges
    }
}

/// A clerk writes into the record of one customer where his namesake is reached.
fn take(as_whom: usize, whose: usize) -> (Whose, Step) {
    ((0, format!("a{whose}")), Step::Patch(json!({ "email": email(as_whom) })))
}

fn edit(
    dice: &mut Dice,
    customer: usize,
    number: usize,
    is_taken: bool,
    tags: &mut BTreeMap<Whose, Vec<String>>,
) -> (Whose, Step) {
    let system = dice.below(3);
    let is_known = system != 1 || is_in_b(customer);
    let whose = if is_known { (system, format!("{}{customer}", NAMES[system])) } else { (0, format!("a{customer}")) };
    let step = match dice.below(12) {
        // Somebody new, or another record of somebody known; who was taken for another would be a question.
        0 if is_taken || customer % 5 == 2 => {
            let body = json!({
                "name": name(10_000 + number), "email": email(10_000 + number), "title": format!("新{number}"),
                "phone": Value::Null, "tags": [],
            });
            return ((0, format!("new{number}")), Step::Patch(body));
        }
        0 => {
            let body = json!({
                "name": name(customer), "email": email(customer), "title": format!("再{number}"), "phone": "", "tags": ["again"],
            });
            return ((1, format!("again{number}")), Step::Patch(body));
        }
        1 | 2 => {
            let tag = format!("t{number}");
            tags.entry(whose.clone()).or_default().push(tag.clone());
            Step::Tag(tag)
        }
        3 => match tags.get_mut(&whose).and_then(Vec::pop) {
            Some(tag) => Step::Untag(tag),
            None => Step::Untag(format!("z{customer}")),
        },
        4 => Step::Patch(json!({ "phone": format!("137-{number:08}") })),
        5 => Step::Patch(json!({ "phone": format!("136 {number:08}") })),
        // Who is found by his address keeps it.
        7 if customer % 5 == 2 && !is_taken => Step::Patch(json!({ "email": format!("moved{number}@example.com") })),
        _ => Step::Patch(json!({ "title": format!("职务 {number}") })),
    };
    (whose, step)
}

/// Some of what is written in the first half of a round is cleared in the second: what a person clears he must see.
fn clear(dice: &mut Dice, round: &mut [(Whose, Step)]) {
    let (early, late) = round.split_at_mut(round.len() / 2);
    for ((whose, step), clears) in early.iter().zip(late) {
        if let (Step::Patch(patch), 0) = (step, dice.below(5))
            && let Some(place) =
                ["phone", "title"].into_iter().find(|it| patch.get("name").is_none() && !patch[*it].is_null())
        {
            *clears = (whose.clone(), Step::Patch(json!({ place: null })));
        }
    }
}
