//! What every system must hold in the evening: written by hand from what people do in [`super::day`], field by field.

use super::systems::Row;

type Line = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// System, whom, what. Somebody who is not listed must not be there.
const EVENING: &[Line] = &[
    // 企业微信. Phones stand as the advisers typed them.
    (
        "wecom",
        "李雷",
        &[("adviser", "zhang"), ("phone", "138 0013 8001"), ("note", "请晚上联系"), ("tags", "vip,咖啡,茶")],
    ),
    ("wecom", "韩梅梅", &[("adviser", "zhang"), ("phone", "13800138002"), ("note", "周末送货"), ("tags", "vip,茶")]),
    (
        "wecom",
        "Tom Baker",
        &[("adviser", "wang"), ("phone", "13800138004"), ("note", "用英文写邮件"), ("tags", "vip,咖啡")],
    ),
    ("wecom", "赵敏", &[("adviser", "wang"), ("phone", "13800138005"), ("note", "送礼，请包装")]),
    // The shop. It writes phones its own way, and it does not have Tom Baker any more.
    (
        "shop",
        "Lei Li",
        &[
            ("email", "li.lei@example.com"),
            ("phone", "+8613800138001"),
            ("note", "请晚上联系"),
            ("tags", "vip,咖啡,茶"),
        ],
    ),
    ("shop", "梅梅 韩", &[("phone", "+8613800138002"), ("note", "周末送货"), ("tags", "vip,茶")]),
    ("shop", "芳 王", &[("phone", "+8613800138003")]),
    ("shop", "Min Zhao", &[("email", "min.zhao@example.com"), ("phone", "+8613800138005"), ("note", "送礼，请包装")]),
    ("shop", "#1001", &[("buyer", "Lei Li"), ("total", "256.0")]),
    ("shop", "#1002", &[("phone", "+8613800138002"), ("total", "88.0")]),
    // The head office's ledger. C: approved.
    (
        "erp",
        "91330100MA2DEM0A0Q",
        &[("name", "示例青山茶业有限公司"), ("contact", "周经理"), ("phone", "+8657187654321"), ("status", "C")],
    ),
    ("erp", "91320500MA2DEM0B1D", &[("name", "示例东湖商贸有限公司"), ("phone", "0512-88990011"), ("status", "C")]),
    (
        "erp",
        "91440300MA2DEM0C26",
        &[("name", "示例南风设计有限公司"), ("contact", "何女士"), ("phone", "13800138009"), ("status", "C")],
    ),
    ("erp", "XSDD0001", &[("buyer", "91330100MA2DEM0A0Q"), ("total", "19800.00")]),
    // The branch's ledger.
    (
        "branch",
        "91330100MA2DEM0A0Q",
        &[("name", "示例青山茶业有限公司"), ("contact", "周经理"), ("phone", "0571 8765 4321"), ("status", "C")],
    ),
    ("branch", "91320500MA2DEM0B1D", &[("name", "示例东湖商贸有限公司"), ("phone", "+8651288990011"), ("status", "C")]),
    (
        "branch",
        "91440300MA2DEM0C26",
        &[("name", "示例南风设计有限公司"), ("contact", "何女士"), ("phone", "+8613800138009"), ("status", "C")],
    ),
    // The mailbox: what came in, and nothing sent.
    ("mail", "When will my parcel come?", &[("from", "Min Zhao <min.zhao@example.com>")]),
    ("mail", "Special offer", &[("from", "Somebody <somebody@example.org>")]),
];

/// The evening as rows.
pub fn evening() -> Vec<Row> {
    let row = |(system, who, fields): &Line| Row {
        system: (*system).to_owned(),
        who: (*who).to_owned(),
        fields: fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
    };
    EVENING.iter().map(row).collect()
}
