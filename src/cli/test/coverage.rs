//! `--coverage`: what of the rules no case came past.

use serde_json::{Value, json};

use crate::{
    cli::output::count,
    core::{Point, Reached},
};

/// The points of a rule, and which of them its cases came past.
pub(super) struct Coverage {
    points: Vec<(Point, bool)>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    pub(super) reached: usize,
    pub(super) all: usize,
}

impl Share {
    /// In percent. What has no points misses none.
    pub(super) fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { self.reached as f64 * 100.0 / self.all as f64 }
    }

    /// In percent with one digit behind the point, never rounded up: only all is 100.
    pub(super) fn words(self) -> String {
        format!("{:.1} %", (self.percent() * 10.0).floor() / 10.0)
    }

    /// True if it is less than asked for.
    pub(super) fn is_below(self, min: f64) -> bool {
        self.percent() < min
    }
}

impl std::iter::Sum for Share {
    fn sum<I: Iterator<Item = Share>>(shares: I) -> Share {
        shares.fold(Share::default(), |sum, share| Share {
            reached: sum.reached + share.reached,
            all: sum.all + share.all,
        })
    }
}

impl Coverage {
    pub(super) fn new(points: Vec<Point>, reached: &Reached) -> Self {
        let points = points.into_iter().map(|point| {
            let is_reached = reached.holds(&point);
            (point, is_reached)
        });
        Coverage { points: points.collect() }
    }

    pub(super) fn share(&self) -> Share {
        let reached = self.points.iter().filter(|(_, is_reached)| *is_reached).count();
        Share { reached, all: self.points.len() }
    }

    fn missed(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(|(_, is_reached)| !is_reached).map(|(point, _)| point)
    }

    /// A line for the rule, and one for each point that no case came past.
    pub(super) fn lines(&self, rule: &str) -> Vec<String> {
        let share = self.share();
        let points = count(share.all, "point");
        let mut lines = vec![format!("{rule}: {} covered, {} of {points}", share.words(), share.reached)];
        lines.extend(self.missed().map(|point| {
            let (line, column) = point.place.line_and_column();
            format!("    {}:{line}:{column}: {}", point.place.source.name, point.words)
        }));
        lines
    }

    pub(super) fn json(&self) -> Value {
        let share = self.share();
        let missed = self.missed().map(|point| {
            let (line, column) = point.place.line_and_column();
            json!({
                "kind": point.kind.name(),
                "file": point.place.source.name,
                "line": line,
                "column": column,
                "words": point.words,
            })
        });
        json!({
            "percent": share.percent(),
            "reached": share.reached,
            "points": share.all,
            "missed": missed.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up() {
        for (reached, all, words) in
            [(0, 0, "100.0 %"), (0, 3, "0.0 %"), (2, 3, "66.6 %"), (9999, 10_000, "99.9 %"), (3, 3, "100.0 %")]
        {
            assert_eq!(Share { reached, all }.words(), words);
        }
        assert!(Share { reached: 9999, all: 10_000 }.is_below(100.0));
        assert!(!Share { reached: 1, all: 2 }.is_below(50.0));
    }
}
