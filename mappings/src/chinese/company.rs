//! Names of companies: 行政区划 + 字号 + 行业 + 组织形式, and what comes behind them.
//!
//! A full name is what is registered: two full names are one company only if they agree in everything but the word for the
//! legal form and a place that one of them leaves out. A short name (简称) may leave out anything but the 字号.

use std::sync::OnceLock;

use rustc_hash::FxHashSet;
use unicode_normalization::UnicodeNormalization;

use super::han::{has_han, looks_alike, simplified, sounds_alike};
use super::place::{self, Place, Rank};

/// Longer names are cut: no registered name needs more.
const CHARS_MAX: usize = 80;

/// A company's name, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// The divisions that are named, the places that each name may mean.
    pub regions: Vec<Vec<Place>>,
    /// The 字号: what this company alone is called by.
    pub brand: String,
    /// What it does: 科技, 机械设备.
    pub trade: String,
    /// Whether the legal form is told, as in a full name.
    pub is_full: bool,
    /// Whether it is called a group.
    pub is_group: bool,
    /// The part of the company that is meant, such as 杭州分公司; none for the company itself.
    pub branch: Option<String>,
}

/// Legal forms, longest first.
const FORMS: &[&str] = &["股份有限公司", "有限责任公司", "有限公司", "股份公司", "总公司", "合伙企业", "公司"];

/// What ends the name of a company before the name of a part of it begins.
const ENDS: &[&str] =
    &["公司", "集团", "银行", "合作社", "信用社", "酒店", "超市", "大学", "医院", "律师事务所", "会计师事务所"];

/// Words for parts of a company.
const BRANCHES: &[&str] = &[
    "分公司",
    "支公司",
    "分行",
    "支行",
    "分店",
    "分部",
    "分校",
    "分院",
    "分厂",
    "分所",
    "分社",
    "分理处",
    "办事处",
    "代表处",
    "联络处",
    "储蓄所",
    "营业厅",
];

/// Words for parts of a company behind the name of one that has its own.
const PARTS: &[&str] = &["营业部", "门市部", "经营部", "专卖店", "专柜", "加油站", "项目部", "事业部", "工厂", "店"];

fn trades() -> &'static FxHashSet<&'static str> {
    static TABLE: OnceLock<FxHashSet<&'static str>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("../../rules/chinese/trades.txt").split_whitespace().collect())
}

/// The longest word of the trades has this many characters.
const TRADE_CHARS_MAX: usize = 8;

impl Company {
    /// Takes a name apart; `None` for one without Chinese characters.
    pub fn parse(raw: &str) -> Option<Self> {
        if !has_han(raw) {
            return None;
        }
        let mut company = Self::default();
        let (mut text, notes) = plain(raw);
        let mut late: Vec<String> = Vec::new();
        for note in notes {
            company.note(&note, &text, &mut late);
        }
        company.split_branch(&mut text);
        company.strip_form(&mut text);
        company.strip_regions(&mut text);
        company.strip_trade(&mut text);
        // What stood in brackets and is neither a place nor a form belongs to the name.
        text.extend(late);
        company.brand = text;
        (!company.brand.is_empty()).then_some(company)
    }

    /// What stands in brackets: a place, a form, a part of the company, or something else.
    fn note(&mut self, note: &str, text: &str, late: &mut Vec<String>) {
        let is_form = |word: &str| {
            FORMS.contains(&word)
                || matches!(word, "集团" | "有限合伙" | "普通合伙" | "特殊普通合伙" | "个体" | "股份" | "控股")
        };
        if is_form(note) {
            self.is_group |= note == "集团";
        } else if matches!(note, "中国" | "全国" | "亚洲" | "国际") {
            // Everything of a company is there.
        } else if let Some(places) = all_places(note) {
            self.regions.extend(places);
        } else if BRANCHES.iter().chain(PARTS).any(|mark| note.ends_with(mark)) && self.branch.is_none() {
            self.branch = Some(branch_key(note));
        } else if text.ends_with(note) {
            // Said twice.
        } else {
            late.push(note.to_owned());
        }
    }

