//! Bars of a day: what came in, what went out. Two scales, for two deliveries beside a thousand records are no line at
//! the bottom but two deliveries. Bars begin at zero; a stretch without anything has none.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use huiliu_core::store::traffic;

use crate::language::Language;
use crate::site::{Failed, Result, Site};

const MINUTES_A_DAY: i64 = 1440;

/// One way of a day, drawn for wide and for narrow windows, and in numbers.
pub struct Panel {
    /// `in` or `out`: the style.
    pub class: &'static str,
    /// What is shown.
    pub title: String,
    /// The sum of the day.
    pub sum: i64,
    /// For windows wider than a phone's.
    pub wide: String,
    /// For a phone.
    pub narrow: String,
    /// Hour and count, for those who read numbers; hours without anything are left out.
    pub hours: Vec<(String, i64)>,
}

/// How a drawing is cut.
struct Cut {
    size: (u32, u32),
    stretch_minutes: i64,
    label_hours: i64,
    class: &'static str,
}

const WIDE: Cut = Cut { size: (880, 150), stretch_minutes: 10, label_hours: 3, class: "wide" };
const NARROW: Cut = Cut { size: (340, 150), stretch_minutes: 30, label_hours: 6, class: "narrow" };

/// The last day of one connection, or of all.
pub fn last_day(site: &Site, t: Language, connection: Option<&str>) -> Result<Vec<Panel>> {
    let stretch = WIDE.stretch_minutes;
    // The last stretch is the one that is still running.
    let end = (site.engine.clock.now_us().div_euclid(60_000_000) / stretch + 1) * stretch;
    let begin = end - MINUTES_A_DAY;
    let flows = site.engine.store.read(|tx| traffic::since(tx, connection, begin, stretch))?;
    let panel = |is_in: bool| {
        let mut counts = vec![0; usize::try_from(MINUTES_A_DAY / stretch).unwrap_or(0)];
        for flow in flows.iter().filter(|it| it.is_in == is_in) {
            if let Some(count) = usize::try_from(flow.stretch).ok().and_then(|at| counts.get_mut(at)) {
                *count += flow.records;
            }
        }
        let title = if is_in { t.chart_in() } else { t.chart_out() };
        panel_of(t, site.zone(), begin, is_in, title, &counts)
    };
    Ok(vec![panel(true)?, panel(false)?])
}

fn panel_of(t: Language, zone: &TimeZone, begin: i64, is_in: bool, title: &str, counts: &[i64]) -> Result<Panel> {
    let sum = counts.iter().sum();
    let told = t.chart_told(title, sum, counts.iter().max().copied().unwrap_or(0));
    let draw = |cut: &Cut| {
        let each = usize::try_from(cut.stretch_minutes / WIDE.stretch_minutes).unwrap_or(1);
        let counts: Vec<i64> = counts.chunks(each).map(|chunk| chunk.iter().sum()).collect();
        svg(cut, zone, begin, &counts, &told)
    };
    let mut hours: Vec<(String, i64)> = Vec::new();
    for (count, at) in counts.iter().zip(0..).filter(|(count, _)| **count > 0) {
        let hour = clock(zone, (begin + at * WIDE.stretch_minutes).div_euclid(60) * 60);
        match hours.last_mut().filter(|(last, _)| *last == hour) {
            Some((_, sum)) => *sum += count,
            None => hours.push((hour, *count)),
        }
    }
    Ok(Panel {
        class: if is_in { "in" } else { "out" },
        title: title.to_owned(),
        sum,
        wide: draw(&WIDE)?,
        narrow: draw(&NARROW)?,
        hours,
    })
}

