//! Administrative divisions: provinces, cities, counties, by their names, by their names without the word for their rank, and
//! by the names that autonomous ones go by (恩施 for 恩施土家族苗族自治州).

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

/// How high a division is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// 省, 自治区, 直辖市, 特别行政区.
    Province,
    /// 地级市, 自治州, 地区, 盟.
    City,
    /// 区, 县, 县级市, 旗.
    County,
}

/// A division: its number in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u16);

struct Division {
    name: &'static str,
    stem: &'static str,
    rank: Rank,
    above: Option<Place>,
}

struct Table {
    all: Vec<Division>,
    by_name: FxHashMap<&'static str, Vec<Place>>,
    by_stem: FxHashMap<&'static str, Vec<Place>>,
}

/// The words for a rank, longest first.
const RANKS: &[&str] = &[
    "特别行政区",
    "维吾尔自治区",
    "壮族自治区",
    "回族自治区",
    "自治区",
    "自治州",
    "自治县",
    "自治旗",
    "地区",
    "林区",
    "省",
    "市",
    "州",
    "盟",
    "区",
    "县",
    "旗",
];

/// The peoples after whom autonomous divisions are called.
const PEOPLES: &[&str] = &[
    "柯尔克孜族",
    "柯尔克孜",
    "哈萨克族",
    "哈萨克",
    "蒙古族",
    "蒙古",
    "朝鲜族",
    "土家族",
    "布依族",
    "哈尼族",
    "景颇族",
    "傈僳族",
    "达斡尔族",
    "鄂温克族",
    "鄂伦春",
    "鄂温克",
    "仫佬族",
    "毛南族",
    "仡佬族",
    "拉祜族",
    "纳西族",
    "普米族",
    "布朗族",
    "保安族",
    "东乡族",
    "撒拉族",
    "裕固族",
    "锡伯族",
    "锡伯",
    "塔吉克族",
    "塔吉克",
    "畲族",
    "苗族",
    "侗族",
    "壮族",
    "瑶族",
    "彝族",
    "回族",
    "满族",
    "藏族",
    "羌族",
    "傣族",
    "佤族",
    "独龙族",
    "怒族",
    "黎族",
    "土族",
    "白族",
    "水族",
    "各族",
    "达斡尔",
];

/// A name without the word for its rank; the name itself where less than two characters would be left.
fn stem(name: &str) -> &str {
    let long = |rest: &&str| rest.chars().count() >= 2;
    let Some((mut bare, rank)) = RANKS.iter().find_map(|rank| Some((name.strip_suffix(rank)?, *rank))) else {
        return name;
    };
    if !long(&bare) {
        return name;
    }
    if rank.starts_with("自治") {
        while let Some(rest) = PEOPLES.iter().find_map(|people| bare.strip_suffix(people)).filter(long) {
            bare = rest;
        }
    }
    bare
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { all: Vec::new(), by_name: FxHashMap::default(), by_stem: FxHashMap::default() };
        let mut province = None;
        for line in include_str!("../../rules/chinese/divisions.txt").lines() {
            let Some((city, counties)) = line.split_once(':') else {
                province = table.add(line, Rank::Province, None);
                continue;
            };
            // What stands directly under its province has a line without a city.
            let above = if city.is_empty() { province } else { table.add(city, Rank::City, province) };
            for county in counties.split(' ').filter(|county| !county.is_empty()) {
                table.add(county, Rank::County, above);
            }
        }
        table
    })
}

impl Table {
    fn add(&mut self, name: &'static str, rank: Rank, above: Option<Place>) -> Option<Place> {
        let place = Place(u16::try_from(self.all.len()).ok()?);
        let stem = stem(name);
        self.all.push(Division { name, stem, rank, above });
        self.by_name.entry(name).or_default().push(place);
        self.by_stem.entry(stem).or_default().push(place);
        Some(place)
    }
}

