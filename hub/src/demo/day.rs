//! The day: who does what where, and what must follow elsewhere.
//!
//! Every scene is one function. What each system must hold in the evening is written in [`super::expected`].

use huiliu_core::explain;
use huiliu_core::store::{goldens, links};
use huiliu_twins::hooks::Fault;
use huiliu_twins::kingdee;
use huiliu_twins::wecom::Customer;
use serde_json::json;

use super::morning::Cast;
use super::play::{Play, on_thread};
use crate::live;
use crate::say;

/// Plays the whole day.
pub async fn day(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    look_only(play).await?;
    go_live(play).await?;
    a_new_customer(play).await?;
    a_tag(play, cast).await;
    webhooks_out_of_order(play, cast).await?;
    a_lost_webhook(play, cast).await?;
    both_sides_at_once(play, cast).await?;
    two_become_one(play, cast).await?;
    the_head_office_decides(play, cast).await;
    a_cut_line(play).await;
    orders(play, cast).await?;
    mails(play).await?;
    deletions(play, cast).await?;
    a_forged_call(play, cast).await;
    Ok(())
}

/// In the order in which they go live.
const CONNECTIONS: [&str; 5] = ["wecom", "shop", "erp", "branch", "mail"];

async fn look_only(play: &mut Play<'_>) -> Result<(), String> {
    play.stage.act(
        "The hub is connected. It reads and compares, and writes to nobody yet.",
        "接入汇流。先只读取、比对，不向任何系统写入。",
    );
    let after = play.is_read().await?;
    let seen = super::summary::Seen::now(play).await?;
    let (records, customers, reviews) = (seen.records, seen.customers, seen.reviews);
    let told = |language| {
        say!(
            language,
            "{records} records turn out to be {customers} customers; {reviews} question for a person: Wang Lei 王磊 and \
             Wang Fang 王芳 share a phone, but not a name.",
            "{records} 条记录，其实是 {customers} 个客户；有 {reviews} 个问题留给人判断：王磊和王芳电话相同，姓名不同。"
        )
    };
    let (en, zh) = (told(crate::language::Language::En), told(crate::language::Language::Zh));
    // By hand: 4 contacts, 4 shoppers and 3 companies, of which 李雷, 韩梅梅 and a company are there twice.
    if (records, customers, reviews) == (11, 8, 1) {
        play.stage.followed(&en, &zh, after);
    } else {
        play.miss(&en, &zh);
    }
    if play.systems.writes().values().sum::<u64>() > 0 {
        play.miss("Nobody is written to.", "未向任何系统写入。");
    }
    Ok(())
}

async fn go_live(play: &mut Play<'_>) -> Result<(), String> {
    play.stage.act("The plan is looked at, and every connection goes live.", "看过写入计划后，各个连接正式上线。");
    let mut planned = Vec::new();
    for name in CONNECTIONS {
        let engine = play.engine.clone();
        let plan = on_thread(move || live::preview(&engine, name, 0)).await?;
        planned.push(format!("{name} {}", plan.writes()));
    }
    play.stage.text(&format!("  {} {}", play.stage.language.pick("writes planned:", "计划写入："), planned.join(", ")));
    for name in CONNECTIONS {
        let engine = play.engine.clone();
        on_thread(move || live::go(&engine, name)).await?;
        play.bells.ring();
    }
    play.follows(
        "Li Lei 李雷 and `Lei Li` have the same tags and the same note in WeCom and in the shop.",
        "企业微信的李雷和商店的 Lei Li 标签、备注都一致了。",
        |at| {
            at.says("shop", "Lei Li", "note") == "老客户，喜欢红茶"
                && at.says("shop", "Lei Li", "tags") == "vip,咖啡"
                && at.says("wecom", "李雷", "tags") == "vip,咖啡"
        },
    )
    .await;
    play.follows(
        "Both ledgers have both companies, each approved, under the head office's names.",
        "两套账里都有这两家公司，均已审核，名称以总部为准。",
        |at| {
            at.says("branch", QINGSHAN, "name") == "示例青山茶业有限公司"
                && at.says("branch", DONGHU, "status") == "C"
                && at.says("erp", QINGSHAN, "phone") == "+8657187654321"
        },
    )
    .await;
    Ok(())
}

