//! Invented customers as a shop's API shows them, some 1.6 kB of JSON each: the same number gives the same bytes. Nobody in
//! them exists. Beside them stands what a mapping makes of them: as a file for the hub, and written by hand.

// Each program uses its part.
#![allow(dead_code)]

pub mod by_hand;

use std::fmt::Write as _;

/// Of a hundred records, so many are of a customer who came before, under another id and spelled differently.
const REPEATS_PERCENT: u64 = 5;

/// The mapping of 18 fields that everybody makes in their own way: blanks, capitals, telephones, dates, words, tags.
pub const FIELDS: &str = r#"
[customers.fields]
given_name = "/first_name"
family_name = "/last_name"
emails.main = "/email"
phones.mobile = { from = "/phone", region = "CN" }
addresses.main = { from = "/address", each = { street = "/line1", city = "/city", province = "/province", postal_code = "/zip", country = "/country" } }
company = "/company"
title = "/job_title"
birth_date = "/birthday"
gender = { from = "/gender", values = { female = "F", male = "M", other = "X" } }
tags = "/tags"
owner = "/owner"
lifecycle = { from = "/stage", values = { lead = "1", prospect = "2", customer = "3", former = "4" } }
consent.email = { from = "/accepts_mail", values = { subscribed = "yes", unsubscribed = "no", pending = "asked" } }
remark = "/note"
website = "/site"
language = "/locale"
custom.orders = "/orders_count"
custom.spent = "/total_spent"
"#;

/// The same as a whole file; with what may link records if they are to be matched.
pub fn mapping(matched: bool) -> String {
    let identities = if matched {
        "[customers.identities]\nemail = \"/email\"\nphone = { from = \"/phone\", region = \"CN\" }"
    } else {
        ""
    };
    format!("[customers]\nentity = \"customer\"\n{identities}\n{FIELDS}")
}

/// A small generator of numbers that look like chance (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.roll(words.len() as u64)).unwrap_or(0)]
    }

    /// A word of so many syllables.
    fn word(&mut self, syllables: usize) -> String {
        let mut word: String = (0..syllables).map(|_| self.of(SYLLABLES)).collect();
        word[..1].make_ascii_uppercase();
        word
    }
}

const SYLLABLES: &[&str] = &[
    "ba", "be", "bo", "da", "del", "do", "fa", "fen", "ga", "go", "ha", "hel", "jo", "ka", "ken", "ko", "la", "len",
    "lo", "ma", "mer", "mi", "na", "ne", "nor", "pa", "per", "ra", "ri", "ron", "sa", "sel", "so", "ta", "ten", "to",
    "va", "vin", "wa", "wil",
];

const TITLES: &[&str] = &["buyer", "head of purchasing", " owner", "accountant", "engineer ", "office manager"];
const TAGS: &[&str] = &["vip", "b2b", "newsletter", "fair 2025", "wholesale", "north", "south"];
const STREETS: &[&str] = &["Harbour Road", "Mill Lane", "Station Street", "Garden Avenue", "Market Square"];
const PROVINCES: &[&str] = &["Zhejiang", "Jiangsu", "Guangdong", "Sichuan", "Hebei", "Fujian"];

/// Writes the record of this number, one line of JSON without its end.
pub fn write(out: &mut String, number: u64) {
    let mut dice = Dice(number ^ 0x5348_4f50);
    let repeat = number > 100 && dice.roll(100) < REPEATS_PERCENT;
    let person = if repeat { dice.roll(number) } else { number };
    let mut who = Dice(person ^ 0x5045_5253);
    let (first, syllables) = (who.word(2), 2 + usize::from(who.roll(2) == 0));
    let last = who.word(syllables);
    let (year, month, day) = (1940 + who.roll(68), 1 + who.roll(12), 1 + who.roll(28));
    let company = format!("{} {}", who.word(3), who.of(&["Trading", "Foods", "Logistics", "Works"]));
    let (city, house, street) = (who.word(3), 1 + who.roll(200), who.of(STREETS));
    let (gender, province) = (who.of(&["F", "M", "X"]), who.of(PROVINCES));
    let mobile = format!("13{:09}", person % 1_000_000_000);
    let (phone, email) = match dice.roll(3) {
        0 => (mobile.clone(), format!("{first}.{last}{person}@Example.COM")),
        1 => (format!("+86 {mobile}"), format!(" {first}.{last}{person}@example.com ").to_lowercase()),
        _ => {
            let (area, rest) = (&mobile[..3], &mobile[3..]);
            (format!("{area} {} {}", &rest[..4], &rest[4..]), format!("{first}.{last}{person}@example.com"))
        }
    };
    let shown = if dice.roll(4) == 0 { format!(" {} ", first.to_uppercase()) } else { first };
    let (tag, other) = (dice.of(TAGS), dice.of(TAGS));
    let (title, owner) = (dice.of(TITLES), dice.of(&["li.lei", "han.mei", "wang.fang"]));
    let (stage, accepts) = (1 + dice.roll(4), dice.of(&["yes", "no", "asked"]));
    let (orders, spent) = (dice.roll(40), dice.roll(1_000_000));
    let minute = number % 500_000;
    let (month_of, day_of) = (1 + minute / 45_000, 1 + minute / 1440 % 28);
    let (hour, minute_of) = (minute / 60 % 24, minute % 60);
    let stamp = format!("2025-{month_of:02}-{day_of:02}T{hour:02}:{minute_of:02}:00Z");
    let _ = write!(
        out,
        r#"{{"id":"C{number:010}","graphql_id":"gid://shop/Customer/{number}","email":"{email}","first_name":"{shown}","last_name":" {last}","phone":"{phone}","company":"{company}","job_title":"{title}","birthday":"{year}/{month}/{day}","gender":"{gender}","tags":"{tag}, {other}","owner":"{owner}","stage":"{stage}","accepts_mail":"{accepts}","note":"Met at the fair, asked for the catalogue of number {house}; calls back on Thursdays, prefers to be written to.","site":"https://{owner}.example.com/{number}","locale":"zh-CN","orders_count":{orders},"total_spent":"{}.{:02}","currency":"CNY","tax_exempt":false,"verified_email":true,"multipass_identifier":null,"created_at":"2024-11-03T09:12:44Z","updated_at":"{stamp}","#,
        spent / 100,
        spent % 100
    );
    let _ = write!(
        out,
        r#""address":{{"id":{},"line1":"{house} {street}","line2":"","city":"{city}","province":"{province}","province_code":"P{}","zip":"{:06}","country":"China","country_code":"CN","phone":null,"default":true}},"last_order":{{"id":{},"name":"N{}","placed_at":"{stamp}","total":"{}.00"}},"email_marketing_consent":{{"state":"{accepts}","opt_in_level":"single_opt_in","consent_updated_at":"2024-11-03T09:12:44Z"}},"sms_marketing_consent":{{"state":"not_subscribed","opt_in_level":"single_opt_in","consent_updated_at":null,"consent_collected_from":"OTHER"}},"metafields":[{{"namespace":"loyalty","key":"points","value":"{}","type":"number_integer"}},{{"namespace":"import","key":"source","value":"spring campaign, second wave","type":"single_line_text_field"}},{{"namespace":"import","key":"batch","value":"b-{}","type":"single_line_text_field"}}],"statistics":{{"predicted_spend_tier":"MEDIUM","rfm_group":"PROMISING","orders_last_year":{},"returns":0}}}}"#,
        number * 7,
        person % 30,
        100_000 + person % 800_000,
        number * 11,
        1000 + number,
        spent % 1000,
        orders * 10,
        number / 1000,
        orders / 2,
    );
}
