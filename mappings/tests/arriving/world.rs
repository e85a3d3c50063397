//! Invented people: households, slips of the pen, gaps, shared telephones, numbers with check characters.

use std::sync::OnceLock;

use huiliu_mappings::matching::linkage::{self, Frozen, Kind, Settings, Table};

use crate::dice::Dice;

pub const COLUMNS: [(&str, Kind); 10] = [
    ("source", Kind::Source),
    ("first", Kind::GivenName),
    ("last", Kind::FamilyName),
    ("born", Kind::BirthDate),
    ("email", Kind::Email),
    ("phone", Kind::Phone),
    ("address", Kind::Address),
    ("employer", Kind::Company),
    ("card", Kind::Identifier),
    ("member", Kind::SoleIdentifier),
];

impl Dice {
    /// A number of an identity card with its check character.
    fn card(&mut self) -> String {
        let (region, number) = (["110105", "440524", "310112"][self.below(3)], self.below(999));
        let digits =
            format!("{region}{}{:02}{:02}{number:03}", 1950 + self.below(50), 1 + self.below(12), 1 + self.below(28));
        let sum = digits.bytes().fold(0, |sum, digit| 2 * (sum + usize::from(digit - b'0')) % 11);
        let check = (12 - sum) % 11;
        digits + &if check == 10 { "X".to_owned() } else { check.to_string() }
    }
}

pub type Cells = Vec<String>;

/// The vocabulary of a world: the smaller, the more its people have in common.
pub struct World {
    pub dice: Dice,
    words: [Vec<String>; 4],
    cards: Vec<String>,
    size: usize,
}

impl World {
    pub fn new(seed: u64, size: usize) -> Self {
        let mut dice = Dice(seed);
        let mut words = |count: usize, syllables: usize| (0..count).map(|_| dice.word(syllables)).collect::<Vec<_>>();
        let words = [words(size / 4 + 3, 2), words(size / 2 + 2, 3), words(size / 4 + 2, 3), words(size / 8 + 2, 3)];
        let cards = (0..size).map(|_| dice.card()).collect();
        Self { dice, words, cards, size }
    }

    fn word(&mut self, of: usize) -> String {
        let at = self.dice.below(self.words[of].len());
        self.words[of][at].clone()
    }

    /// Also Chinese companies: by their full names, without their form, branches.
    fn employer(&mut self) -> String {
        const CHINESE: [&str; 5] = [
            "杭州云帆科技有限公司",
            "杭州云帆科技",
            "云帆科技",
            "杭州云帆科技有限公司宁波分公司",
            "上海山岚贸易有限公司",
        ];
        if self.dice.hits(30) {
            CHINESE[self.dice.below(5)].to_owned()
        } else {
            format!("{} {} works", self.word(3), self.word(2))
        }
    }

    pub fn person(&mut self) -> Cells {
        let size = self.size;
        let (given, family) = (self.word(0), self.word(1));
        let born =
            format!("{}-{:02}-{:02}", 1950 + self.dice.below(40), 1 + self.dice.below(12), 1 + self.dice.below(28));
        let card = if self.dice.hits(40) { self.cards[self.dice.below(size)].clone() } else { String::new() };
        let member = if self.dice.hits(30) { format!("M{:05}", self.dice.below(size * 20)) } else { String::new() };
        vec![
            ["crm", "shop", "fair"][self.dice.below(3)].to_owned(),
            given.clone(),
            family.clone(),
            born,
            format!("{given}.{family}{}@example.com", self.dice.below(size)),
            format!("139{:08}", self.dice.below(size * 9) * 1117),
            format!("{} {} street", 1 + self.dice.below(30), self.word(2)),
            self.employer(),
            card,
            member,
        ]
    }

    /// Another of the household: address, telephone and family name are shared.
    pub fn relative(&mut self, of: &Cells) -> Cells {
        let mut cells = self.person();
        for at in [2, 5, 6] {
            cells[at] = of[at].clone();
        }
        cells
    }

    /// The same person as another system has her.
    pub fn again(&mut self, of: &Cells) -> Cells {
        let mut cells = of.clone();
        cells[0] = ["crm", "shop", "fair"][self.dice.below(3)].to_owned();
        for cell in cells.iter_mut().skip(1).take(7) {
            match self.dice.below(100) {
                0..12 => *cell = self.dice.slip(cell),
                12..23 => cell.clear(),
                _ => {}
            }
        }
        for cell in cells.iter_mut().skip(8) {
            if self.dice.hits(40) {
                cell.clear();
            }
        }
        cells
    }

    /// Somebody: new, of the household of a known one, or a known one again.
    pub fn next(&mut self, known: &[Cells]) -> Cells {
        if known.is_empty() || self.dice.hits(40) {
            return self.person();
        }
        let of = known[self.dice.below(known.len())].clone();
        if self.dice.hits(35) { self.relative(&of) } else { self.again(&of) }
    }

    pub fn people(&mut self, count: usize) -> Vec<Cells> {
        let mut people: Vec<Cells> = Vec::new();
        for _ in 0..count {
            let next = self.next(&people);
            people.push(next);
        }
        people
    }
}

pub fn table(rows: &[Cells]) -> (Table, Vec<String>) {
    let kinds: Vec<Kind> = COLUMNS.iter().map(|(_, kind)| *kind).collect();
    let mut table = Table::new(&kinds);
    for row in rows {
        table.push(row.iter().map(String::as_str));
    }
    (table, COLUMNS.iter().map(|(header, _)| (*header).to_owned()).collect())
}

/// The text of a model that was learned from such people once.
pub fn learned() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let (table, headers) = table(&World::new(7, 300).people(900));
        linkage::train(table, &headers, &Settings::shipped(), &mut |_, _| ()).unwrap().to_json()
    })
}

/// The model with other bounds.
pub fn bounded(block: u32, hub: u32, component: u32) -> Frozen {
    let mut model: serde_json::Value = serde_json::from_str(learned()).unwrap();
    for rule in model["rules"].as_array_mut().expect("rules") {
        rule["most"] = block.into();
    }
    model["hub_most"] = hub.into();
    model["clusters"]["component_most"] = component.into();
    Frozen::parse(&model.to_string(), &Settings::shipped()).unwrap()
}

pub fn model() -> Frozen {
    Frozen::parse(learned(), &Settings::shipped()).unwrap()
}