    /// What stands behind the name of the company itself.
    fn split_branch(&mut self, text: &mut String) {
        let sure = BRANCHES.iter().any(|mark| text.ends_with(mark));
        if !sure && !PARTS.iter().any(|mark| text.ends_with(mark)) {
            return;
        }
        // 分公司 ends with 公司: the end of the company lies before it.
        let before = BRANCHES.iter().chain(PARTS).filter_map(|mark| text.strip_suffix(mark)).map(str::len).min();
        let before = before.unwrap_or(text.len());
        let end = ENDS.iter().filter_map(|end| Some(text[..before].rfind(end)? + end.len())).max();
        let at = match end {
            Some(end) if end > "公司".len() => end,
            // 国联杭州分公司, 国联化工杭州营业部: the last place begins the branch.
            _ => match last_place(&text[..before]) {
                Some(at) => at,
                None if sure => before,
                None => return,
            },
        };
        if at > 0 {
            self.branch = Some(branch_key(&text[at..]));
            text.truncate(at);
        }
    }

    fn strip_form(&mut self, text: &mut String) {
        if let Some(rest) = FORMS.iter().find_map(|form| text.strip_suffix(form)).filter(|rest| !rest.is_empty()) {
            self.is_full = true;
            let rest = rest.len();
            text.truncate(rest);
        }
        if let Some(rest) = text.strip_suffix("集团").filter(|rest| rest.chars().count() >= 2) {
            self.is_group = true;
            let rest = rest.len();
            text.truncate(rest);
        }
    }

    /// Places at the front, and one at the end (新月能源石家庄公司).
    fn strip_regions(&mut self, text: &mut String) {
        for wide in ["中华人民共和国", "中国", "全国"] {
            if let Some(rest) = text.strip_prefix(wide).filter(|rest| has_brand(rest)) {
                *text = rest.to_owned();
            }
        }
        while let Some(found) = place::at_start(text) {
            let rest = &text[found.length..];
            // 平安 and 长安 are counties too: a county without the word for its rank is a place behind a place only.
            let last = self.regions.last();
            // What stands behind a place is in it, or begins the 字号.
            let inside = |place: &Place| last.is_none_or(|above| above.iter().any(|above| place.is_within(*above)));
            let meant = |place: &Place| inside(place) && (found.is_whole || self.may_begin(*place));
            let places: Vec<Place> = found.places.iter().copied().filter(meant).collect();
            if places.is_empty() || !has_brand(rest) {
                break;
            }
            let rest = rest.to_owned();
            self.regions.push(places);
            *text = rest;
        }
        if !self.regions.is_empty() {
            strip_town(text);
        }
        self.strip_last_region(text);
    }

    /// A place before the form (新月能源石家庄公司): of a full name only, and no county without the word for its rank.
    fn strip_last_region(&mut self, text: &mut String) {
        let Some(at) = last_place(text).filter(|at| self.is_full && has_brand(&text[..*at])) else { return };
        let clear = place::at_start(&text[at..]).is_some_and(|found| {
            found.is_whole || found.places.iter().any(|place| place.rank() < Rank::County && self.may_begin(*place))
        });
        if let Some(places) = all_places(&text[at..]).filter(|_| clear) {
            self.regions.extend(places);
            text.truncate(at);
        }
    }

    /// Whether a name of a place without its rank is meant as one at the front of a company's name.
    fn may_begin(&self, place: Place) -> bool {
        match place.rank() {
            Rank::Province | Rank::City => !is_word(place),
            Rank::County => {
                let inside = self.regions.iter().flatten().any(|above| place.is_within(*above) && place != *above);
                inside || (place.name().ends_with(['市', '县']) && !is_word(place))
            }
        }
    }

    fn strip_trade(&mut self, text: &mut String) {
        let at = trade_start(text);
        self.trade = text.split_off(at);
    }

    /// The name without its form, in words and in one order for all spellings: 字号, trade, places, part.
    pub fn text(&self) -> String {
        let mut words = vec![self.brand.as_str()];
        words.extend(Some(self.trade.as_str()).filter(|trade| !trade.is_empty()));
        words.extend(self.regions.iter().filter_map(|places| Some(places.first()?.stem())));
        words.extend(self.branch.as_deref());
        words.join(" ")
    }
}

