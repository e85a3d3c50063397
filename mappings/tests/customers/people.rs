//! Invented people as the hub's systems tell of them, and who is who: households, namesakes, gaps, slips of the pen, shared
//! mailboxes, people who move or change their employer. Surnames are the commonest ones of public lists, everything else is
//! thrown together: nobody in it exists.

use std::collections::BTreeMap;

use huiliu_mappings::chinese::person;
use huiliu_mappings::matching::Evidence;
use huiliu_mappings::value::Identity;
use serde_json::{Value, json};

use crate::dice::Dice;

/// A record of a system, and the number of whom it is about.
#[derive(Clone, Debug)]
pub struct Told {
    pub who: usize,
    pub evidence: Evidence,
}

const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉萍红文辉力梅雪峰鑫浩宇佳欣怡晨博睿思子轩梓涵雨桐一诺可安宁远航志国建春\
    海波林斌健亮飞龙凯丹倩颖莉燕玲琳璐瑶婷慧雯蕾薇珊晶莹洁冰月云星河山川松柏竹菊荷莲蓉凤鹏鹤鸣";
const ALIKE: &[(&str, &str)] = &[("伟", "玮"), ("静", "靖"), ("丽", "莉"), ("颖", "莹"), ("辉", "晖"), ("佳", "嘉")];
const FIRST: &str = "James Mary Robert Linda Michael Susan David Karen Daniel Nancy Mark Lisa Paul Emma Kevin Laura Brian Anna \
    Jason Julia Peter Helen Simon Grace Oscar Alice Thomas Sarah Joseph Clara Martin Eva Lukas Marie Felix Nina Hugo Chloe \
    Louis Jade Pablo Lucia Mateo Elena Marco Giulia Luca Sofia Jan Ingrid Erik Astrid Adam Ewa Piotr Zofia William Elizabeth \
    Richard Margaret Andrew Jennifer Steven Patricia Matthew Rebecca Samuel Christine";
const LAST: &str = "Smith Johnson Brown Miller Wilson Moore Taylor Thomas Jackson White Harris Martin Thompson Robinson Clark \
    Lewis Walker Hall Young King Wright Hill Green Adams Baker Nelson Carter Mitchell Roberts Turner Phillips Müller Schmidt \
    Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Dubois Durand Leroy Moreau Garcia Lopez Martinez Rossi Russo";
const NICKNAMES: &[(&str, &str)] = &[
    ("Robert", "Bob"),
    ("Michael", "Mike"),
    ("William", "Bill"),
    ("Elizabeth", "Liz"),
    ("Thomas", "Tom"),
    ("Daniel", "Dan"),
    ("Richard", "Rick"),
    ("Margaret", "Peggy"),
    ("Jennifer", "Jenny"),
];
const ROADS: &str =
    "人民 解放 中山 建设 文化 和平 新华 胜利 朝阳 长江 黄河 学院 文三 延安 迎宾 滨江 科技 工业 青年 友谊";
const ESTATES: &str = "阳光花园 翠苑小区 锦绣家园 丽景公寓 春江名苑 星河新村 香榭嘉园 海棠华府 紫金花园 梧桐家园";
const CITIES: &str =
    "杭州市 上海市 北京市 深圳市 广州市 成都市 南京市 武汉市 西安市 苏州市 宁波市 青岛市 长沙市 郑州市 厦门市";
const TOWNS: &str =
    "London Leeds Bristol Berlin Hamburg Lyon Nantes Madrid Milano Boston Denver Austin Dublin Oslo Wien";
const STREETS: &str = "Mill Church Station Park Garden Bridge School Forest Lake Market";
const BRANDS: &str =
    "华信恒泰鑫源盛达宏图天瑞嘉诚博远金鼎卓越凌云众联启明德胜创智海蓝森汇佳和美通安康利群永固丰禾润泽景程";
const TRADES: &str = "科技 贸易 电子 食品 机械 服饰 物流 建材 餐饮管理 广告 咨询 医疗器械";

/// What is true of somebody.
#[derive(Clone, Debug, Default)]
struct Truth {
    family: String,
    given: String,
    born: (usize, usize, usize),
    emails: Vec<String>,
    phones: Vec<String>,
    company: String,
    home: Value,
    is_organization: bool,
    tax_id: String,
}

