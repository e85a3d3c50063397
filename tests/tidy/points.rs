//! The points at which the crash suite ends the program: each stands in the code. That each is passed, the suite shows.

use crate::tree::{ending, none};

#[test]
fn every_declared_point_stands_somewhere() {
    let all = ending(".rs");
    let (_, declared) = all.iter().find(|(path, _)| path == "core/src/crash.rs").expect("the points");
    let body = declared.split_once("points! {").and_then(|(_, rest)| rest.split_once("\n}")).expect("a list").0;
    let points: Vec<&str> = body.lines().filter_map(|line| Some(line.trim().split_once(" = \"")?.0)).collect();
    assert!(points.len() > 20, "{points:?}");
    let core: String = all
        .iter()
        .filter(|(path, _)| path.starts_with("core/src/") || path.starts_with("jetstream/src/"))
        .filter(|(path, _)| path != "core/src/crash.rs")
        .map(|it| it.1.as_str())
        .collect();
    let missing = points.iter().filter(|point| !core.contains(&format!("point(Point::{point})")));
    none(&missing.map(|point| format!("core/src/crash.rs: no code passes {point}")).collect::<Vec<_>>());
}
