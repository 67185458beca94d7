//! Figures over time, drawn by the server: a line, its range, and every figure as a tooltip. The table beside it says the same.

use maud::{Markup, html};

/// In the units of the drawing.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

pub struct Graph<'a> {
    pub title: &'a str,
    /// The earliest first; `None`: not known there.
    pub figures: &'a [Option<f64>],
    /// What each is a figure of, for people.
    pub labels: &'a [String],
    pub words: fn(f64) -> String,
}

impl Graph<'_> {
    fn at(&self, index: usize, figure: f64, low: f64, high: f64) -> (f64, f64) {
        let x = if self.figures.len() < 2 { WIDTH / 2.0 } else { WIDTH * index as f64 / (self.figures.len() - 1) as f64 };
        let share = if high > low { (figure - low) / (high - low) } else { 0.5 };
        (x, HEIGHT - share * HEIGHT)
    }

    pub fn draw(&self) -> Markup {
        let known: Vec<f64> = self.figures.iter().flatten().copied().collect();
        let low = known.iter().copied().fold(f64::INFINITY, f64::min);
        let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let places: Vec<(usize, f64, f64, f64)> = self
            .figures
            .iter()
            .enumerate()
            .filter_map(|(index, figure)| figure.map(|figure| (index, figure)))
            .map(|(index, figure)| {
                let (x, y) = self.at(index, figure, low, high);
                (index, figure, x, y)
            })
            .collect();
        let line = places.iter().map(|(_, _, x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
        html! {
            figure.graph {
                figcaption {
                    b { (self.title) }
                    @if let Some(last) = known.last() { " " span { ((self.words)(*last)) } }
                    @if known.len() > 1 && high > low { span.quiet { " between " ((self.words)(low)) " and " ((self.words)(high)) } }
                }
                @if known.len() < 2 { p.quiet { "A line needs two points." } }
                @else {
                    svg viewBox={ "-6 -6 " (WIDTH + 12.0) " " (HEIGHT + 12.0) } role="img" aria-label={ (self.title) ", from " ((self.words)(known[0])) " to " ((self.words)(known[known.len() - 1])) } {
                        polyline points=(line) {}
                        @for (index, figure, x, y) in &places {
                            circle cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="4" {
                                title { (self.labels.get(*index).map_or("", String::as_str)) ": " ((self.words)(*figure)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_from_the_lowest_to_the_highest() {
        let labels = ["a".to_owned(), "b".to_owned(), "<c>".to_owned()];
        let graph = Graph { title: "Errors", figures: &[Some(1.0), None, Some(3.0)], labels: &labels, words: |n| n.to_string() };
        let html = graph.draw().into_string();
        assert!(html.contains("points=\"0.0,120.0 600.0,0.0\"") && html.contains("&lt;c&gt;: 3"), "{html}");
        assert!(html.contains("between 1 and 3"), "{html}");
        let one = Graph { figures: &[Some(1.0)], ..graph };
        assert!(one.draw().into_string().contains("needs two points"));
    }
}