/// A world of people and organizations who are thrown together by a seed.
pub struct World {
    dice: Dice,
    surnames: Vec<String>,
    rare: Vec<String>,
    companies: Vec<String>,
    count: usize,
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

impl World {
    /// With so many employers to choose from.
    pub fn new(seed: u64, employers: usize) -> Self {
        let mut dice = Dice(seed);
        let listed = include_str!("../../rules/chinese/surnames.txt").lines().take(150);
        let surnames = listed.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
        let rare = (0..400).map(|_| capital(&dice.word(3))).collect();
        let mut world = Self { dice, surnames, rare, companies: Vec::new(), count: 0 };
        world.companies = (0..employers).map(|at| if at % 4 == 0 { world.firm() } else { world.company() }).collect();
        world
    }

    /// One of many, the first ones the most often.
    fn common(&mut self, most: usize) -> usize {
        let (a, b, c) = (self.dice.below(most), self.dice.below(most), self.dice.below(most));
        a.min(b).min(c)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.dice.below(of.len())]
    }

    fn characters(&mut self, of: &str, count: usize) -> String {
        let all: Vec<char> = of.chars().filter(|c| !c.is_whitespace()).collect();
        (0..count).map(|_| all[self.dice.below(all.len())]).collect()
    }

    fn company(&mut self) -> String {
        let city = self.one(&words(CITIES)).trim_end_matches('市').to_owned();
        let brand = self.characters(BRANDS, 2);
        let form = self.one(&["有限公司", "有限公司", "股份有限公司"]);
        format!("{city}{brand}{}{form}", self.one(&words(TRADES)))
    }

    fn firm(&mut self) -> String {
        let (name, trade) =
            (capital(&self.dice.word(3)), self.one(&["Trading", "Systems", "Foods", "Design", "Works"]));
        format!("{name} {trade} {}", self.one(&["Ltd.", "GmbH", "Inc.", "LLC"]))
    }

    fn home(&mut self, is_chinese: bool) -> Value {
        if is_chinese {
            let city = self.one(&words(CITIES));
            let street = format!("{}路{}号", self.one(&words(ROADS)), 1 + self.dice.below(300));
            let building = format!(
                "{}{}幢{}单元{}室",
                self.one(&words(ESTATES)),
                1 + self.dice.below(30),
                1 + self.dice.below(4),
                100 * (1 + self.dice.below(20)) + 1 + self.dice.below(4)
            );
            return json!({ "country": "CN", "city": city, "street": street, "building": building });
        }
        let street = format!("{} {} Street", 1 + self.dice.below(200), self.one(&words(STREETS)));
        let code = format!("{:05}", 10_000 + self.dice.below(900) * 7);
        json!({ "city": self.one(&words(TOWNS)), "street": street, "postal_code": code })
    }

    fn phone(&mut self, is_chinese: bool) -> String {
        if is_chinese {
            return format!("+861{}{:09}", 3 + self.dice.below(7), self.dice.below(1_000_000_000));
        }
        format!("+4477{:08}", self.dice.below(100_000_000))
    }

    fn person(&mut self, household: Option<&Truth>) -> Truth {
        let is_chinese = household.map_or_else(|| self.dice.hits(65), |it| !it.given.is_ascii());
        let mut it = Truth {
            born: (1945 + self.dice.below(60), 1 + self.dice.below(12), 1 + self.dice.below(28)),
            ..Truth::default()
        };
        self.count += 1;
        let number = self.count;
        let local = if is_chinese {
            let count = if self.dice.hits(30) { 1 } else { 2 };
            it.given = self.characters(GIVEN, count);
            let at = self.common(150);
            it.family = self.surnames[at].clone();
            format!("kh{}", number * 37)
        } else {
            let (first, last) = (words(FIRST), words(LAST));
            it.given = first[self.common(first.len())].to_owned();
            let (at, rare) = (self.common(last.len()), self.dice.below(400));
            it.family = if self.dice.hits(50) { last[at].to_owned() } else { self.rare[rare].clone() };
            format!("{}.{}", it.given.to_lowercase(), it.family.to_lowercase().replace('ü', "ue"))
        };
        let domain = self.one(&["example.com", "example.org", "mail.example.net", "example.cn"]);
        it.emails
            .push(format!("{local}{}@{domain}", if self.dice.hits(60) { number.to_string() } else { String::new() }));
        it.phones.push(self.phone(is_chinese));
        if self.dice.hits(60) {
            let at = self.common(self.companies.len());
            it.company = self.companies[at].clone();
        }
        it.home = self.home(is_chinese);
        if let Some(of) = household {
            it.home = of.home.clone();
            it.family = if self.dice.hits(70) { of.family.clone() } else { it.family };
            if self.dice.hits(25) {
                it.phones = of.phones.clone();
            }
            if self.dice.hits(12) {
                it.emails = of.emails.clone();
            }
        }
        it
    }

