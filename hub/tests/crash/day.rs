//! A little day, and what must be there in the end.

use std::time::Duration;

use huiliu_twins::hooks::Fault;
use huiliu_twins::wecom::Customer;
use serde_json::json;

use crate::world::{RUNTIME, World};

/// The WeCom member whose customer it is.
const MEMBER: &str = "zhang";

/// Rounds of the shortest schedule in which nothing may move.
const QUIET: Duration = Duration::from_millis(2_500);

/// Written by hand: family name, given name, address, note; then mobile, company, title.
const END: &str = "\
crm: 周 | 杰 | jie.zhou@example.com | - | - | 经理
crm: 李 | 雷 | lei.li@example.com | +8613800138001 | 甲有限公司 | -
crm: 王 | 芳芳 | fang.wang@example.com | - | - | -
crm: 赵 | 敏 | min.zhao@example.com | - | - | -
crm: 韩 | 梅 | mei.han@example.com | - | - | -
shop: 周 | 杰 | jie.zhou@example.com | -
shop: 李 | 雷 | lei.li@example.com | 老客户
shop: 王 | 芳芳 | fang.wang@example.com | -
shop: 赵 | 敏 | min.zhao@example.com | -
shop: 韩 | 梅 | mei.han@example.com | -
told: zhang | 周杰: 经理 #1
wecom: 李雷 | 13800138001 | 甲有限公司 | 老客户
";

/// Plays the day, and tells the end: every record, every golden record.
pub fn play(world: World) -> String {
    play_then(world, |_| {})
}

/// The same, with something that happens when all agree and changes nothing.
pub fn play_then(mut world: World, then: impl FnOnce(&mut World)) -> String {
    morning(&world);
    world.until("who is new in one system is made in the other", |world| {
        let shown = world.shown();
        shown.contains("crm: 韩") && shown.contains("shop: 王")
    });
    // The shop stamps by whole seconds: what is edited there from now on is later than all that was made.
    world.rest(Duration::from_millis(1_100));
    noon(&mut world);
    world.until("all agree", |world| world.shown() == END);
    world.until("all that was to happen has happened", |world| world.program.is_through());
    world.until("nothing waits", World::is_idle);
    then(&mut world);
    world.until("nothing waits", World::is_idle);
    let writes = world.writes();
    world.rest(QUIET);
    assert_eq!(world.writes(), writes, "somebody wrote without a reason");
    world.shown() + &world.goldens()
}

/// Who is there before anybody listens.
fn morning(world: &World) {
    let customer = |family: &str, given: &str, email: &str, phone: Option<&str>| {
        world.shop.put_customer(&json!({ "lastName": family, "firstName": given, "email": email, "phone": phone }))
    };
    customer("李", "雷", "lei.li@example.com", Some("+8613800138001")).expect("a customer");
    customer("韩", "梅梅", "mei.han@example.com", None).expect("a customer");
    for (family, given, email) in [("李", "雷", "lei.li@example.com"), ("王", "芳", "fang.wang@example.com")] {
        let contact = json!({ "lastname": family, "firstname": given, "email": email });
        world.crm.put("contacts", &contact).expect("a contact");
    }
}

/// Edits and newcomers; webhooks are repeated, come in another order, and are dropped.
fn noon(world: &mut World) {
    RUNTIME.block_on(async {
        world.shop.hooks().set_fault(Fault::Repeat);
        let min = json!({ "lastName": "赵", "firstName": "敏", "email": "min.zhao@example.com" });
        world.shop.add_customer(&min).await.expect("a customer");
        world.crm.hooks().set_fault(Fault::Hold);
        let jie = json!({ "lastname": "周", "firstname": "杰", "email": "jie.zhou@example.com" });
        let jie = world.crm.add("contacts", &jie).await.expect("a contact");
        world.crm.edit("contacts", &jie, &json!({ "jobtitle": "经理" })).await.expect("an edit");
        world.crm.hooks().set_fault(Fault::None);
        world.crm.hooks().release().await;
    });
    world.program.tend();
    let (lei, mei, fang) = (
        world.customer("lei.li@example.com"),
        world.customer("mei.han@example.com"),
        world.contact("fang.wang@example.com"),
    );
    RUNTIME.block_on(async {
        world.wecom.hooks.set_fault(Fault::Repeat);
        let external = world.wecom.preload_noted(MEMBER, Customer::named("李雷"), &["13800138001"]);
        world.wecom.edit_company(MEMBER, &external, "甲有限公司").await;
        world.shop.hooks().set_fault(Fault::None);
        world.shop.edit_customer(&lei, &json!({ "note": "老客户" })).await.expect("an edit");
        world.shop.hooks().set_fault(Fault::Drop);
        world.shop.edit_customer(&mei, &json!({ "firstName": "梅" })).await.expect("an edit");
        world.shop.hooks().set_fault(Fault::None);
        world.crm.edit("contacts", &fang, &json!({ "firstname": "芳芳" })).await.expect("an edit");
    });
}
