//! The curve of the last hour, drawn as a small SVG: a bar for each minute.

use std::fmt::Write;

use maud::{Markup, html};

use super::parts::{self, counted, number};
use crate::message_store::sqlite::ledger::{CURVE_MINUTES, Curve, Minute};

/// A bar and the gap beside it.
const STEP: usize = 3;
const WIDTH: usize = CURVE_MINUTES * STEP;
const HEIGHT: f64 = 28.0;
/// A minute in which one of very many happened is still seen.
const BAR_MIN: f64 = 2.0;

/// An hour of an integration: what went through in one colour, what died in front of it in another. What it shows is also said.
pub fn draw(curve: Option<&Curve>) -> Markup {
    let Some(curve) = curve else {
        return parts::none();
    };
    let most = most(curve);
    let told = told(curve, most);
    html! {
        svg.curve viewBox=(format_args!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(told) {
            title { (told) }
            path.floor d=(format_args!("M0 {}H{WIDTH}", HEIGHT - 0.5)) {}
            path.went d=(bars(curve, most, ended)) {}
            path.died d=(bars(curve, most, |minute| minute.dead_lettered)) {}
        }
    }
}

/// [`draw`], large, with what it shows in words.
pub fn figure(curve: Option<&Curve>) -> Markup {
    html! {
        figure.hour {
            figcaption {
                @match curve {
                    Some(curve) => (told(curve, most(curve))),
                    None => "Last hour: nothing was delivered, skipped or died",
                }
            }
            @if curve.is_some() {
                (draw(curve))
                p.axis aria-hidden="true" { span { "1 h ago" } span { "now" } }
            }
        }
    }
}

fn most(curve: &Curve) -> u64 {
    curve.minutes.iter().map(|minute| ended(minute).max(minute.dead_lettered)).max().unwrap_or(0)
}

fn ended(minute: &Minute) -> u64 {
    minute.delivered + minute.skipped
}

fn bars(curve: &Curve, most: u64, of: impl Fn(&Minute) -> u64) -> String {
    let mut path = String::new();
    for (index, minute) in curve.minutes.iter().enumerate() {
        let figure = of(minute);
        if figure > 0 {
            let height = (HEIGHT * figure as f64 / most as f64).max(BAR_MIN);
            let _ = write!(path, "M{} {HEIGHT}V{:.1}", index * STEP + STEP / 2, HEIGHT - height);
        }
    }
    path
}

fn told(curve: &Curve, most: u64) -> String {
    let sum = |of: fn(&Minute) -> u64| curve.minutes.iter().map(of).sum::<u64>();
    let (delivered, skipped, died) = (sum(|minute| minute.delivered), sum(|minute| minute.skipped), sum(|minute| minute.dead_lettered));
    format!(
        "Last hour: {} delivered, {} skipped, {}; at most {} a minute",
        number(delivered),
        number(skipped),
        counted(died, "dead letter", "dead letters"),
        number(most)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn draws_a_bar_for_each_minute_in_which_something_ended() {
        let mut curve = Curve::flat(Timestamp(0));
        curve.minutes[0].delivered = 1_000;
        curve.minutes[59] = Minute { delivered: 0, skipped: 1, dead_lettered: 500 };
        let drawn = draw(Some(&curve)).into_string();
        assert!(drawn.contains("M1 28V0.0M178 28V26.0"), "{drawn}");
        assert!(drawn.contains("M178 28V14.0"), "{drawn}");
        assert!(drawn.contains("1\u{202f}000 delivered, 1 skipped, 500 dead letters; at most 1\u{202f}000 a minute"), "{drawn}");
    }

    #[test]
    fn draws_nothing_where_nothing_ended() {
        assert!(!draw(None).into_string().contains("svg"));
        assert!(!draw(Some(&Curve::flat(Timestamp(0)))).into_string().contains("NaN"));
    }
}
