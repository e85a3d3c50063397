//! The morning: what is in the systems before anybody connects them.

use huiliu_twins::wecom::Customer;
use serde_json::json;

use super::systems::Systems;

/// The records that the day speaks of, by their systems' ids.
pub struct Cast {
    /// Where the hub listens.
    pub hub: String,
    /// 李雷 in WeCom, and `Lei Li` in the shop.
    pub li_lei: String,
    /// See `li_lei`.
    pub lei_li: String,
    /// 韩梅梅 in WeCom, and in the shop.
    pub han_meimei: String,
    /// See `han_meimei`.
    pub meimei_han: String,
    /// 王磊 in WeCom. 王芳 of the shop has the same phone.
    pub wang_lei: String,
    /// Tom Baker in WeCom, and in the shop.
    pub tom_baker: String,
    /// See `tom_baker`.
    pub tom: String,
    /// 示例青山茶业有限公司 in the head office's ledger, and in the branch's.
    pub qingshan_erp: String,
    /// See `qingshan_erp`.
    pub qingshan_branch: String,
}

/// Fills the systems as years of work without a hub have filled them.
pub async fn morning(systems: &Systems, hub: &str) -> Result<Cast, String> {
    let (wecom, shop) = (&systems.wecom, &systems.shop);
    for (group, tag) in [("等级", "vip"), ("喜好", "茶"), ("喜好", "咖啡")] {
        wecom.create_tag(group, tag).await;
    }
    let li_lei = wecom.preload_contact("zhang", Customer::named("李雷").with_gender(1).with_unionid("union-li-lei"));
    wecom.edit_mobiles("zhang", &li_lei, &["138 0013 8001"]);
    wecom.edit_description("zhang", &li_lei, "老客户，喜欢红茶").await;
    wecom.set_tags("zhang", &li_lei, &["vip"]).await;
    let han_meimei = wecom.preload_contact("zhang", Customer::named("韩梅梅").with_gender(2));
    wecom.edit_mobiles("zhang", &han_meimei, &["13800138002"]);
    let wang_lei = wecom.preload_contact("wang", Customer::named("王磊").with_gender(1));
    wecom.edit_mobiles("wang", &wang_lei, &["13800138003"]);
    let tom_baker = wecom.preload_contact("wang", Customer::named("Tom Baker"));
    wecom.edit_mobiles("wang", &tom_baker, &["13800138004"]);
    wecom.edit_description("wang", &tom_baker, "用英文写邮件").await;

    let lei_li = shop.put_customer(&json!({
        "firstName": "Lei", "lastName": "Li", "email": "Li.Lei@Example.com", "phone": "+86 138-0013-8001",
        "tags": ["咖啡"],
    }))?;
    let meimei_han = shop.put_customer(&json!({
        "firstName": "梅梅", "lastName": "韩", "phone": "13800138002", "note": "喜欢茉莉花茶", "tags": ["茶"],
    }))?;
    shop.put_customer(&json!({ "firstName": "芳", "lastName": "王", "phone": "13800138003" }))?;
    let tom = shop.put_customer(&json!({
        "firstName": "Tom", "lastName": "Baker", "email": "tom.baker@example.com", "tags": ["咖啡"],
    }))?;

    let qingshan_erp = systems.erp.put_customer(&json!({
        "FName": "示例青山茶业有限公司", "FTAXREGISTERCODE": "91330100ma2dem0a0q", "FContact": "周经理",
    }));
    systems.erp.put_customer(&json!({
        "FName": "示例东湖商贸有限公司", "FTAXREGISTERCODE": "91320500MA2DEM0B1D", "FPhone": "0512-88990011",
    }));
    let qingshan_branch = systems.branch.put_customer(&json!({
        "FName": "示例青山茶业", "FTAXREGISTERCODE": "91330100MA2DEM0A0Q", "FPhone": "0571 8765 4321",
    }));
    let hub = hub.to_owned();
    Ok(Cast { hub, li_lei, lei_li, han_meimei, meimei_han, wang_lei, tom_baker, tom, qingshan_erp, qingshan_branch })
}