fn clock(zone: &TimeZone, minute: i64) -> String {
    let at = Timestamp::from_second(minute * 60).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// Colours that the style sheet replaces by its own: it knows whether the window is light or dark.
const BAR: RGBColor = RGBColor(1, 2, 3);
const LINE: RGBColor = RGBColor(4, 5, 6);
const INK: RGBColor = RGBColor(7, 8, 9);

fn svg(cut: &Cut, zone: &TimeZone, begin: i64, counts: &[i64], told: &str) -> Result<String> {
    let mut drawn = String::new();
    draw(&mut drawn, cut, zone, begin, counts).map_err(|error| Failed::Broken(format!("chart: {error}")))?;
    let (width, height) = cut.size;
    // What the drawing says stands in its name, for those who do not see it; its size follows the window.
    let plain = format!("<svg width=\"{width}\" height=\"{height}\"");
    let told = told.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    Ok(drawn.replacen(&plain, &format!("<svg class=\"chart {}\" role=\"img\" aria-label=\"{told}\"", cut.class), 1))
}

fn draw(
    to: &mut String,
    cut: &Cut,
    zone: &TimeZone,
    begin: i64,
    counts: &[i64],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(to, cut.size).into_drawing_area();
    let most = counts.iter().max().copied().unwrap_or(0).max(4);
    let mut chart = ChartBuilder::on(&root)
        .margin_top(10)
        .margin_right(8)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d(0..MINUTES_A_DAY, 0..most + most / 12)?;
    let text = ("sans-serif", 12).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(4)
        .y_label_style(text.clone())
        .y_label_formatter(&|count| short(*count))
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .draw()?;
    let bars = counts.iter().zip(0..).filter(|(count, _)| **count > 0).map(|(count, at)| {
        let from = at * cut.stretch_minutes;
        // A gap of a tenth keeps neighbours apart.
        let gap = cut.stretch_minutes / 10;
        Rectangle::new([(from + gap, 0), (from + cut.stretch_minutes - gap, *count)], BAR.filled())
    });
    chart.draw_series(bars)?;
    let centered = text.pos(Pos::new(HPos::Center, VPos::Top));
    for minute in (0..MINUTES_A_DAY).filter(|minute| is_labelled(zone, begin + minute, cut.label_hours)) {
        let (x, y) = chart.backend_coord(&(minute, 0));
        root.draw(&Text::new(clock(zone, begin + minute), (x, y + 8), centered.clone()))?;
    }
    root.present()?;
    Ok(())
}

/// Full hours of the reader's clock, every third or sixth.
fn is_labelled(zone: &TimeZone, minute: i64, hours: i64) -> bool {
    if minute % 10 != 0 {
        return false;
    }
    let at = Timestamp::from_second(minute * 60).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
    at.minute() == 0 && i64::from(at.hour()) % hours == 0
}

/// 1,200 as 1.2k: the scale has room for five signs.
fn short(count: i64) -> String {
    let tenth = |count: i64, of: i64, sign: &str| {
        let (whole, rest) = (count / of, count % of * 10 / of);
        if rest == 0 { format!("{whole}{sign}") } else { format!("{whole}.{rest}{sign}") }
    };
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => tenth(count, 1_000, "k"),
        _ => tenth(count, 1_000_000, "M"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_what_they_count() {
        let mut counts = vec![0; 144];
        (counts[10], counts[20], counts[30]) = (100, 50, 1);
        let panel = panel_of(Language::En, &TimeZone::UTC, 0, true, "Records in", &counts).unwrap();
        assert_eq!(panel.sum, 151);
        let heights: Vec<f64> = panel
            .wide
            .split("<rect ")
            .skip(1)
            .filter_map(|rect| rect.split("height=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(heights.len(), 3, "nothing is drawn where nothing came: {}", panel.wide);
        let ratio = |a: f64, b: f64| (a / b * 100.0).round() / 100.0;
        assert!((ratio(heights[0], heights[1]) - 2.0).abs() < 0.06, "{heights:?}");
        assert!(heights[2] >= 1.0, "{heights:?}");
        for label in [">00:00<", ">21:00<", ">03:00<"] {
            assert!(panel.wide.replace('\n', "").contains(label), "{label} is missing: {}", panel.wide);
        }
        assert!(panel.wide.starts_with("<svg class=\"chart wide\" role=\"img\" aria-label=\"Records in"));
        assert_eq!(panel.hours, [("01:00".to_owned(), 100), ("03:00".to_owned(), 50), ("05:00".to_owned(), 1)]);
    }

    #[test]
    fn large_numbers_fit_the_scale() {
        assert_eq!([0, 999, 1_200, 45_000, 2_500_000].map(short), ["0", "999", "1.2k", "45k", "2.5M"]);
    }
}
