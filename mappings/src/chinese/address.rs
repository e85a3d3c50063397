//! Addresses from the province down to the room: 浙江省杭州市西湖区文三路１号甲大厦３号楼２单元５０１室. Any level may be left out.
//!
//! Two addresses that name other divisions, house numbers, buildings or rooms are other places, however many characters they
//! have in common; what one of them leaves out says nothing.

use unicode_normalization::UnicodeNormalization;

use super::han::{has_han, looks_alike, simplified, sounds_alike};
use super::place::{self, Place, Rank};

/// Longer addresses are cut: what follows is a remark to the postman.
const CHARS_MAX: usize = 120;

/// An address, taken apart. What it does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The lowest division that is named: all that are called so and lie in the higher ones that are named.
    pub places: Vec<Place>,
    /// 街道, 镇 or 乡, without that word.
    pub town: String,
    /// The road: 文三路.
    pub road: String,
    /// The house number, with the number of the lane before it: `1`, `129-3`.
    pub number: String,
    /// A compound, an estate, a tower: 甲大厦.
    pub estate: String,
    /// The number of the building.
    pub building: String,
    /// The number of the entrance (单元).
    pub unit: String,
    /// The floor.
    pub floor: String,
    /// The number of the room.
    pub room: String,
}

/// Words that end the name of a road, longer ones first.
const ROADS: &[&str] = &["大道", "大街", "公路", "胡同", "路", "街", "巷"];

/// Words that may end the name of a road before a house number: 十里, 红旗坊.
const LANES: &[&str] = &["道", "里", "坊", "条", "弄", "线"];

impl Address {
    /// Takes an address apart; `None` for one without Chinese characters.
    pub fn parse(raw: &str) -> Option<Self> {
        if !has_han(raw) {
            return None;
        }
        let text = plain(raw);
        let mut address = Self::default();
        let rest = address.divisions(&text);
        let rest = address.towns(rest);
        let rest = in_digits(rest);
        Reader { rest: &rest, text: String::new() }.read(&mut address);
        Some(address)
    }

