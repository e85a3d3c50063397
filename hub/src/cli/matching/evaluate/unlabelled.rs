//! What can be said of a file without knowing the truth.

use huiliu_mappings::matching::linkage::{self, BITS, Profile};
use serde_json::{Value, json};

use super::super::{Loaded, load, settings, steps, summary};
use super::{Args, explaining};
use crate::language::Language;
use crate::{say, table};

pub(super) fn run(args: &Args, language: Language) -> Result<(), String> {
    let Loaded { ids, table, .. } = load(&args.of, language)?;
    let profile = linkage::profile(table, &settings(&args.of), &mut steps(language))
        .ok_or_else(|| format!("{}: there is nothing to compare", args.of.file.display()))?;
    if args.json {
        println!("{}", as_json(&profile, &ids, args.errors));
    } else {
        print!("{}", told(&profile, &ids, args, language));
    }
    Ok(())
}

fn as_json(profile: &Profile, ids: &[String], most: usize) -> Value {
    let doubts = profile
        .doubts
        .iter()
        .take(most)
        .map(|it| json!({"records": [ids[it.rows.0], ids[it.rows.1]], "bits": it.bits, "together": it.together}));
    json!({
        "records": ids.len(),
        "customers": profile.customers(),
        "repeats": profile.repeats(),
        "sizes": profile.sizes,
        "compared": profile.found.compared,
        "pairs_together": profile.together,
        "estimated": {"precision": profile.precision(), "recall": profile.recall(), "missed_pairs": profile.missed},
        "bits": {"bounds": BITS, "pairs": profile.bits},
        "doubts": doubts.collect::<Vec<_>>(),
    })
}

fn told(profile: &Profile, ids: &[String], args: &Args, language: Language) -> String {
    let (repeats, customers) = (profile.repeats(), profile.customers());
    let share = 100.0 * count(repeats) / count(ids.len()).max(1.0);
    let (precision, recall, missed) = (profile.precision(), profile.recall(), profile.missed);
    let mut text = format!("{}\n\n", summary(&profile.found, language));
    text.push_str(&say!(
        language,
        "{repeats} records ({share:.1} %) are another one's repeat; {customers} customers are left\n\
         estimates of the model, without labels: precision {precision:.4}, recall {recall:.4} of what was compared; about {missed:.0} pairs are missed\n\n",
        "{repeats} 条记录（{share:.1} %）是他人的重复；余下 {customers} 个客户\n\
         模型的估计（无标注）：精确率 {precision:.4}，比较过的对中召回率 {recall:.4}；约漏掉 {missed:.0} 对\n\n"
    ));
    text.push_str(&sizes(profile, language));
    text.push('\n');
    text.push_str(&weights(profile, language));
    let doubts: Vec<_> = profile.doubts.iter().take(args.errors).collect();
    if !doubts.is_empty() {
        text.push_str(language.pick("\nThe pairs in the greatest doubt:\n", "\n最难判断的对：\n"));
    }
    for it in doubts {
        let (a, b) = (&ids[it.rows.0], &ids[it.rows.1]);
        let now = if it.together { language.pick("together", "在一起") } else { language.pick("apart", "分开") };
        let bits = it.bits;
        text.push_str(&format!("  {a} {b}  {bits:+.1}  {now}\n    {}\n", explaining(args, a, b)));
    }
    text
}

/// How many customers have how many records.
fn sizes(profile: &Profile, language: Language) -> String {
    let heads = [language.pick("records", "记录数"), language.pick("customers", "客户数")];
    let last = profile.sizes.len();
    let rows: Vec<Vec<String>> = (1..)
        .zip(&profile.sizes)
        .filter(|(_, customers)| **customers > 0)
        .map(|(size, customers)| {
            let size = if size == last { language.pick("more", "更多").to_owned() } else { size.to_string() };
            vec![size, customers.to_string()]
        })
        .collect();
    table::columns(&heads, &rows)
}

/// How many compared pairs weigh how much.
fn weights(profile: &Profile, language: Language) -> String {
    let heads = [language.pick("bits", "比特"), language.pick("pairs compared", "比较的对数")];
    let rows: Vec<Vec<String>> = profile
        .bits
        .iter()
        .enumerate()
        .map(|(at, pairs)| {
            let range = match (at.checked_sub(1).map(|at| BITS[at]), BITS.get(at)) {
                (None, Some(most)) => format!("… {most:+}"),
                (Some(least), Some(most)) => format!("{least:+} … {most:+}"),
                (least, None) => format!("{:+} …", least.unwrap_or_default()),
            };
            vec![range, pairs.to_string()]
        })
        .collect();
    table::columns(&heads, &rows)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