/// Tax numbers (统一社会信用代码) with right check characters; the companies do not exist.
const QINGSHAN: &str = "91330100MA2DEM0A0Q";
const DONGHU: &str = "91320500MA2DEM0B1D";
const NANFENG: &str = "91440300MA2DEM0C26";

async fn a_new_customer(play: &mut Play<'_>) -> Result<(), String> {
    play.stage.act(
        "Zhao Min 赵敏 adds adviser Wang in WeCom; the callback comes twice. Wang notes her mobile, which WeCom tells \
         nobody. She signs up in the shop as `Min Zhao`.",
        "赵敏添加顾问小王，回调来了两次。小王记下她的手机号，企业微信对此不发回调。她又在商店注册，名字写作 Min Zhao。",
    );
    play.systems.wecom.hooks.set_fault(Fault::Repeat);
    let zhao = play.systems.wecom.add_contact("wang", Customer::named("赵敏").with_gender(2)).await;
    play.systems.wecom.hooks.set_fault(Fault::None);
    let record = format!("wecom/contacts/wang:{zhao}");
    if play.until(move |engine| Ok(!explain::find(engine, &record)?.is_empty())).await?.is_none() {
        play.miss("The hub hears of her.", "汇流得知了她。");
    }
    play.systems.wecom.edit_mobiles("wang", &zhao, &["13800138005"]);
    let min_zhao = json!({
        "firstName": "Min", "lastName": "Zhao", "email": "Min.Zhao@Example.com", "phone": "138 0013 8005",
        "note": "送礼，请包装",
    });
    play.systems.shop.add_customer(&min_zhao).await?;
    play.is_found(
        "The schedule finds the mobile: one customer. Her note for the shop is in WeCom.",
        "定时扫描发现了手机号：是同一个客户。她在商店的备注也到了企业微信。",
        |at| at.says("wecom", "赵敏", "note") == "送礼，请包装",
    )
    .await;
    Ok(())
}

async fn a_tag(play: &mut Play<'_>, cast: &Cast) {
    play.stage.act("Adviser Zhang tags Han Meimei 韩梅梅 `vip` in WeCom.", "顾问小张在企业微信给韩梅梅打上标签 vip。");
    play.systems.wecom.set_tags("zhang", &cast.han_meimei, &["茶", "vip"]).await;
    play.follows("The shop has the tag too.", "商店里也有了这个标签。", |at| {
        at.says("shop", "梅梅 韩", "tags") == "vip,茶"
    })
    .await;
}

async fn webhooks_out_of_order(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    play.stage.act(
        "The shop changes her note twice. Its webhooks are late, and the second comes before the first.",
        "商店把她的备注改了两次；Webhook 迟到，而且后一个先到。",
    );
    let hooks = play.systems.shop.hooks();
    hooks.set_fault(Fault::Hold);
    play.systems.shop.edit_customer(&cast.meimei_han, &json!({ "note": "送货前打电话" })).await?;
    play.systems.shop.edit_customer(&cast.meimei_han, &json!({ "note": "周末送货" })).await?;
    hooks.set_fault(Fault::None);
    hooks.release().await;
    play.follows(
        "WeCom has the last note, not the last to arrive.",
        "企业微信里是最后写的备注，不是最后到的。",
        |at| at.says("wecom", "韩梅梅", "note") == "周末送货",
    )
    .await;
    Ok(())
}

async fn a_lost_webhook(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    play.stage.act(
        "The shop tags Lei Li 茶 (tea). The webhook is lost on the way.",
        "商店给 Lei Li 加上标签“茶”，Webhook 在路上丢失。",
    );
    play.systems.shop.hooks().set_fault(Fault::Drop);
    play.systems.shop.edit_customer(&cast.lei_li, &json!({ "tags": ["vip", "咖啡", "茶"] })).await?;
    play.systems.shop.hooks().set_fault(Fault::None);
    play.is_found(
        "The schedule finds the change; WeCom has the tag.",
        "定时拉取发现了变化；企业微信有了标签。",
        |at| at.says("wecom", "李雷", "tags") == "vip,咖啡,茶",
    )
    .await;
    Ok(())
}