    /// Takes the divisions from the front; the same one may stand there twice.
    fn divisions<'t>(&mut self, mut text: &'t str) -> &'t str {
        while let Some(found) = place::at_start(text) {
            let rest = &text[found.length..];
            if !found.is_whole && (begins_road(rest) || (rest.is_empty() && !self.places.is_empty())) {
                break;
            }
            let inside =
                |place: &Place| self.places.is_empty() || self.places.iter().any(|above| place.is_within(*above));
            // 朝阳 and 中山 alone are words; behind their city they are counties.
            let meant = |place: &Place| found.is_whole || place.rank() < Rank::County || !self.places.is_empty();
            let places: Vec<Place> = found.places.iter().copied().filter(|it| inside(it) && meant(it)).collect();
            if places.is_empty() {
                // A county that was given to another city since: what is above it counts.
                if !found.is_whole || self.places.is_empty() {
                    break;
                }
            } else {
                self.places = places;
            }
            text = rest;
        }
        text.strip_prefix("市辖区").unwrap_or(text)
    }

    /// Takes a town from the front, and another one behind it (a 街道 and a 社区 are told as one).
    fn towns<'t>(&mut self, text: &'t str) -> &'t str {
        /// The names of towns have so many characters at most.
        const NAME_CHARS_MAX: usize = 5;
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).skip(1).take(NAME_CHARS_MAX).collect();
        for at in ends {
            if text[..at].ends_with(|c: char| c.is_ascii_digit()) {
                break;
            }
            let town = ["街道", "镇", "乡", "苏木"].iter().find_map(|word| text[at..].strip_prefix(word));
            if let Some(rest) = town.filter(|rest| !begins_road(rest) && !rest.starts_with(['大', '政'])) {
                text[..at].clone_into(&mut self.town);
                return rest.strip_prefix("办事处").unwrap_or(rest);
            }
        }
        text
    }

    /// What stands before a number or at the end: a road, an estate, or one behind the other.
    fn named(&mut self, text: &str, is_numbered: bool) {
        if text.is_empty() {
            return;
        }
        let after = |at: usize| ROADS.iter().find_map(|word| text[at..].strip_prefix(word));
        let mut ends = text.char_indices().map(|(at, _)| at).skip(1);
        let road = ends.find_map(after).filter(|_| self.road.is_empty());
        if let Some(rest) = road {
            // 中山路东段, 人民路步行街 are one name each.
            let more = ["东段", "西段", "南段", "北段", "中段", "步行街", "东", "西", "南", "北"];
            let tail = more.iter().find_map(|word| rest.strip_prefix(word)).filter(|tail| tail.is_empty());
            let estate = tail.unwrap_or(rest);
            text[..text.len() - estate.len()].clone_into(&mut self.road);
            self.estate.push_str(estate);
        } else if self.road.is_empty()
            && self.estate.is_empty()
            && (is_numbered || LANES.iter().any(|word| text.ends_with(word)))
        {
            text.clone_into(&mut self.road);
        } else {
            self.estate.push_str(text);
        }
    }

    /// A number with the word behind it.
    fn numbered(&mut self, value: &str, word: &str) {
        let parts: Vec<&str> = value.split('-').filter(|part| !part.is_empty()).collect();
        match (word, parts.as_slice()) {
            ("号楼" | "栋" | "幢" | "座" | "#楼", _) => value.clone_into(&mut self.building),
            ("单元" | "门", _) => {
                // 3楼2单元: the building has the number 3.
                if self.building.is_empty() {
                    self.building = std::mem::take(&mut self.floor);
                }
                value.clone_into(&mut self.unit);
            }
            ("楼" | "层" | "f", _) => value.clone_into(&mut self.floor),
            ("号" | "弄" | "号院" | "院" | "#", _) if self.is_outside() => {
                if !self.number.is_empty() {
                    self.number.push('-');
                }
                self.number.push_str(value);
            }
            // 101号 behind a building is a room.
            (_, [building, unit, room]) => {
                (*building).clone_into(&mut self.building);
                (*unit).clone_into(&mut self.unit);
                (*room).clone_into(&mut self.room);
            }
            (_, [before, room]) if word == "室" || !self.estate.is_empty() || !self.building.is_empty() => {
                let before_room = if self.building.is_empty() { &mut self.building } else { &mut self.unit };
                (*before).clone_into(before_room);
                (*room).clone_into(&mut self.room);
            }
            ("", _)
                if self.is_outside() && self.number.is_empty() && !self.road.is_empty() && self.estate.is_empty() =>
            {
                value.clone_into(&mut self.number);
            }
            _ => value.clone_into(&mut self.room),
        }
    }

    /// Whether no part of a building was named so far.
    fn is_outside(&self) -> bool {
        self.building.is_empty() && self.unit.is_empty() && self.floor.is_empty()
    }

    /// Building, unit and room as one text.
    pub fn door(&self) -> String {
        let parts = [&self.building, &self.unit, &self.room];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("-")
    }
}

/// Half-width, simplified, lower case, without blanks and marks; hyphens stay, as they part numbers.
fn plain(raw: &str) -> String {
    let kept = |c: char| match c {
        '—' | '–' | '－' | '−' | '~' => Some('-'),
        '#' | '-' => Some(c),
        _ if c.is_alphanumeric() => Some(c),
        _ => None,
    };
    raw.nfkc().map(simplified).flat_map(char::to_lowercase).filter_map(kept).take(CHARS_MAX).collect()
}

/// Whether a name goes on as a road: 上海 is followed by 路 or 西路.
fn begins_road(rest: &str) -> bool {
    let rest = rest.trim_start_matches(['东', '西', '南', '北', '中', '一', '二', '三', '四', '五']);
    ROADS.iter().any(|word| rest.starts_with(word)) && !rest.starts_with("街道") || rest.starts_with(['门', '桥'])
}