/// Names of places that are words too: a company that begins with one is called so.
const WORDS: &str = "东方 平安 长安 和平 光明 永安 安国 太平 大同 新华 新民 金山 宝丰 永清 正安 安康 吉安 德兴 金沙 \
    建德 泰和 永和 同心 大方 新和 新安 宁强 永兴 兴隆 新兴 永新 安福 永丰 兴国 大名 广平 成安 宁远 \
    金川 康乐 和顺 永康 永胜 永德 富源 大丰 玉山 天长 瑞丰 富锦 资源 兴业 同仁 中和 信丰 富民";

fn is_word(place: Place) -> bool {
    WORDS.split(' ').any(|word| word == place.stem())
}

/// Half-width, simplified, lower case, letters and digits; and what stood in brackets.
fn plain(raw: &str) -> (String, Vec<String>) {
    let (mut text, mut notes, mut note): (String, Vec<String>, Option<String>) = (String::new(), Vec::new(), None);
    for c in raw.nfkc().map(simplified).flat_map(char::to_lowercase).take(CHARS_MAX) {
        match c {
            '(' | '[' | '【' | '〔' if note.is_none() => note = Some(String::new()),
            ')' | ']' | '】' | '〕' => notes.extend(note.take().filter(|note| !note.is_empty())),
            _ if c.is_alphanumeric() => note.as_mut().unwrap_or(&mut text).push(c),
            _ => {}
        }
    }
    // A bracket that was never closed.
    text.extend(note);
    (text, notes)
}

/// A town or a zone behind the places at the front: it tells no company from another that its 字号 does not tell.
fn strip_town(text: &mut String) {
    const TOWNS: [&str; 8] = ["街道", "镇", "乡", "经济开发区", "高新区", "开发区", "保税区", "工业园区"];
    /// Names of towns have two characters, or three.
    const NAME_CHARS_MAX: usize = 3;
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).take(NAME_CHARS_MAX + 1).collect();
    for at in starts {
        let town = TOWNS.iter().find_map(|town| text[at..].strip_prefix(town));
        if let Some(rest) = town.filter(|rest| has_brand(rest)) {
            *text = rest.to_owned();
            return;
        }
    }
}

/// The places that a text consists of, `None` if it has anything else.
fn all_places(mut text: &str) -> Option<Vec<Vec<Place>>> {
    let mut all = Vec::new();
    while !text.is_empty() {
        let found = place::at_start(text)?;
        text = &text[found.length..];
        all.push(found.places);
    }
    (!all.is_empty()).then_some(all)
}

/// Where the places at the end of a text begin, if it ends with one that has at least two characters.
fn last_place(text: &str) -> Option<usize> {
    let starts = text.char_indices().map(|(at, _)| at).skip(1);
    starts.filter(|at| text[*at..].chars().count() >= 2).find(|at| all_places(&text[*at..]).is_some())
}

fn branch_key(branch: &str) -> String {
    let kept: String = branch.chars().filter(|c| !matches!(c, '市' | '省' | '第')).collect();
    kept.replace("分店", "店").replace("专卖店", "店")
}

/// Whether something is left that a company can be called by: more than words of a trade.
fn has_brand(rest: &str) -> bool {
    let core = FORMS.iter().find_map(|form| rest.strip_suffix(form)).unwrap_or(rest);
    core.chars().count() >= 2 && !is_trade(core)
}

fn is_trade(text: &str) -> bool {
    trades().contains(text) || {
        let start = trade_from(text, 0);
        start == 0 && !text.is_empty()
    }
}

/// A 字号 has two characters at least.
const BRAND_CHARS_MIN: usize = 2;

fn trade_start(text: &str) -> usize {
    trade_from(text, BRAND_CHARS_MIN)
}

/// Where the words of trade at the end begin, with at least so many characters left before them: as far to the front as words
/// reach without a gap.
fn trade_from(text: &str, least: usize) -> usize {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let count = starts.len() - 1;
    // From each place, whether words alone lead to the end.
    let mut leads = vec![false; count + 1];
    leads[count] = true;
    for from in (0..count).rev() {
        leads[from] = (from + 1..=(from + TRADE_CHARS_MAX).min(count))
            .any(|to| leads[to] && trades().contains(&text[starts[from]..starts[to]]));
    }
    (least.min(count)..=count).find(|from| leads[*from]).map_or(text.len(), |from| starts[from])
}

