//! How long a change takes from one system to each other one, by a clock and eyes outside of the hub: every store is
//! looked at all the time, and a change begins when the store in which it was made first shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{PATIENCE, World, same};

/// Edits in each system.
const EDITS: usize = 5;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

const SYSTEMS: [&str; 5] = ["erp", "shop", "book", "crm", "wecom"];

/// What one edit of 赵敏 says.
struct Edit {
    email: Option<String>,
    mobile: Option<String>,
}

impl Edit {
    /// The shop knows no mobile, WeCom no address.
    fn of(source: usize, number: usize) -> Self {
        let name = SYSTEMS[source];
        let email = (name != "wecom").then(|| format!("zhao.{name}{number}@example.com"));
        let mobile = (name != "shop").then(|| format!("139001{source}{number}000"));
        Self { email, mobile }
    }

    /// Whether a system shows it; `None` if it has no place for it.
    fn seen(&self, world: &World, system: &str) -> Option<bool> {
        let (email, mobile) = (self.email.as_deref(), self.mobile.as_deref());
        let has = |value: &Value, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| value.as_str().is_some_and(|text| same(text, wanted)))
        };
        Some(match system {
            "erp" => world.erp_holds(email, mobile),
            "shop" => {
                let users = world.shop.users();
                let email = Some(email?);
                users.as_object().is_some_and(|users| users.values().any(|it| has(&it["email"], email)))
            }
            "book" => world.book.stored("zhaomin.vcf").is_some_and(|text| {
                let line = |wanted: Option<&str>| wanted.is_none_or(|wanted| text.lines().any(|it| same(it, wanted)));
                line(email) && line(mobile)
            }),
            "crm" => {
                let all = world.crm.snapshot("contacts");
                let mut all = all.as_object()?.values();
                all.any(|it| has(&it["email"], email) && has(&it["mobilephone"], mobile))
            }
            _ => {
                let all = world.wecom.snapshot();
                let mobile = Some(mobile?);
                all.as_object()?.values().any(|it| has(&it["follow_info"]["remark_mobiles"][0], mobile))
            }
        })
    }
}

/// What 赵敏's record is known by in each system just before an edit.
struct Known {
    email: String,
    party: (i64, i64, i64),
}

fn make(world: &World, source: &str, edit: &Edit, number: usize, known: &Known) {
    let (email, mobile) = (edit.email.as_deref().unwrap_or_default(), edit.mobile.as_deref().unwrap_or_default());
    match source {
        "erp" => {
            let (party, of_email, of_mobile) = known.party;
            let write = json!([["write", [of_email], { "value": email }], ["write", [of_mobile], { "value": format!("+86{mobile}") }]]);
            world.erp.person(&json!([["party.party", "write", [party], { "contact_mechanisms": write }]]));
        }
        "shop" => world.edit_account(&known.email, &json!({ "email": email })),
        "book" => world.book.edit("people/zhaomin.vcf", &json!({ "email": email, "tel": mobile })),
        "crm" => world.edit_contact(&known.email, &json!({ "email": email, "mobilephone": mobile })),
        _ => world.edit_wecom("赵敏", mobile, &format!("第{number}次回访")),
    }
}

/// One edit; how long until each other system showed it.
fn round(world: &World, source: usize, number: usize, known: &mut Known) -> BTreeMap<&'static str, Duration> {
    let (edit, name) = (Edit::of(source, number), SYSTEMS[source]);
    let mut seen: BTreeMap<&str, Instant> = BTreeMap::new();
    std::thread::scope(|all| {
        all.spawn(|| make(world, name, &edit, number, known));
        let begun = Instant::now();
        loop {
            let mut missing = Vec::new();
            for system in SYSTEMS.into_iter().filter(|it| !seen.contains_key(it)).collect::<Vec<_>>() {
                let looked = Instant::now();
                match edit.seen(world, system) {
                    Some(true) => {
                        // The source is taken at its earliest, the others at their latest.
                        seen.insert(system, if system == name { looked } else { Instant::now() });
                    }
                    Some(false) => missing.push(system),
                    None => {}
                }
            }
            if missing.is_empty() {
                break;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "edit {number} of {name} does not reach {missing:?}: {}",
                world.status()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    });
    if let Some(email) = edit.email {
        known.email = email;
    }
    let start = seen.remove(name).expect("it was made");
    seen.into_iter().map(|(system, at)| (system, at.saturating_duration_since(start))).collect()
}

/// Makes the edits and tells the times: median and worst of each direction.
pub fn measure(world: &World) -> String {
    let email = "zhao.min@example.com".to_owned();
    let mut known = Known { party: world.party(&email), email };
    let mut table = String::from("From | to | median ms | worst ms\n");
    for (source, name) in SYSTEMS.iter().enumerate() {
        let mut times: BTreeMap<&str, Vec<u128>> = BTreeMap::new();
        for number in 1..=EDITS {
            for (system, time) in round(world, source, number, &mut known) {
                times.entry(system).or_default().push(time.as_millis());
            }
            // The echo of one edit has died before the next is made, and schedules are met at different moments.
            std::thread::sleep(Duration::from_millis(400 + 170 * u64::try_from(number).unwrap_or_default()));
        }
        for (system, mut all) in times {
            all.sort_unstable();
            let _ = writeln!(table, "{name} | {system} | {} | {}", all[all.len() / 2], all[all.len() - 1]);
        }
    }
    table
}
