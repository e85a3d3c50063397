//! The curve over the bound, drawn.

use super::super::scores::{Score, Scores};
use crate::language::Language;

/// The picture, and the place of the curves in it.
const SIZE: (f64, f64) = (720.0, 420.0);
const LEFT: f64 = 60.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 320.0;

/// One of the lines.
struct Line {
    name: &'static str,
    colour: &'static str,
    /// Not told by colour alone.
    dashes: &'static str,
    of: fn(&Score) -> f64,
}

/// Precision, recall and F1 over pairs by the bound, as SVG.
pub(super) fn svg(curve: &[(f64, Scores)], language: Language) -> String {
    let lines = [
        Line {
            name: language.pick("precision", "精确率"), colour: "#1b6ca8", dashes: "none", of: |it| it.precision
        },
        Line { name: language.pick("recall", "召回率"), colour: "#b3541e", dashes: "8 4", of: |it| it.recall },
        Line { name: "F1", colour: "#222222", dashes: "2 3", of: |it| it.f1 },
    ];
    let (first, last) = (curve.first().map_or(0.0, |it| it.0), curve.last().map_or(1.0, |it| it.0));
    let x = |bits: f64| LEFT + WIDTH * (bits - first) / (last - first).max(f64::MIN_POSITIVE);
    let y = |share: f64| TOP + HEIGHT * (1.0 - share);
    let mut inside = element("title", &[], language.pick("Pairs by the bound", "按阈值的成对指标"));
    let whole = [("width", px(SIZE.0)), ("height", px(SIZE.1)), ("fill", "#ffffff".to_owned())];
    inside += &element("rect", &whole, "");
    for tenth in 0..=10u8 {
        let share = f64::from(tenth) / 10.0;
        let across = format!("M{LEFT} {:.1}h{WIDTH}", y(share));
        inside += &element("path", &[("d", across), ("stroke", "#dddddd".to_owned())], "");
        inside += &label(LEFT - 8.0, y(share) + 4.0, "end", &format!("{share:.1}"));
    }
    for (bits, _) in curve {
        inside += &label(x(*bits), TOP + HEIGHT + 20.0, "middle", &bits.to_string());
    }
    for (at, line) in (0u8..).zip(&lines) {
        let point = |(bits, scores): &(f64, Scores)| format!("{:.1},{:.1}", x(*bits), y((line.of)(&scores.pairwise)));
        let points: Vec<String> = curve.iter().map(point).collect();
        let pen = [
            ("stroke", line.colour.to_owned()),
            ("stroke-width", px(2.0)),
            ("stroke-dasharray", line.dashes.to_owned()),
            ("fill", "none".to_owned()),
        ];
        inside += &element("polyline", &[&[("points", points.join(" "))], &pen[..]].concat(), "");
        let beside = LEFT + 150.0 * f64::from(at);
        inside += &element("path", &[&[("d", format!("M{beside} 400h30"))], &pen[..]].concat(), "");
        inside += &label(beside + 38.0, 404.0, "start", line.name);
    }
    let (width, height) = SIZE;
    let head = [
        ("xmlns", "http://www.w3.org/2000/svg".to_owned()),
        ("viewBox", format!("0 0 {width} {height}")),
        ("font-family", "sans-serif".to_owned()),
        ("font-size", px(13.0)),
    ];
    element("svg", &head, &inside)
}

fn px(number: f64) -> String {
    number.to_string()
}

fn label(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let place = [("x", format!("{x:.1}")), ("y", format!("{y:.1}")), ("text-anchor", anchor.to_owned())];
    element("text", &place, text)
}

/// What stands inside is markup, or a text of the program that needs no escape.
fn element(name: &str, attributes: &[(&str, String)], inside: &str) -> String {
    let attributes: Vec<String> = attributes.iter().map(|(key, value)| format!(" {key}=\"{value}\"")).collect();
    let attributes = attributes.concat();
    format!("<{name}{attributes}>{inside}</{name}>\n")
}
