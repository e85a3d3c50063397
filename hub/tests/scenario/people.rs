//! Who is in which system at first, and what each system must show later: tables written by hand.
//!
//! A line is one record as its own system shows it, empty parts left out: a party's name, e-mail and mobile; an account's
//! family and given name and e-mail; a card's FN, N, e-mail, mobile, company and title; a contact's names, e-mail, mobile,
//! company and title, a company's name and phone; a WeCom customer's name, noted mobile and company; a Kingdee customer's
//! name, short name, phone and whether it is approved (C).

use serde_json::json;

use crate::world::World;

/// Whom the hub must know once, with what stands on the timeline.
pub const TIMELINES: &[(&str, &[&str])] = &[
    ("nana.ouyang@example.com", &["order of 59.70", "报价"]),
    ("lei.li@example.com", &["Re: 合同"]),
    ("mei.han@example.com", &["order of 256.00"]),
    ("zhao.min@example.com", &[]),
];

/// When a server dies: before a call reached it, while it carries the call out, or after it did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before,
    During,
    After,
}

/// Cards whose creation in Tryton meets its end: address, name, when.
pub const TO_ERP: &[(&str, &str, Moment)] = &[
    ("qian.yi@example.com", "钱一", Moment::Before),
    ("sun.er@example.com", "孙二", Moment::During),
    ("zhou.san@example.com", "周三", Moment::After),
];

/// Parties whose card meets its end.
pub const TO_BOOK: &[(&str, &str, Moment)] =
    &[("wu.si@example.com", "吴四", Moment::Before), ("zheng.wu@example.com", "郑五", Moment::After)];

/// A card during whose creation in Tryton the hub is killed.
pub const TO_HUB: (&str, &str) = ("feng.liu@example.com", "冯六");

/// Everybody enters the systems, each under another spelling. Two people are called 李雷.
pub fn arrive(world: &mut World) {
    let erp = &world.erp;
    erp.make_party("欧阳娜娜", &[("email", "Nana.Ouyang@Example.com"), ("mobile", "+86 138 0013 8001")]);
    erp.make_party("李雷", &[("email", "lei.li@example.com"), ("mobile", "+8613800138002")]);
    erp.make_party("韩梅梅", &[("email", "mei.han@example.com"), ("mobile", "+86-138-0013-8003")]);
    erp.make_party("赵敏", &[("email", "zhao.min@example.com"), ("mobile", "+86 13800138004")]);
    erp.make_party("李雷", &[("email", "li.lei.1990@example.org")]);
    erp.make_party("示例明远茶业有限公司", &[("phone", "+86 571 8765 4321")]);

    let shop = &world.shop;
    let accounts = [
        ("nana.ouyang@example.com", "娜娜", "欧阳"),
        ("Lei.Li@example.com", "雷", "李"),
        ("mei.han@example.com", "梅梅", "韩"),
        ("zhao.min@example.com", "敏", "赵"),
    ];
    for (email, given, family) in accounts {
        shop.act(&json!({ "do": "register", "email": email, "first_name": given, "last_name": family }));
    }
    shop.act(
        &json!({ "do": "buy", "email": "nana.ouyang@example.com", "sku": "CUP-2", "quantity": 3, "account": true }),
    );
    shop.act(&json!({ "do": "buy", "email": "Mei.Han@Example.COM", "sku": "TEA-1", "quantity": 2 }));

    let card = |uid: &str, called: &str, parts: &str, email: &str, mobile: &str| {
        let text = format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{called}\r\nN:{parts};;;\r\nEMAIL:{email}\r\n\
             TEL;TYPE=CELL:{mobile}\r\nEND:VCARD\r\n"
        );
        (format!("people/{uid}.vcf"), text)
    };
    world.book.put(&[
        card("nana", "OUYANG Nana", "OUYANG;Nana", "NANA.OUYANG@example.com", "138-0013-8001"),
        card("lilei", "Lei Li", "Li;Lei", "lei.li@example.com", "(+86) 138 0013 8002"),
        card("meimei", "Han Meimei", "Han;Meimei", "mei.han@example.com", "86 13800138003"),
        card("zhaomin", "赵敏", "赵;敏", "zhao.min@example.com", "138 0013 8004"),
        (
            "people/mingyuan.vcf".to_owned(),
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:mingyuan\r\nFN:示例明远茶业 有限责任公司\r\nN:;;;;\r\n\
             X-ADDRESSBOOKSERVER-KIND:org\r\nTEL;TYPE=WORK:0571 8765 4321\r\nEND:VCARD\r\n"
                .to_owned(),
        ),
    ]);

    let contact = |given: &str, family: &str, email: &str, mobile: &str, more: (&str, &str)| {
        let mut it = json!({ "firstname": given, "lastname": family, "email": email });
        for (name, value) in [("mobilephone", mobile), more] {
            if !value.is_empty() {
                it[name] = json!(value);
            }
        }
        world.crm.put("contacts", &it).expect("a contact");
    };
    contact("Nana", "Ouyang", "nana.ouyang@example.com", "13800138001", ("jobtitle", "Buyer"));
    contact("LEI", "LI", "lei.li@example.com", "+86-138-0013-8002", ("company", "旧公司"));
    contact("Meimei", "Han", "mei.han@example.com", "138 0013 8003", ("", ""));
    contact("敏", "赵", "zhao.min@example.com", "+8613800138004", ("", ""));
    contact("雷", "李", "li.lei.1990@example.org", "", ("", ""));

    let company = json!({ "name": "示例明远茶业有限责任公司", "phone": "0571-87654321" });
    world.crm.put("companies", &company).expect("a company");
    let customer = json!({ "FName": "示例明远茶业有限公司", "FShortName": "明远", "FPhone": "(0571) 8765-4321" });
    world.books.put_customer(&customer);

    for (name, mobile) in
        [("欧阳娜娜", "138 0013 8001"), ("李雷", "13800138002"), ("韩梅梅", "13800138003"), ("赵敏", "13800138004")]
    {
        world.in_wecom(name, mobile);
    }
    world.mail("1", "Nana <NANA.OUYANG@example.com>", "报价");
    world.mail("2", "lei.li@example.com", "Re: 合同");
    world.mail("3", "stranger@example.net", "who am I");
}