/// Words that stand behind a number, longer ones first.
const UNITS: &[&str] = &[
    "号楼", "号院", "号房", "#楼", "单元", "号", "弄", "院", "栋", "幢", "座", "楼", "层", "室", "户", "房", "门", "#",
];

/// Chinese numerals before a word of [`UNITS`] become digits: 十二号 is 12号, 三单元 is 3单元.
fn in_digits(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let run = chars[at..].iter().take_while(|c| "零〇一二三四五六七八九十百".contains(**c)).count();
        let rest: String = chars[at + run..].iter().take(2).collect();
        let counted = run > 0 && UNITS.iter().any(|unit| rest.starts_with(unit)) && !rest.starts_with("门");
        match counted.then(|| value(&chars[at..at + run])).flatten() {
            Some(number) => {
                if out.ends_with('第') {
                    out.pop();
                }
                out.push_str(&number.to_string());
                at += run;
            }
            None => {
                let step = run.max(1);
                out.extend(&chars[at..at + step]);
                at += step;
            }
        }
    }
    out
}

/// The number that numerals below a thousand, or digits written one by one (五〇一), stand for.
fn value(numerals: &[char]) -> Option<u32> {
    let digit = |c: char| "零一二三四五六七八九".chars().position(|d| d == c).or((c == '〇').then_some(0));
    let small = |c: char| digit(c).and_then(|it| u32::try_from(it).ok());
    if numerals.iter().all(|c| digit(*c).is_some()) {
        return numerals.iter().try_fold(0_u32, |sum, c| sum.checked_mul(10)?.checked_add(small(*c)?));
    }
    let (mut sum, mut last) = (0, None);
    for c in numerals {
        match c {
            '百' => sum += 100 * last.take().unwrap_or(1),
            '十' => sum += 10 * last.take().unwrap_or(1),
            _ => last = small(*c),
        }
    }
    Some(sum + last.unwrap_or(0))
}

/// Reads the part behind the divisions, names and numbers in turn.
struct Reader<'t> {
    rest: &'t str,
    text: String,
}

impl Reader<'_> {
    fn read(mut self, address: &mut Address) {
        while let Some(c) = self.rest.chars().next() {
            let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(self.rest.len());
            if length == 0 {
                self.text.push(c);
                self.rest = &self.rest[c.len_utf8()..];
                continue;
            }
            let (number, behind) = self.rest.split_at(length);
            self.rest = behind;
            let number = number.trim_matches('-');
            let unit = UNITS.iter().copied().find(|unit| behind.starts_with(unit)).unwrap_or_default();
            // Letters and numbers inside of a name: 5路, G104国道, SOHO.
            let is_name = unit.is_empty() && !behind.is_empty() && !number.contains('-')
                || (unit.is_empty() && !number.bytes().any(|b| b.is_ascii_digit()));
            if is_name || number.is_empty() {
                self.text.push_str(number);
                continue;
            }
            // 5f is the fifth floor.
            let (number, unit) = match number.strip_suffix('f').filter(|it| unit.is_empty() && !it.is_empty()) {
                Some(floor) => (floor, "f"),
                None => (number, unit),
            };
            let text = std::mem::take(&mut self.text);
            address.named(&text, matches!(unit, "号" | "弄" | "号院" | "#"));
            address.numbered(number, unit);
            self.rest = behind.strip_prefix(unit).unwrap_or(behind);
        }
        address.named(&self.text, false);
    }
}

/// How two addresses agree, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// One place down to the room.
    Room,
    /// One house; of at least one the room is not told.
    House,
    /// One house, another building, unit or room in it.
    OtherRoom,
    /// One house whose road or estate is spelt otherwise.
    HouseAlike,
    /// One road; of at least one the house is not told.
    Road,
    /// The same, and the road is spelt otherwise.
    RoadAlike,
    /// One road, another house.
    OtherHouse,
    /// One county, something else in it.
    County,
    /// Two places.
    Different,
    /// One of the two is too short to say.
    Silent,
}

