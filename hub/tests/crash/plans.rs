//! A change of the rules, applied and taken back by commands that die on the way, beside the serving hub.

use huiliu_core::crash::Point;

use crate::world::World;

/// Where an apply is killed.
pub const APPLY: [Point; 3] = [Point::ApplyWritten, Point::ApplyBegun, Point::ApplyThrough];

/// Where an undo is killed.
pub const UNDO: [Point; 4] = [Point::UndoBegun, Point::RestoreWritten, Point::RestoreCommitted, Point::UndoThrough];

/// By these rules nobody hears the CRM's titles, so that they are taken away there.
const CHANGE: &str = "\n[connections.crm.fields.customer]\ntitle = 'out'\n";

/// Applies the change and takes it back as often as there are points; in the end the files and all records are as they
/// were.
pub fn play(world: &mut World) {
    let rules = world.program.folder.read("huiliu.toml");
    for (turn, undo) in UNDO.into_iter().enumerate() {
        world.program.folder.write("huiliu.toml", &format!("{rules}{CHANGE}"));
        let planned = world.program.folder.run(&["plan", "--json"]).json();
        assert_eq!(planned["report"]["fields"]["customer.title"]["emptied"], 1, "{planned}");
        let number = planned["plan"].to_string();
        // The serving hub may still be about the former turn.
        let args = ["apply", &number, "--anyway"];
        world.program.dies(&args, &format!("{}:1", APPLY[turn % APPLY.len()].name()));
        // Where it died at the end, it only has to say so.
        world.program.folder.run(&args).out();
        if turn == 0 {
            world.until("the title is taken away", |world| !is_manager(&world.shown()));
            world.until("nothing waits", World::is_idle);
        }
        let args = ["undo", &number];
        world.program.dies(&args, &format!("{}:1", undo.name()));
        world.program.folder.run(&args).out();
        assert_eq!(world.program.folder.read("huiliu.toml"), rules, "the former files are back");
        world.until("the title is back", |world| is_manager(&world.shown()));
        world.until("nothing waits", World::is_idle);
    }
}

fn is_manager(shown: &str) -> bool {
    shown.lines().any(|line| line.starts_with("crm: ") && line.ends_with("经理"))
}

/// The end of a day without what the rule told when the title came back: once each time, and never twice.
pub fn without_later_tellings(end: &str) -> String {
    let is_later = |line: &&str| line.starts_with("told: ") && !line.ends_with(" #1");
    let later: Vec<&str> = end.lines().filter(is_later).collect();
    let distinct: std::collections::BTreeSet<&&str> = later.iter().collect();
    assert!(distinct.len() == later.len() && later.len() <= UNDO.len(), "{later:?}");
    end.lines().filter(|line| !is_later(line)).flat_map(|line| [line, "\n"]).collect()
}