/// As they entered them: Tryton puts numbers into its own form.
pub const AT_FIRST: &str = "\
book: Han Meimei | Han;Meimei | mei.han@example.com | 86 13800138003
book: Lei Li | Li;Lei | lei.li@example.com | (+86) 138 0013 8002
book: OUYANG Nana | OUYANG;Nana | NANA.OUYANG@example.com | 138-0013-8001
book: 示例明远茶业 有限责任公司 | 0571 8765 4321
book: 赵敏 | 赵;敏 | zhao.min@example.com | 138 0013 8004
books: 示例明远茶业有限公司 | 明远 | (0571) 8765-4321 | C
crm: Han Meimei | mei.han@example.com | 138 0013 8003
crm: LI LEI | lei.li@example.com | +86-138-0013-8002 | 旧公司
crm: Ouyang Nana | nana.ouyang@example.com | 13800138001 | Buyer
crm: 李 雷 | li.lei.1990@example.org
crm: 示例明远茶业有限责任公司 | 0571-87654321
crm: 赵 敏 | zhao.min@example.com | +8613800138004
erp: 李雷 | lei.li@example.com | +86 138 0013 8002
erp: 李雷 | li.lei.1990@example.org
erp: 欧阳娜娜 | Nana.Ouyang@Example.com | +86 138 0013 8001
erp: 示例明远茶业有限公司 | +86 571 8765 4321
erp: 赵敏 | zhao.min@example.com | +86 138 0013 8004
erp: 韩梅梅 | mei.han@example.com | +86 138 0013 8003
shop: 李 雷 | Lei.Li@example.com
shop: 欧阳 娜娜 | nana.ouyang@example.com
shop: 赵 敏 | zhao.min@example.com
shop: 韩 梅梅 | mei.han@example.com
wecom: 李雷 | 13800138002
wecom: 欧阳娜娜 | 138 0013 8001
wecom: 赵敏 | 13800138004
wecom: 韩梅梅 | 13800138003
";