/// How two names of companies agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// Nothing in common that tells.
    Different,
    /// A company and a part of it, or two parts of one.
    Branch,
    /// One 字号 in two places, in two trades, or a group and a member of it: two companies unless more agrees.
    Namesake,
    /// All but a slip of the pen.
    Alike,
    /// One is short for the other.
    Short,
    /// One name.
    Same,
}

/// How two names agree.
pub fn compare(a: &Company, b: &Company) -> Agreement {
    let heads = compare_heads(a, b);
    let one_part = match (&a.branch, &b.branch) {
        (None, None) => true,
        (Some(x), Some(y)) => x == y || x.contains(y.as_str()) || y.contains(x.as_str()),
        _ => false,
    };
    if heads > Agreement::Namesake && !one_part { Agreement::Branch } else { heads }
}

fn compare_heads(a: &Company, b: &Company) -> Agreement {
    if a.brand == b.brand {
        return agree(a, b);
    }
    // A full name is never short for one that is not full.
    let swapped = if a.is_full == b.is_full { a.brand.len() > b.brand.len() } else { a.is_full };
    let (short, long) = if swapped { (b, a) } else { (a, b) };
    // Cut in another place: 国联运输 may be called so, or be 国联 that transports.
    let whole = |it: &Company| format!("{}{}", it.brand, it.trade);
    if whole(a) == whole(b) {
        return if are_apart(a, b) {
            Agreement::Namesake
        } else if a.is_full == b.is_full {
            Agreement::Same
        } else {
            Agreement::Short
        };
    }
    if !short.is_full && short.trade.is_empty() && is_short_for(short, long) && !are_apart(a, b) {
        return Agreement::Short;
    }
    if is_slip(&a.brand, &b.brand) && a.trade == b.trade && !are_apart(a, b) {
        return Agreement::Alike;
    }
    Agreement::Different
}

/// Of one 字号.
fn agree(a: &Company, b: &Company) -> Agreement {
    if are_apart(a, b) {
        return Agreement::Namesake;
    }
    if a.is_full && b.is_full {
        return if a.trade == b.trade && a.is_group == b.is_group {
            Agreement::Same
        } else if is_slip(&a.trade, &b.trade) && a.is_group == b.is_group {
            Agreement::Alike
        } else {
            Agreement::Namesake
        };
    }
    if a.trade == b.trade {
        return if a.is_full == b.is_full || !a.trade.is_empty() { Agreement::Same } else { Agreement::Short };
    }
    let fits = a.trade.is_empty() || b.trade.is_empty() || in_order(&a.trade, &b.trade) || in_order(&b.trade, &a.trade);
    if fits { Agreement::Short } else { Agreement::Namesake }
}

/// Whether the places that are named exclude each other.
fn are_apart(a: &Company, b: &Company) -> bool {
    let fits = |mine: &[Place], theirs: &[Place]| {
        mine.iter().any(|x| theirs.iter().any(|y| x.is_within(*y) || y.is_within(*x)))
    };
    a.regions.iter().any(|mine| b.regions.iter().any(|theirs| !fits(mine, theirs)))
}

/// Whether a name without a trade and a form is the beginning or the end of the other's 字号, or begins with its first
/// character and picks from its parts in their order (中石化, 国网).
fn is_short_for(short: &Company, long: &Company) -> bool {
    let brand = &long.brand;
    if short.brand.chars().count() >= 2 && (brand.starts_with(&short.brand) || brand.ends_with(&short.brand)) {
        return true;
    }
    let whole = format!("{}{}", long.brand, long.trade);
    whole.starts_with(&short.brand)
}

/// Whether all letters of one occur in the other in this order.
fn in_order(few: &str, many: &str) -> bool {
    let mut many = many.chars();
    few.chars().all(|c| many.any(|d| c == d))
}