    fn organization(&mut self, like: Option<&Truth>) -> Truth {
        let is_chinese = like.map_or_else(|| self.dice.hits(70), |it| !it.given.is_ascii());
        self.count += 1;
        let number = self.count;
        let mut it = Truth { is_organization: true, home: self.home(is_chinese), ..Truth::default() };
        it.given = if is_chinese { self.company() } else { self.firm() };
        // A branch elsewhere, or a namesake of another trade or city.
        if let Some(of) = like {
            let city = self.one(&words(CITIES)).trim_end_matches('市');
            it.given = match (is_chinese, self.dice.below(3)) {
                (true, 0) => format!("{}{city}分公司", of.given),
                (true, _) => format!("{city}{}", of.given.chars().skip(2).collect::<String>()),
                (false, _) => format!("{} {}", of.given.split(' ').next().unwrap_or_default(), self.firm()),
            };
        }
        let mailbox = if self.dice.hits(40) { "info".to_owned() } else { format!("kunde{number}") };
        it.emails.push(format!("{mailbox}@o{number}.example.com"));
        it.phones.push(if is_chinese {
            format!("+86571{:08}", 80_000_000 + self.dice.below(9_000_000))
        } else {
            self.phone(false)
        });
        if self.dice.hits(30) {
            it.tax_id = format!("DE{:09}", 100_000_000 + number * 7919 % 800_000_000);
        }
        it
    }

    /// So many people and organizations, most of them told of more than once; in an order that says nothing.
    pub fn records(&mut self, people: usize, organizations: usize) -> Vec<Told> {
        let mut told: Vec<Told> = Vec::new();
        let mut last: Option<Truth> = None;
        for who in 0..people + organizations {
            let truth = if who < people {
                let household = last.clone().filter(|it| !it.is_organization && self.dice.hits(25));
                self.person(household.as_ref())
            } else {
                let like = last.clone().filter(|it| it.is_organization && self.dice.hits(20));
                self.organization(like.as_ref())
            };
            let times = [1, 1, 1, 2, 2, 2, 2, 3, 3, 4][self.dice.below(10)];
            for at in 0..times {
                let evidence = self.tell(&truth, at > 0);
                told.push(Told { who, evidence });
            }
            last = Some(truth);
        }
        for at in (1..told.len()).rev() {
            let other = self.dice.below(at + 1);
            told.swap(at, other);
        }
        told
    }

    /// What one system has of somebody; `again` what a second one has, in another spelling.
    fn tell(&mut self, truth: &Truth, again: bool) -> Evidence {
        let mut it = Evidence::default();
        let mut put = |field: &str, value: Value| drop(it.fields.insert(field.into(), value));
        if truth.is_organization {
            put("kind", "organization".into());
            put("legal_name", self.organization_name(&truth.given, again).into());
        } else {
            let names = self.names(truth, again);
            for (field, value) in names {
                put(field, value.into());
            }
            if self.dice.hits(60) {
                put("birth_date", self.born(truth.born, again).into());
            }
            if !truth.company.is_empty() && self.dice.hits(70) {
                let moved = again && self.dice.hits(8);
                let other = self.dice.below(self.companies.len());
                let company = if moved { self.companies[other].clone() } else { truth.company.clone() };
                put("company", self.organization_name(&company, again).into());
            }
        }
        if self.dice.hits(55) {
            put("addresses.main", self.lives(&truth.home, again));
        }
        let is_chinese = !truth.given.is_ascii();
        let mut say = |kind: &str, value: String| it.identities.push(Identity { kind: kind.into(), value });
        for (kind, values, percent) in [("email", &truth.emails, 60), ("phone", &truth.phones, 65)] {
            if !self.dice.hits(percent) {
                continue;
            }
            // An organization has many lines and mailboxes.
            let other = again && truth.is_organization && self.dice.hits(35);
            let value = match self.dice.below(100) {
                _ if other && kind == "phone" => format!("+86571{:08}", 80_000_000 + self.dice.below(9_000_000)),
                _ if other => format!("b{}@{}", self.dice.below(900), values[0].split('@').nth(1).unwrap_or_default()),
                0..8 if again && kind == "phone" => self.phone(is_chinese),
                0..8 if again => format!("kh{}@example.com", self.dice.below(1_000_000)),
                8..11 if again => slipped(&mut self.dice, &values[0]),
                11..13 => {
                    if kind == "email" {
                        "info@example.com".to_owned()
                    } else {
                        "+864008123123".to_owned()
                    }
                }
                _ => values[0].clone(),
            };
            say(kind, value);
        }
        if !truth.tax_id.is_empty() && self.dice.hits(50) {
            say("tax_id", truth.tax_id.clone());
        }
        it
    }

