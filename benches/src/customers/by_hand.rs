//! The mapping as somebody writes it who needs no other one: a struct that borrows from the text, and a function a field.
//! It knows this shop's spelling and no other: that is what a floor is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What is read of a record.
#[derive(Deserialize)]
pub struct Record<'a> {
    /// The shop's id.
    pub id: &'a str,
    email: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    phone: &'a str,
    company: &'a str,
    job_title: &'a str,
    birthday: &'a str,
    gender: &'a str,
    tags: &'a str,
    owner: &'a str,
    stage: &'a str,
    accepts_mail: &'a str,
    note: &'a str,
    site: &'a str,
    locale: &'a str,
    orders_count: u64,
    total_spent: &'a str,
    #[serde(borrow)]
    address: Address<'a>,
}

#[derive(Deserialize)]
struct Address<'a> {
    line1: &'a str,
    city: &'a str,
    province: &'a str,
    zip: &'a str,
    country: &'a str,
}

/// The 18 fields in canonical form, under the names and in the order of the hub's.
#[derive(Serialize)]
pub struct Mapped<'a> {
    /// Postal address.
    #[serde(rename = "addresses.main")]
    pub address: Place<'a>,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// Company.
    pub company: Cow<'a, str>,
    /// Whether e-mail is welcome.
    #[serde(rename = "consent.email")]
    pub consent: &'static str,
    /// Number of orders.
    #[serde(rename = "custom.orders")]
    pub orders: String,
    /// Amount spent.
    #[serde(rename = "custom.spent")]
    pub spent: &'a str,
    /// Lower case.
    #[serde(rename = "emails.main")]
    pub email: String,
    /// Last name.
    pub family_name: Cow<'a, str>,
    /// One of three words.
    pub gender: &'static str,
    /// First name.
    pub given_name: Cow<'a, str>,
    /// Language.
    pub language: &'a str,
    /// One of four words.
    pub lifecycle: &'static str,
    /// Who looks after the customer.
    pub owner: &'a str,
    /// E.164.
    #[serde(rename = "phones.mobile")]
    pub phone: Phone,
    /// Remark.
    pub remark: &'a str,
    /// Sorted, each once.
    pub tags: BTreeSet<&'a str>,
    /// Position.
    pub title: &'a str,
    /// Address in the web.
    pub website: &'a str,
}

/// A postal address.
#[derive(Serialize)]
pub struct Place<'a> {
    city: Cow<'a, str>,
    country: Cow<'a, str>,
    postal_code: Cow<'a, str>,
    province: Cow<'a, str>,
    street: Cow<'a, str>,
}

/// A telephone.
#[derive(Serialize)]
pub struct Phone {
    /// E.164.
    pub number: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Trimmed, blanks inside folded to one.
fn name(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains("  ") { text.split_whitespace().collect::<Vec<_>>().join(" ").into() } else { text.into() }
}

fn phone(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let national = digits.strip_prefix("86").filter(|rest| rest.len() == 11).unwrap_or(&digits);
    format!("+86{national}")
}

fn date(text: &str) -> String {
    let mut parts = text.split('/');
    let mut part = || parts.next().unwrap_or_default();
    format!("{}-{:0>2}-{:0>2}", part(), part(), part())
}

/// Maps a record.
pub fn map<'a>(record: &Record<'a>) -> Mapped<'a> {
    let Address { line1, city, province, zip, country } = record.address;
    let place = Place {
        street: name(line1),
        city: name(city),
        province: name(province),
        postal_code: name(zip),
        country: name(country),
    };
    Mapped {
        address: place,
        birth_date: date(record.birthday),
        company: name(record.company),
        consent: match record.accepts_mail {
            "yes" => "subscribed",
            "no" => "unsubscribed",
            _ => "pending",
        },
        orders: record.orders_count.to_string(),
        spent: record.total_spent.trim(),
        email: record.email.trim().to_lowercase(),
        family_name: name(record.last_name),
        gender: match record.gender {
            "F" => "female",
            "M" => "male",
            _ => "other",
        },
        given_name: name(record.first_name),
        language: record.locale.trim(),
        lifecycle: match record.stage {
            "1" => "lead",
            "2" => "prospect",
            "3" => "customer",
            _ => "former",
        },
        owner: record.owner.trim(),
        phone: Phone { number: phone(record.phone), kind: "mobile" },
        remark: record.note.trim(),
        tags: record.tags.split(',').map(str::trim).collect(),
        title: record.job_title.trim(),
        website: record.site.trim(),
    }
}