/// One character read or seen wrong, or one of at least four that is another or is missing.
fn is_slip(a: &str, b: &str) -> bool {
    let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if x.len() == y.len() {
        let differing: Vec<(char, char)> = x.iter().copied().zip(y.iter().copied()).filter(|(c, d)| c != d).collect();
        let close = differing.iter().all(|(c, d)| sounds_alike(*c, *d) || looks_alike(*c, *d));
        return differing.len() == 1 && (close && x.len() >= 2 || x.len() >= 4);
    }
    x.len().min(y.len()) >= 3 && strsim::osa_distance(a, b) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, region: &str, brand: &str, trade: &str, branch: &str) {
        let it = Company::parse(raw).expect(raw);
        let regions: Vec<&str> = it.regions.iter().map(|places| places[0].stem()).collect();
        assert_eq!(
            (
                regions.join("+").as_str(),
                it.brand.as_str(),
                it.trade.as_str(),
                it.branch.as_deref().unwrap_or_default()
            ),
            (region, brand, trade, branch),
            "{raw}"
        );
    }

    #[test]
    fn a_name_is_taken_apart() {
        check("杭州甲乙丙信息技术有限公司", "杭州", "甲乙丙", "信息技术", "");
        check("浙江省杭州市甲乙丙网络科技股份有限公司", "浙江+杭州", "甲乙丙", "网络科技", "");
        check("甲乙丙（中国）有限公司", "", "甲乙丙", "", "");
        check("甲乙丙(上海)商贸有限公司", "上海", "甲乙丙", "商贸", "");
        check("甲乙丙", "", "甲乙丙", "", "");
        check("杭州甲乙丙信息技术有限公司宁波分公司", "杭州", "甲乙丙", "信息技术", "宁波分公司");
        check("甲乙丙银行股份有限公司杭州西湖支行", "", "甲乙丙", "银行", "杭州西湖支行");
        check("甲乙丙银行杭州分行", "", "甲乙丙", "银行", "杭州分行");
        check("甲乙丙化工杭州营业部", "", "甲乙丙", "化工", "杭州营业部");
        check("甲乙丙超市（朝阳店）", "", "甲乙丙", "超市", "朝阳店");
        check("中国平安保险（集团）股份有限公司", "", "平安", "保险", "");
        check("東方甲乙貿易有限公司", "", "东方甲乙", "贸易", "");
        check("昆山市甲乙五金厂", "昆山", "甲乙", "五金厂", "");
        check("中国银行", "", "中国", "银行", "");
    }

    fn check_pair(a: &str, b: &str, expected: Agreement) {
        let (x, y) = (Company::parse(a).expect(a), Company::parse(b).expect(b));
        assert_eq!(compare(&x, &y), expected, "{a} | {b}: {x:?} {y:?}");
        assert_eq!(compare(&y, &x), expected, "{b} | {a}");
    }

    #[test]
    fn names_of_companies_agree() {
        use Agreement::{Alike, Branch, Different, Namesake, Same, Short};
        let full = "杭州甲乙丙信息技术有限公司";
        check_pair(full, "甲乙丙信息技术有限公司", Same);
        check_pair(full, "杭州市甲乙丙信息技术股份有限公司", Same);
        check_pair(full, "甲乙丙", Short);
        check_pair(full, "杭州甲乙丙", Short);
        check_pair(full, "甲乙丙信息", Short);
        check_pair(full, "甲乙丙（杭州）信息技术有限公司", Same);
        check_pair(full, "宁波甲乙丙信息技术有限公司", Namesake);
        check_pair(full, "杭州甲乙丙餐饮管理有限公司", Namesake);
        check_pair(full, "杭州甲乙丙信息技术有限公司宁波分公司", Branch);
        check_pair("甲乙丙银行杭州分行", "甲乙丙银行宁波分行", Branch);
        check_pair("甲乙丙银行杭州分行", "甲乙丙银行股份有限公司杭州分行", Same);
        check_pair("甲乙丙集团有限公司", "甲乙丙有限公司", Namesake);
        check_pair(full, "杭州丁戊己信息技术有限公司", Different);
        check_pair("杭州华源信息技术有限公司", "杭州华原信息技术有限公司", Alike);
    }
}