/// Once all are live: names as the rules say, HubSpot's words everywhere, and what is the same but for its spelling left
/// as it was. The two accounts that are nobody's customers, Tryton's own company and the hub's user in the shop, are
/// records like any other.
pub const LIVE: &str = "\
book: Hub Account | Account;Hub | hub@shop.example
book: Huiliu Example Trading
book: 李雷 | 李;雷 | lei.li@example.com | (+86) 138 0013 8002 | 旧公司
book: 李雷 | 李;雷 | li.lei.1990@example.org
book: 欧阳娜娜 | 欧阳;娜娜 | NANA.OUYANG@example.com | 138-0013-8001 | Buyer
book: 示例明远茶业有限公司 | 0571 8765 4321
book: 赵敏 | 赵;敏 | zhao.min@example.com | 138 0013 8004
book: 韩梅梅 | 韩;梅梅 | mei.han@example.com | 86 13800138003
books: 示例明远茶业有限公司 | 明远 | (0571) 8765-4321 | C
crm: Account Hub | hub@shop.example
crm: 李 雷 | lei.li@example.com | +86-138-0013-8002 | 旧公司
crm: 李 雷 | li.lei.1990@example.org
crm: 欧阳 娜娜 | nana.ouyang@example.com | 13800138001 | Buyer
crm: 示例明远茶业有限公司 | 0571-87654321
crm: 赵 敏 | zhao.min@example.com | +8613800138004
crm: 韩 梅梅 | mei.han@example.com | 138 0013 8003
erp: hub@shop.example
erp: 李雷 | lei.li@example.com | +86 138 0013 8002
erp: 李雷 | li.lei.1990@example.org
erp: 欧阳娜娜 | Nana.Ouyang@Example.com | +86 138 0013 8001
erp: 示例明远茶业有限公司 | +86 571 8765 4321
erp: 赵敏 | zhao.min@example.com | +86 138 0013 8004
erp: 韩梅梅 | mei.han@example.com | +86 138 0013 8003
shop: 李 雷 | Lei.Li@example.com
shop: 欧阳 娜娜 | nana.ouyang@example.com
shop: 赵 敏 | zhao.min@example.com
shop: 韩 梅梅 | mei.han@example.com
wecom: 李雷 | 13800138002 | 旧公司
wecom: 欧阳娜娜 | 138 0013 8001
wecom: 赵敏 | 13800138004
wecom: 韩梅梅 | 13800138003
";

/// What one person did in the last second changes these lines: the line before, the line after.
pub const EDITED: &[(&str, &str)] = &[
    (
        "book: 欧阳娜娜 | 欧阳;娜娜 | NANA.OUYANG@example.com | 138-0013-8001 | Buyer",
        "book: 欧阳娜娜 | 欧阳;娜娜 | NANA.OUYANG@example.com | 138-0013-8001 | 汇流茶业 | 采购总监",
    ),
    (
        "crm: 欧阳 娜娜 | nana.ouyang@example.com | 13800138001 | Buyer",
        "crm: 欧阳 娜娜 | nana.ouyang@example.com | 13800138001 | 汇流茶业 | 采购总监",
    ),
    ("wecom: 欧阳娜娜 | 138 0013 8001", "wecom: 欧阳娜娜 | 138 0013 8001 | 汇流茶业"),
    (
        "book: 韩梅梅 | 韩;梅梅 | mei.han@example.com | 86 13800138003",
        "book: 韩梅梅 | 韩;眉眉 | mei.han@example.com | +8613900139003",
    ),
    ("crm: 韩 梅梅 | mei.han@example.com | 138 0013 8003", "crm: 韩 眉眉 | mei.han@example.com | +8613900139003"),
    ("erp: 韩梅梅 | mei.han@example.com | +86 138 0013 8003", "erp: 韩梅梅 | mei.han@example.com | +86 139 0013 9003"),
    ("shop: 韩 梅梅 | mei.han@example.com", "shop: 韩 眉眉 | mei.han@example.com"),
    ("wecom: 韩梅梅 | 13800138003", "wecom: 韩梅梅 | 13900139003"),
    (
        "book: 李雷 | 李;雷 | lei.li@example.com | (+86) 138 0013 8002 | 旧公司",
        "book: 李雷 | 李;雷 | lei.li@example.com | (+86) 138 0013 8002 | 甲公司",
    ),
    (
        "crm: 李 雷 | lei.li@example.com | +86-138-0013-8002 | 旧公司",
        "crm: 李 雷 | lei.li@example.com | +86-138-0013-8002 | 甲公司",
    ),
    ("wecom: 李雷 | 13800138002 | 旧公司", "wecom: 李雷 | 13800138002 | 甲公司"),
    ("crm: 示例明远茶业有限公司 | 0571-87654321", "crm: 示例明远茶业有限公司 | 0571-87650000"),
    (
        "books: 示例明远茶业有限公司 | 明远 | (0571) 8765-4321 | C",
        "books: 示例明远茶业有限公司 | 明远 | +8657187650000 | C",
    ),
    ("book: 示例明远茶业有限公司 | 0571 8765 4321", "book: 示例明远茶业有限公司 | +8657187650000"),
];