    fn names(&mut self, truth: &Truth, again: bool) -> BTreeMap<&'static str, String> {
        let change = if again { self.dice.below(100) } else { 99 };
        let (family, given) = (truth.family.clone(), truth.given.clone());
        if given.is_ascii() { self.western(family, given, change) } else { self.chinese(family, given, change) }
    }

    fn chinese(&mut self, family: String, mut given: String, change: usize) -> BTreeMap<&'static str, String> {
        match change {
            0..4 => return whole(format!("{family}{}", self.one(&["总", "经理", "女士", "先生"]))),
            4..8 => return whole(format!("{family}{given}-{}", self.one(&["采购", "财务", "展会"]))),
            8..12 => {
                let alike = ALIKE.iter().find(|it| given.contains(it.0));
                given = alike.map_or(given.clone(), |(one, other)| given.replace(one, other));
            }
            12..16 => return whole(format!("{family} {given}")),
            16..22 => {
                let sound = |name: &str| person::sound(name).map(|it| capital(&it)).unwrap_or_default();
                return whole(format!("{} {}", sound(&given), sound(&family)));
            }
            22..24 => return whole(format!("小{family}")),
            24 => given = self.characters(GIVEN, 1) + &given.chars().skip(1).collect::<String>(),
            _ => {}
        }
        if self.dice.hits(70) { whole(family + &given) } else { parts(family, given) }
    }

    fn western(&mut self, mut family: String, mut given: String, change: usize) -> BTreeMap<&'static str, String> {
        let nick = NICKNAMES.iter().find(|it| it.0 == given);
        match change {
            0..10 => given = nick.map_or(given, |it| it.1.to_owned()),
            10..14 => given = given[..1].to_owned(),
            14..18 => given = slipped(&mut self.dice, &given),
            18..22 => family = slipped(&mut self.dice, &family),
            22..25 => std::mem::swap(&mut given, &mut family),
            25..28 => return whole(given.to_uppercase()),
            28..34 => return whole(format!("{family}, {given}")),
            34..37 => return whole(format!("Mr. {given} {family}")),
            37..39 => family = self.rare[self.dice.below(400)].clone(),
            _ => {}
        }
        if self.dice.hits(40) { whole(format!("{given} {family}")) } else { parts(family, given) }
    }

    fn organization_name(&mut self, name: &str, again: bool) -> String {
        let change = if again { self.dice.below(100) } else { 99 };
        match (change, name.is_ascii()) {
            (0..25, false) => name.replace("股份有限公司", "").replace("有限公司", ""),
            // City, brand.
            (25..33, false) => name.chars().skip(2).take(2).collect(),
            (0..20, true) => name.rsplit_once(' ').map_or(name, |it| it.0).to_owned(),
            (20..35, true) => name.to_uppercase(),
            (35..43, true) => slipped(&mut self.dice, name),
            _ => name.to_owned(),
        }
    }

    fn born(&mut self, (year, month, day): (usize, usize, usize), again: bool) -> String {
        match if again { self.dice.below(100) } else { 99 } {
            0..3 => "1970-01-01".to_owned(),
            3..5 if day <= 12 => format!("{year}-{day:02}-{month:02}"),
            5..8 => format!("{year}-{month:02}-{:02}", 1 + self.dice.below(28)),
            8..10 => format!("{}-{month:02}-{day:02}", year + 1),
            _ => format!("{year}-{month:02}-{day:02}"),
        }
    }

    fn lives(&mut self, home: &Value, again: bool) -> Value {
        let is_chinese = home.get("building").is_some();
        match if again { self.dice.below(100) } else { 99 } {
            0..12 => self.home(is_chinese),
            12..30 => json!({ "city": home["city"] }),
            30..40 if is_chinese => json!({ "city": home["city"], "street": home["street"] }),
            30..40 => {
                let street = home["street"].as_str().unwrap_or_default().replace("Street", "St");
                json!({ "city": home["city"], "street": street })
            }
            _ => home.clone(),
        }
    }
}

fn whole(name: String) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("display_name", name)])
}

fn parts(family: String, given: String) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("family_name", family), ("given_name", given)])
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// A slip that does not touch the first character.
fn slipped(dice: &mut Dice, text: &str) -> String {
    let first: String = text.chars().take(1).collect();
    let rest: String = text.chars().skip(1).collect();
    first + &dice.slip(&rest)
}
