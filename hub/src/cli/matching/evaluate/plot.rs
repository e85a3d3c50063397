//! The curve over the bound, drawn.

use std::fmt::Write as _;

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
    let (width, height) = SIZE;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        language.pick("Pairs by the bits from which they are linked", "按连接阈值（比特）的成对指标")
    );
    for tenth in 0..=10u8 {
        let share = f64::from(tenth) / 10.0;
        let at = y(share);
        let _ = write!(
            text,
            "<path d=\"M{LEFT} {at:.1}h{WIDTH}\" stroke=\"#dddddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{share:.1}</text>\n",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for (bits, _) in curve {
        let at = x(*bits);
        let _ =
            write!(text, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{bits}</text>\n", TOP + HEIGHT + 20.0);
    }
    for (at, line) in (0u8..).zip(&lines) {
        let points: Vec<String> = curve
            .iter()
            .map(|(bits, scores)| format!("{:.1},{:.1}", x(*bits), y((line.of)(&scores.pairwise))))
            .collect();
        let Line { name, colour, dashes, .. } = line;
        let beside = LEFT + 150.0 * f64::from(at);
        let _ = write!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\n\
             <path d=\"M{beside} 400h30\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\
             <text x=\"{}\" y=\"404\">{name}</text>\n",
            points.join(" "),
            beside + 38.0
        );
    }
    text.push_str("</svg>\n");
    text
}