/// Whoever was on the way when a server or the hub died is there once.
pub const SURVIVED: &[(&str, &str)] = &[
    ("", "book: 钱一 | 钱;一 | qian.yi@example.com"),
    ("", "crm: 钱 一 | qian.yi@example.com"),
    ("", "erp: 钱一 | qian.yi@example.com"),
    ("", "book: 孙二 | 孙;二 | sun.er@example.com"),
    ("", "crm: 孙 二 | sun.er@example.com"),
    ("", "erp: 孙二 | sun.er@example.com"),
    ("", "book: 周三 | 周;三 | zhou.san@example.com"),
    ("", "crm: 周 三 | zhou.san@example.com"),
    ("", "erp: 周三 | zhou.san@example.com"),
    ("", "book: 吴四 | wu.si@example.com"),
    ("", "crm: wu.si@example.com"),
    ("", "erp: 吴四 | wu.si@example.com"),
    ("", "book: 郑五 | zheng.wu@example.com"),
    ("", "crm: zheng.wu@example.com"),
    ("", "erp: 郑五 | zheng.wu@example.com"),
    ("", "book: 冯六 | 冯;六 | feng.liu@example.com"),
    ("", "crm: 冯 六 | feng.liu@example.com"),
    ("", "erp: 冯六 | feng.liu@example.com"),
];

/// A card that a person removed.
pub const REMOVED: &[(&str, &str)] = &[("book: 周三 | 周;三 | zhou.san@example.com", "")];

/// 赵敏 after 25 edits: the last address comes from HubSpot, the last mobile from WeCom.
pub const MEASURED: &[(&str, &str)] = &[
    (
        "book: 赵敏 | 赵;敏 | zhao.min@example.com | 138 0013 8004",
        "book: 赵敏 | 赵;敏 | zhao.crm5@example.com | +8613900145000",
    ),
    ("crm: 赵 敏 | zhao.min@example.com | +8613800138004", "crm: 赵 敏 | zhao.crm5@example.com | +8613900145000"),
    ("erp: 赵敏 | zhao.min@example.com | +86 138 0013 8004", "erp: 赵敏 | zhao.crm5@example.com | +86 139 0014 5000"),
    ("shop: 赵 敏 | zhao.min@example.com", "shop: 赵 敏 | zhao.crm5@example.com"),
    ("wecom: 赵敏 | 13800138004", "wecom: 赵敏 | 13900145000"),
];

/// The table after changes; each line before must be there once.
pub fn changed(table: &str, changes: &[(&str, &str)]) -> String {
    let mut lines: Vec<&str> = table.lines().collect();
    for (before, after) in changes {
        if !before.is_empty() {
            let at: Vec<usize> = (0..lines.len()).filter(|at| lines[*at] == *before).collect();
            assert_eq!(at.len(), 1, "{before}");
            lines.remove(at[0]);
        }
        lines.extend((!after.is_empty()).then_some(*after));
    }
    lines.sort_unstable();
    lines.join("\n") + "\n"
}