async fn both_sides_at_once(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    play.stage.act(
        "The shop notes `call Lei Li in the afternoon` 请下午联系; in the same second his adviser notes `in the evening` \
         请晚上联系.",
        "商店给 Lei Li 备注“请下午联系”；同一秒，顾问备注“请晚上联系”。",
    );
    play.systems.shop.edit_customer(&cast.lei_li, &json!({ "note": "请下午联系" })).await?;
    play.systems.wecom.edit_description("zhang", &cast.li_lei, "请晚上联系").await;
    play.follows(
        "The later word counts, in both. The earlier one is kept in the hub, and can be put back.",
        "两边都以后说的为准；先说的保留在汇流里，可以恢复。",
        |at| at.says("shop", "Lei Li", "note") == "请晚上联系" && at.says("wecom", "李雷", "note") == "请晚上联系",
    )
    .await;
    Ok(())
}

async fn two_become_one(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    play.stage.act(
        "Tom Baker enters his phone in the shop. Until now nothing said that he is the Tom Baker of WeCom.",
        "Tom Baker 在商店填了手机号。在此之前，没有什么能证明他就是企业微信里的 Tom Baker。",
    );
    play.systems.shop.edit_customer(&cast.tom, &json!({ "phone": "138-0013-8004" })).await?;
    play.follows(
        "Two customers become one: his tag is in WeCom, his adviser's note in the shop.",
        "两个客户合为一个：标签到了企业微信，顾问的备注到了商店。",
        |at| at.says("wecom", "Tom Baker", "tags") == "咖啡" && at.says("shop", "Tom Baker", "note") == "用英文写邮件",
    )
    .await;
    Ok(())
}

async fn the_head_office_decides(play: &mut Play<'_>, cast: &Cast) {
    play.stage.act(
        "The branch's accountant renames a company. The rules say: the head office decides.",
        "分公司会计给一家公司改名。规则规定：名称由总部决定。",
    );
    let before = play.systems.writes()["branch"];
    play.systems.branch.edit_customer(&cast.qingshan_branch, &json!({ "FName": "青山茶叶公司" }));
    play.follows(
        "The branch has the head office's name again, saved, submitted and approved.",
        "分公司账里恢复总部的名称，并已保存、提交、审核。",
        |at| {
            at.writes()["branch"] > before
                && at.says("branch", QINGSHAN, "name") == "示例青山茶业有限公司"
                && at.says("branch", QINGSHAN, "status") == "C"
        },
    )
    .await;
}

async fn a_cut_line(play: &mut Play<'_>) {
    play.stage.act(
        "The head office enters a new company. While it is saved in the branch, the line is cut.",
        "总部录入一家新公司。往分公司保存时，线路断了。",
    );
    play.systems.branch.fault(kingdee::Call::Save, kingdee::Fault::CutAfter);
    play.systems.erp.put_customer(&json!({
        "FName": "示例南风设计有限公司", "FTAXREGISTERCODE": NANFENG, "FContact": "何女士", "FPhone": "13800138009",
    }));
    play.follows(
        "The next attempt finds what was saved, and goes on: one company, approved.",
        "下一次尝试发现已经保存，接着往下做：只有一家，且已审核。",
        |at| at.says("branch", NANFENG, "status") == "C",
    )
    .await;
}

