//! Invented customers as CSV: the same seed gives the same bytes. Nobody in them exists.

use std::fmt::Write as _;
use std::io::{self, Write};

/// The header line of the file.
pub const HEADERS: &str = "编号,姓名,手机,邮箱,公司,职位,生日,城市,统一社会信用代码,标签,备注";

/// The mapping file that reads it.
pub const MAPPING: &str = r#"[rows]
entity = "customer"

[rows.identities]
phone = { from = "/手机", region = "CN" }
email = "/邮箱"
tax_id = "/统一社会信用代码"

[rows.fields]
display_name = "/姓名"
phones.mobile = { from = "/手机", region = "CN" }
emails.main = "/邮箱"
company = "/公司"
title = "/职位"
birth_date = "/生日"
addresses.main = "/城市"
tax_id = "/统一社会信用代码"
tags = "/标签"
remark = "/备注"
"#;

/// Of a hundred rows, so many are somebody who came before, spelled differently.
const REPEATS_PERCENT: u64 = 15;

/// Of a hundred rows, so many have a phone, an address or a date that cannot be read, or a cell too many.
const BROKEN_PERCENT: u64 = 3;

const SURNAMES: &[char] = &[
    '王', '李', '张', '刘', '陈', '杨', '黄', '赵', '吴', '周', '徐', '孙', '马', '朱', '胡', '郭', '何', '林', '高',
    '罗', '郑', '梁', '谢', '宋', '唐', '许', '邓', '韩', '冯', '曹', '彭', '曾', '肖', '田', '董', '潘', '袁', '蔡',
    '蒋', '余',
];

const GIVEN: &[char] = &[
    '伟', '芳', '娜', '敏', '静', '丽', '强', '磊', '军', '洋', '勇', '艳', '杰', '娟', '涛', '明', '超', '兰', '霞',
    '平', '刚', '桂', '英', '华', '玉', '萍', '红', '文', '辉', '力', '梅', '雪', '峰', '鑫', '浩', '宇', '佳', '欣',
    '怡', '晨', '博', '睿', '思', '子', '轩', '梓', '涵', '雨', '桐', '一', '诺', '可', '安', '宁', '远', '航', '志',
    '国', '建', '春',
];

const FIRST: &[&str] = &[
    "James", "Mary", "Robert", "Linda", "Michael", "Susan", "David", "Karen", "Daniel", "Nancy", "Mark", "Lisa",
    "Paul", "Emma", "Kevin", "Laura", "Brian", "Anna", "Jason", "Julia", "Peter", "Helen", "Simon", "Grace", "Oscar",
    "Alice",
];

const LAST: &[&str] = &[
    "Smith", "Johnson", "Brown", "Miller", "Wilson", "Moore", "Taylor", "Thomas", "Jackson", "White", "Harris",
    "Martin", "Thompson", "Robinson", "Clark", "Lewis", "Walker", "Hall", "Young", "King", "Wright", "Hill", "Green",
];

const CITIES: &[&str] =
    &["杭州市", "上海市", "北京市", "深圳市", "广州市", "成都市", "南京市", "武汉市", "西安市", "苏州市"];
const TITLES: &[&str] = &["经理", "采购", "总监", "工程师", "店长", "财务", "Manager", "Buyer"];
const TAGS: &[&str] = &["老客户", "vip", "展会", "线上", "批发", "样品", "重点"];
const TRADES: &[&str] = &["科技", "贸易", "电子", "食品", "机械", "服饰", "物流", "建材"];

/// SplitMix64: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % sides
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        let at = self.roll(list.len() as u64);
        list[usize::try_from(at).unwrap_or(0)]
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }
}

/// What a person would say on any form; made of the number alone, so that a later row can repeat it.
struct Person {
    name: String,
    phone: String,
    email: String,
    company: String,
    birthday: (u64, u64, u64),
    city: &'static str,
    tax_id: String,
}