impl Place {
    fn division(self) -> &'static Division {
        &table().all[usize::from(self.0)]
    }

    /// Its name: 海淀区.
    pub fn name(self) -> &'static str {
        self.division().name
    }

    /// Its name without the word for its rank: 海淀.
    pub fn stem(self) -> &'static str {
        self.division().stem
    }

    /// How high it is.
    pub fn rank(self) -> Rank {
        self.division().rank
    }

    /// The division that it belongs to.
    pub fn above(self) -> Option<Place> {
        self.division().above
    }

    /// It and everything above it, the province last.
    pub fn and_above(self) -> impl Iterator<Item = Place> {
        std::iter::successors(Some(self), |place| place.above())
    }

    /// Whether one is in the other, or they are one.
    pub fn is_within(self, other: Place) -> bool {
        self.and_above().any(|place| place == other)
    }
}

/// A name of a division at the beginning of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes of the name.
    pub length: usize,
    /// The divisions that are called so.
    pub places: Vec<Place>,
    /// Whether the word for its rank stands behind the name.
    pub is_whole: bool,
}

/// The longest name has this many characters.
const NAME_CHARS_MAX: usize = 16;

/// The division that a text begins with, the longest name first. A former rank is no other place: 密云县 is 密云区.
pub fn at_start(text: &str) -> Option<Found> {
    let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(NAME_CHARS_MAX).collect();
    let table = table();
    for (chars, end) in ends.iter().enumerate().skip(1).rev() {
        let name = &text[..*end];
        if let Some(places) = table.by_name.get(name) {
            return Some(Found { length: *end, places: places.clone(), is_whole: true });
        }
        if let Some(places) = table.by_stem.get(name) {
            return Some(Found { length: *end, places: places.clone(), is_whole: false });
        }
        let before = &text[..ends[chars - 1]];
        if chars >= 2
            && name.ends_with(['市', '区', '县', '旗', '州', '盟'])
            && let Some(places) = table.by_stem.get(before)
        {
            let places: Vec<Place> = places.iter().copied().filter(|place| place.rank() > Rank::Province).collect();
            if !places.is_empty() {
                return Some(Found { length: *end, places, is_whole: true });
            }
        }
    }
    None
}

/// The places of this very name or stem.
pub fn called(name: &str) -> Vec<Place> {
    at_start(name).filter(|found| found.length == name.len()).map_or(Vec::new(), |found| found.places)
}

/// A name without the word for its rank, if it is the name of a division; else the name itself.
pub fn bare(name: &str) -> &str {
    at_start(name).filter(|found| found.length == name.len()).map_or(name, |found| found.places[0].stem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_are_found_by_every_name() {
        for (text, length, name, is_whole) in [
            ("北京市海淀区", "北京市".len(), "北京市", true),
            ("北京海淀区", "北京".len(), "北京市", false),
            ("密云县城关", "密云县".len(), "密云区", true),
            ("恩施州", "恩施州".len(), "恩施土家族苗族自治州", true),
            ("内蒙古", "内蒙古".len(), "内蒙古自治区", false),
            ("新疆", "新疆".len(), "新疆维吾尔自治区", false),
            ("积石山县", "积石山县".len(), "积石山保安族东乡族撒拉族自治县", true),
            ("唐县", "唐县".len(), "唐县", true),
        ] {
            let found = at_start(text).expect(text);
            assert_eq!((found.length, found.is_whole), (length, is_whole), "{text}");
            assert!(found.places.iter().any(|place| place.name() == name), "{text}");
        }
        assert_eq!(at_start("中关村大街1号"), None);
        assert_eq!((bare("杭州市"), bare("杭州"), bare("某地")), ("杭州", "杭州", "某地"));
        assert!(called("朝阳区").len() >= 2 && called("海淀区").len() == 1);
        let haidian = called("海淀区")[0];
        assert!(haidian.is_within(called("北京市")[0]) && haidian.rank() == Rank::County);
    }

    #[test]
    fn the_table_is_whole() {
        let count = |rank| table().all.iter().filter(|it| it.rank == rank).count();
        assert_eq!(count(Rank::Province), 34);
        assert!(count(Rank::City) >= 333 && count(Rank::County) >= 2900);
        assert!(table().all.iter().all(|it| it.stem.chars().count() >= 2), "a stem of one character is in every text");
    }
}