async fn orders(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    play.stage.act(
        "Lei Li buys in the shop; a guest buys with Han Meimei's phone; a company buys from the head office.",
        "Lei Li 在商店下单；有人未登录、用韩梅梅的电话下单；一家公司向总部订货。",
    );
    let tea = json!([{ "sku": "T-1", "name": "红茶", "quantity": 2, "price": "128.00" }]);
    play.systems.shop.place_order(&json!({ "customer": cast.lei_li, "lines": tea })).await?;
    let gift = json!([{ "sku": "T-2", "name": "茉莉花茶", "quantity": 1, "price": "88.00" }]);
    play.systems.shop.place_order(&json!({ "phone": "138 0013 8002", "lines": gift })).await?;
    play.systems.erp.put_order(&json!({
        "FBillNo": "XSDD0001", "FDate": "2026-01-05T00:00:00", "FCustId": cast.qingshan_erp.parse::<u64>().unwrap_or(0),
        "FBillAllAmount_LC": "19800.00", "FBillAllAmount": "19800.00", "FSettleCurrId.FCODE": "CNY",
        "entries": [{ "FMaterialId.FNumber": "T-9", "FMaterialId.FName": "散装红茶", "FQty": "30" }],
    }));
    let mut after = Some(std::time::Duration::ZERO);
    for buyer in ["13800138001", "13800138002", &format!("erp/customers/{}", cast.qingshan_erp)] {
        after = play.timeline(buyer, "order", 1).await?.zip(after).map(|(one, so_far)| one + so_far);
    }
    play.came("Each order is on its customer's timeline.", "每张订单都在各自客户的往来记录里。", after);
    Ok(())
}

async fn mails(play: &mut Play<'_>) -> Result<(), String> {
    play.stage.act(
        "Zhao Min writes a mail about her parcel; a stranger writes one, too.",
        "赵敏写来邮件询问包裹；还有一个陌生人也写来邮件。",
    );
    for (from, subject) in [
        ("Min Zhao <min.zhao@example.com>", "When will my parcel come?"),
        ("Somebody <somebody@example.org>", "Special offer"),
    ] {
        let mail = format!(
            "From: {from}\r\nTo: hub@example.test\r\nSubject: {subject}\r\nMessage-ID: <{}@example.com>\r\n\
             Date: Mon, 5 Jan 2026 10:00:00 +0800\r\n\r\nHello\r\n",
            subject.len()
        );
        play.systems.mailbox.deliver(mail.as_bytes());
    }
    let after = play.timeline("min.zhao@example.com", "interaction", 1).await?;
    play.came(
        "Her mail is on her timeline. Nobody becomes a customer by writing a mail.",
        "她的邮件进了她的往来记录。写一封邮件并不会变成客户。",
        after,
    );
    Ok(())
}

async fn deletions(play: &mut Play<'_>, cast: &Cast) -> Result<(), String> {
    play.stage.act(
        "Wang Lei 王磊 removes his adviser in WeCom; the shop deletes Tom Baker; then Tom's adviser tags him `vip`.",
        "王磊在企业微信删除了顾问；商店删除了 Tom Baker；随后顾问给 Tom 打上标签 vip。",
    );
    play.systems.wecom.leave_member("wang", &cast.wang_lei).await;
    play.systems.shop.delete_customer(&cast.tom).await?;
    play.systems.wecom.set_tags("wang", &cast.tom_baker, &["咖啡", "vip"]).await;
    let (en, zh) = (
        "The hub lets go of both records. Nobody is deleted elsewhere, and nobody is made anew.",
        "汇流放开了这两条记录。别处没有人被删除，也没有人被重新创建。",
    );
    let gone = play.until(|engine| {
        engine.store.read(|tx| {
            let customers = goldens::after(tx, "customer", 0, 100)?;
            let records = links::by_goldens(tx, customers.iter().map(|golden| golden.id))?;
            Ok(records.iter().filter(|link| !link.open).count() == 2)
        })
    });
    let after = gone.await?;
    play.came(en, zh, after);
    Ok(())
}

async fn a_forged_call(play: &mut Play<'_>, cast: &Cast) {
    play.stage.act(
        "A stranger sends a callback: Han Meimei is deleted. One byte of the seal is wrong.",
        "陌生人发来回调：韩梅梅已被删除。密文有一个字节不对。",
    );
    let wecom = &play.systems.wecom;
    let url = format!("{}/hooks/wecom", cast.hub);
    let fields = [("UserID", "zhang"), ("ExternalUserID", cast.han_meimei.as_str())];
    let call = wecom.sealed(&url, "change_external_contact", "del_external_contact", &fields);
    let before = wecom.hooks.tally().refused;
    wecom.hooks.set_fault(Fault::Forge);
    wecom.hooks.send(call).await;
    wecom.hooks.set_fault(Fault::None);
    play.follows("It is refused at the door.", "被拒之门外。", |at| at.wecom.hooks.tally().refused > before).await;
}