fn person(number: u64) -> Person {
    let mut dice = Dice(number.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x4855_494c_4955);
    let chinese = dice.percent(75);
    let (name, local) = if chinese {
        let mut name = String::from(dice.of(SURNAMES));
        name.push(dice.of(GIVEN));
        if dice.percent(70) {
            name.push(dice.of(GIVEN));
        }
        (name, format!("kh{number}"))
    } else {
        let (first, last) = (dice.of(FIRST), dice.of(LAST));
        (format!("{first} {last}"), format!("{}.{}{number}", first.to_lowercase(), last.to_lowercase()))
    };
    // Every number once: 13x to 19x with eight counted digits.
    let phone = format!("1{}{:09}", 3 + number % 7, number * 613 % 1_000_000_000);
    let company = dice.percent(60).then(|| {
        let (trade, city) = (dice.of(TRADES), dice.of(CITIES).trim_end_matches('市'));
        format!("{city}{}{}{trade}有限公司", dice.of(GIVEN), dice.of(GIVEN))
    });
    let birthday = (1950 + dice.roll(55), 1 + dice.roll(12), 1 + dice.roll(28));
    let tax_id = if dice.percent(8) { credit_code(number) } else { String::new() };
    let domain = dice.of(&["example.com", "example.org", "mail.example.net"]);
    Person {
        name,
        phone,
        email: if dice.percent(85) { format!("{local}@{domain}") } else { String::new() },
        company: company.unwrap_or_default(),
        birthday,
        city: dice.of(CITIES),
        tax_id,
    }
}

/// A 统一社会信用代码 with a right check character (GB 32100-2015).
fn credit_code(number: u64) -> String {
    const CHARACTERS: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    let body = format!("91330000{number:09}");
    let mut weight = 1;
    let mut sum = 0;
    for digit in body.bytes() {
        sum += usize::from(digit - b'0') * weight;
        weight = weight * 3 % 31;
    }
    format!("{body}{}", char::from(CHARACTERS[(31 - sum % 31) % 31]))
}

/// Writes so many rows, the first of them numbered `from`; repeats tell of any row before.
pub fn write(out: &mut dyn Write, from: u64, rows: u64) -> io::Result<()> {
    writeln!(out, "{HEADERS}")?;
    let mut line = String::new();
    for number in from..from + rows {
        line.clear();
        row(&mut line, number);
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn row(line: &mut String, number: u64) {
    let mut dice = Dice(number ^ 0x524f_5753);
    let repeat = number > 0 && dice.percent(REPEATS_PERCENT);
    let mut who = person(if repeat { dice.roll(number) } else { number });
    if repeat {
        spell_differently(&mut who, &mut dice);
    }
    let (year, month, day) = who.birthday;
    let mut birthday = if repeat { format!("{year}/{month}/{day}") } else { format!("{year}-{month:02}-{day:02}") };
    let mut extra = "";
    if dice.percent(BROKEN_PERCENT) {
        match dice.roll(4) {
            0 => who.phone = who.phone[..7].to_owned(),
            1 => who.email = who.email.replace('@', " at "),
            2 => birthday = format!("{day}.{month}."),
            _ => extra = ",?,?",
        }
    }
    let (title, tag) = (dice.of(TITLES), dice.of(TAGS));
    let tags = if dice.percent(30) { format!("\"{tag},{}\"", dice.of(TAGS)) } else { tag.to_owned() };
    let remark = if dice.percent(20) { "来自展会, 需要回访" } else { "" };
    let remark = if remark.is_empty() { String::new() } else { format!("\"{remark}\"") };
    let Person { name, phone, email, company, city, tax_id, .. } = who;
    let _ = write!(
        line,
        "K{number:08},{name},{phone},{email},{company},{title},{birthday},{city},{tax_id},{tags},{remark}{extra}"
    );
}

/// The same person on another day: grouped digits, capitals, no legal form, sometimes only one of phone and address.
fn spell_differently(who: &mut Person, dice: &mut Dice) {
    let phone = &who.phone;
    who.phone = match dice.roll(4) {
        0 => format!("+86 {phone}"),
        1 => format!("{} {} {}", &phone[..3], &phone[3..7], &phone[7..]),
        2 => format!("86-{phone}"),
        _ => phone.clone(),
    };
    match dice.roll(3) {
        0 => who.email = who.email.to_uppercase(),
        1 => who.email = String::new(),
        _ => {}
    }
    if dice.percent(50) {
        who.company = who.company.replace("有限公司", "");
    }
    if who.name.is_ascii() {
        let turned = who.name.split_once(' ').map(|(first, last)| format!("{last} {first}"));
        who.name = if dice.percent(50) { turned.unwrap_or_default() } else { who.name.to_uppercase() };
    } else if dice.percent(30) {
        who.name.insert(who.name.chars().next().map_or(0, char::len_utf8), ' ');
    }
}
