//! Which parts of keys each feature gives.

use super::{BOTH_NAMES, Order, Part, Parts, first, hash, last, long_begin, mixed, some, sorted, sound_of, whole};
use crate::chinese::ids;
use crate::matching::linkage::features::Features;

/// All parts that the features allow; `rows` of how many words are rare in.
pub(in crate::matching::linkage) fn parts(f: &Features, rows: usize) -> Vec<Part<'_>> {
    let mut parts = Parts { all: Vec::new(), of: ("", 0) };
    people(f, &mut parts);
    contacts(f, &mut parts);
    places(f, &mut parts);
    let mut group = 40;
    let named = f.name.iter().map(|it| (("name", 0), it));
    for (of, text) in named.chain(f.texts.iter().enumerate().map(|(at, it)| (("words", at), it))) {
        parts.of = of;
        parts.words(group, text, rows);
        group = (group + 1).min(120);
    }
    parts.all
}

fn people<'a>(f: &'a Features, parts: &mut Parts<'a>) {
    if let Some(names) = &f.given {
        parts.of = ("given_name", 0);
        parts.name(1, names, f.shape.in_pinyin[0]);
    }
    if let Some(names) = &f.family {
        parts.of = ("family_name", 0);
        parts.name(2, names, f.shape.in_pinyin[1]);
        parts.one(2, "last4", &names.feature, |value| last(value.rsplit(' ').next().unwrap_or_default(), 4));
    }
    if let (Some(given), Some(family)) = (&f.given, &f.family) {
        parts.of = ("names", 0);
        parts.two(BOTH_NAMES, "whole", [&given.feature, &family.feature], Order::Any, whole);
        parts.two(BOTH_NAMES, "sound", [&given.feature, &family.feature], Order::Any, sound_of(f.shape.in_pinyin[0]));
    }
    if let Some(names) = &f.middle {
        parts.of = ("middle_name", 0);
        parts.one(4, "first1", &names.feature, |value| first(value, 1));
    }
    if let Some((birth, _)) = &f.birth {
        let feature = &birth.feature;
        parts.of = ("birth_date", 0);
        parts.one(5, "whole", feature, whole);
        parts.one(5, "month", feature, |value| some(value.get(..6).unwrap_or_default()));
        parts.one(5, "month_day", feature, |value| some(value.get(4..).unwrap_or_default()));
        parts.one(5, "year", feature, |value| some(value.get(..4).unwrap_or_default()));
        parts.one(5, "year_day", feature, |value| mixed(first(value, 4), last(value, 2)));
        parts.one(5, "sorted", feature, sorted);
    }
    for (((group, it), checked), at) in (70u8..100).zip(&f.identifiers).zip(&f.shape.checked).zip(0..) {
        parts.of = ("identifier", at);
        if *checked {
            let organization = |value: &str| ids::organization(&ids::clean(value)).map_or(0, hash);
            parts.one(group, "organization", &it.feature, organization);
        }
        parts.one(group, "whole", &it.feature, whole);
        parts.one(group, "last4", &it.feature, |value| last(value, 4));
        parts.one(group, "first4", &it.feature, |value| first(value, 4));
        parts.one(group, "sorted", &it.feature, sorted);
    }
}

fn contacts<'a>(f: &'a Features, parts: &mut Parts<'a>) {
    if let Some((email, _)) = &f.email {
        let feature = &email.feature;
        parts.of = ("email", 0);
        parts.one(6, "whole", feature, whole);
        parts.one(6, "mailbox", feature, |value| some(value.split('@').next().unwrap_or_default()));
        parts.one(6, "domain", feature, |value| some(value.split('@').nth(1).unwrap_or_default()));
        parts.one(6, "first5", feature, |value| first(value, 5));
    }
    for ((group, it), at) in (20u8..40).zip(&f.phones).zip(0..) {
        parts.of = ("phone", at);
        parts.one(group, "whole", &it.feature, whole);
        parts.one(group, "last4", &it.feature, |value| last(value, 4));
        parts.one(group, "first5", &it.feature, |value| first(value, 5));
    }
    if let Some(host) = &f.host {
        parts.of = ("host", 0);
        parts.one(7, "whole", host, whole);
    }
}

fn places<'a>(f: &'a Features, parts: &mut Parts<'a>) {
    if let Some(street) = &f.street {
        parts.of = ("street", 0);
        parts.one(8, "whole", &street.feature, whole);
        parts.one(8, "word4", &street.feature, |value| long_begin(value, 4));
        if let Some(number) = &f.number {
            parts.of = ("place", 0);
            parts.two(8, "whole", [&number.feature, &street.feature], Order::Kept, whole);
            let short = |value: &str| match value.as_bytes().first() {
                Some(byte) if byte.is_ascii_digit() && !value.contains(' ') => hash(value),
                _ => long_begin(value, 3),
            };
            parts.two(8, "word3", [&number.feature, &street.feature], Order::Kept, short);
        }
    }
    if let Some(number) = &f.number {
        parts.of = ("street_number", 0);
        parts.one(8, "whole", &number.feature, whole);
    }
    if let Some(po_box) = &f.po_box {
        parts.of = ("po_box", 0);
        parts.one(8, "whole", po_box, whole);
    }
    if let Some(postcode) = &f.postcode {
        parts.of = ("postcode", 0);
        parts.one(9, "whole", &postcode.feature, whole);
    }
    if let Some(city) = &f.city {
        parts.of = ("city", 0);
        parts.one(9, "whole", &city.feature, whole);
        parts.one(9, "first4", &city.feature, |value| first(value, 4));
    }
}