/// How two names agree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Same,
    Alike,
    Different,
    Silent,
}

/// How two addresses agree.
pub fn compare(a: &Address, b: &Address) -> Agreement {
    let fits = |x: &Place| b.places.iter().any(|y| x.is_within(*y) || y.is_within(*x));
    let told = !a.places.is_empty() && !b.places.is_empty();
    if told && !a.places.iter().any(fits) {
        return Agreement::Different;
    }
    let (road, estate, number) = (names(&a.road, &b.road), names(&a.estate, &b.estate), exact(&a.number, &b.number));
    let door = doors(a, b);
    let house = |road_is_same: bool| match door {
        Part::Different => Agreement::OtherRoom,
        Part::Same if road_is_same => Agreement::Room,
        _ if road_is_same => Agreement::House,
        _ => Agreement::HouseAlike,
    };
    match (road, number, estate) {
        (Part::Same | Part::Alike, Part::Same, _) => house(road == Part::Same),
        // The same room of the same estate on the same road: the number is a slip.
        (Part::Same | Part::Alike, Part::Different, Part::Same) if door == Part::Same => Agreement::HouseAlike,
        (Part::Same | Part::Alike, Part::Different, _) => Agreement::OtherHouse,
        (Part::Different, Part::Different, _) => elsewhere(a, b),
        (_, _, Part::Same) if road != Part::Different => house(true),
        (_, _, Part::Same | Part::Alike) => house(false),
        (Part::Same, ..) if door == Part::Different => Agreement::OtherRoom,
        (Part::Same, ..) => Agreement::Road,
        (Part::Alike, ..) => Agreement::RoadAlike,
        (Part::Silent, _, Part::Silent) if !told || a.road.is_empty() != b.road.is_empty() => Agreement::Silent,
        _ => elsewhere(a, b),
    }
}

fn elsewhere(a: &Address, b: &Address) -> Agreement {
    let county = |it: &Address| it.places.iter().any(|place| place.rank() == Rank::County);
    if county(a) && county(b) { Agreement::County } else { Agreement::Different }
}

fn exact(a: &str, b: &str) -> Part {
    if a.is_empty() || b.is_empty() {
        Part::Silent
    } else if a == b {
        Part::Same
    } else {
        Part::Different
    }
}

/// Building, unit, floor and room: one that differs makes another door, and the same room makes the same.
fn doors(a: &Address, b: &Address) -> Part {
    let parts = [(&a.building, &b.building), (&a.unit, &b.unit), (&a.room, &b.room)].map(|(x, y)| exact(x, y));
    let rooms = parts[2];
    let floors = exact(&a.floor, &b.floor);
    if parts.contains(&Part::Different) || (rooms == Part::Silent && floors == Part::Different) {
        Part::Different
    } else if rooms == Part::Same {
        Part::Same
    } else {
        Part::Silent
    }
}

/// Two names of roads or estates: one may be without the last word of the other, or have a character that sounds or looks
/// like its own.
fn names(a: &str, b: &str) -> Part {
    let part = exact(a, b);
    if part != Part::Different {
        return part;
    }
    let bare = |name: &'_ str| -> usize {
        ROADS
            .iter()
            .find_map(|word| name.strip_suffix(word))
            .filter(|rest| !rest.is_empty())
            .map_or(name.len(), str::len)
    };
    let (x, y) = (&a[..bare(a)], &b[..bare(b)]);
    let long = |name: &str| name.chars().count() >= 2;
    let within = long(a) && long(b) && (a.contains(b) || b.contains(a));
    if within || (x == y && long(x)) || is_slip(x, y) { Part::Alike } else { Part::Different }
}

fn is_slip(a: &str, b: &str) -> bool {
    let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let close = |(c, d): (&char, &char)| c == d || sounds_alike(*c, *d) || looks_alike(*c, *d);
    let alike = x.len() == y.len() && x.len() >= 2 && x.iter().zip(&y).all(close);
    alike || (x.len().min(y.len()) >= 4 && strsim::osa_distance(a, b) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 海淀 | 中关村 | 中关村大街 | 1 | | 3-2-501: division, town, road, number, estate, door.
    fn check(raw: &str, expected: [&str; 6]) {
        let it = Address::parse(raw).expect(raw);
        let place = it.places.first().map_or("", |place| place.stem());
        let told = [place, &it.town, &it.road, &it.number, &it.estate, &it.door()].map(str::to_owned);
        assert_eq!(told, expected, "{raw}: {it:?}");
    }

    #[test]
    fn an_address_is_taken_apart() {
        check("北京市海淀区中关村大街1号", ["海淀", "", "中关村大街", "1", "", ""]);
        check("海淀区中关村大街１号", ["海淀", "", "中关村大街", "1", "", ""]);
        check("北京海淀中关村大街1号", ["海淀", "", "中关村大街", "1", "", ""]);
        check("浙江省杭州市西湖区文三路12号甲大厦3号楼2单元501室", ["西湖", "", "文三路", "12", "甲大厦", "3-2-501"]);
        check("上海市徐汇区延安西路129弄3号502室", ["徐汇", "", "延安西路", "129-3", "", "502"]);
        check("上海路100号", ["", "", "上海路", "100", "", ""]);
        check("北京市朝阳区望京街道望京花园三号楼二单元501", ["朝阳", "望京", "", "", "望京花园", "3-2-501"]);
        check("江苏省昆山市玉山镇前进路5号", ["昆山", "玉山", "前进路", "5", "", ""]);
        check("廣東省深圳市南山區科技園南路十二號", ["南山", "", "科技园南路", "12", "", ""]);
        check("杭州市西湖区翠苑小区3-2-501", ["西湖", "", "", "", "翠苑小区", "3-2-501"]);
        check("文三路12号", ["", "", "文三路", "12", "", ""]);
        check("密云县鼓楼东大街3号院", ["密云", "", "鼓楼东大街", "3", "", ""]);
        check("湖北省恩施州恩施市舞阳大道8号A座1203", ["恩施", "", "舞阳大道", "8", "", "a-1203"]);
        assert_eq!(Address::parse("1 Main St"), None);
    }

    fn check_pair(a: &str, b: &str, expected: Agreement) {
        let (x, y) = (Address::parse(a).expect(a), Address::parse(b).expect(b));
        assert_eq!(compare(&x, &y), expected, "{a} | {b}: {x:?} {y:?}");
        assert_eq!(compare(&y, &x), expected, "{b} | {a}");
    }

    #[test]
    fn addresses_agree_by_level() {
        use Agreement::{County, Different, House, HouseAlike, OtherHouse, OtherRoom, Road, Room};
        let whole = "浙江省杭州市西湖区文三路12号3幢501室";
        check_pair(whole, "西湖区文三路12号3幢501", Room);
        check_pair(whole, "杭州文三路12号", House);
        check_pair(whole, "浙江杭州文三路12号三幢502室", OtherRoom);
        check_pair(whole, "浙江省杭州市西湖区文三路13号3幢501室", OtherHouse);
        check_pair(whole, "浙江省杭州市西湖区纹三路12号3幢501室", HouseAlike);
        check_pair(whole, "浙江省杭州市西湖区文山路12号3幢501室", County);
        check_pair(whole, "浙江省杭州市西湖区文三路", Road);
        check_pair(whole, "浙江省杭州市西湖区学院路77号", County);
        check_pair(whole, "浙江省宁波市海曙区文三路12号3幢501室", Different);
        check_pair("北京市海淀区中关村大街1号", "海淀区中关村大街1号", House);
        check_pair("朝阳区建国路1号", "北京市朝阳区建国路1号", House);
        check_pair("密云县鼓楼东大街3号", "北京市密云区鼓楼东大街3号", House);
        check_pair("北京市朝阳区望京花园3号楼501", "朝阳区望京街道望京花园3号楼501室", Room);
    }
}
