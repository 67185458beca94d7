//! Room for the sections of a page of limited length. A long section must not push out the ones after it, and whatever is left out
//! is counted where it is left out.

use crate::review::words::thousands;

/// How a section is folded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Open,
    Closed,
}

pub struct Section {
    /// Our own words, no markup: it stands in HTML.
    pub title: String,
    pub fold: Fold,
    /// Always shown.
    pub lead: String,
    pub rows: Vec<Row>,
    /// Between two rows.
    pub separator: &'static str,
}

pub struct Row {
    pub brief: String,
    /// With what is shown where there is room for it.
    pub full: Option<String>,
}

impl From<String> for Row {
    fn from(brief: String) -> Self {
        Self { brief, full: None }
    }
}

impl Row {
    fn full(&self) -> &str {
        self.full.as_deref().unwrap_or(&self.brief)
    }
}

impl Section {
    /// Length of all rows in full with their separators.
    fn need(&self) -> usize {
        self.rows.iter().map(|row| row.full().len() + self.separator.len()).sum()
    }

    /// The first rows in full, then rows in brief. Where even those are too many, half of the room goes to the first in full.
    fn chosen(&self, room: usize) -> Vec<&str> {
        let separator = self.separator.len();
        let brief: usize = self.rows.iter().map(|row| row.brief.len() + separator).sum();
        let mut room_for_details = room - brief.min(room / 2);
        let mut left = room;
        let mut chosen = Vec::new();
        for row in &self.rows {
            let surplus = row.full().len().saturating_sub(row.brief.len());
            let text = if surplus <= room_for_details && row.full().len() + separator <= left {
                room_for_details -= surplus;
                row.full()
            } else {
                room_for_details = 0; // those in brief follow those in full
                &row.brief
            };
            if text.len() + separator > left {
                break;
            }
            left -= text.len() + separator;
            chosen.push(text);
        }
        chosen
    }

    fn render(&self, room: usize) -> String {
        let chosen = self.chosen(room);
        let mut rows = chosen.join(self.separator);
        if chosen.len() < self.rows.len() {
            rows.push_str(&left_out(self.rows.len() - chosen.len()));
        }
        let parts: Vec<&str> = [self.lead.trim(), rows.trim()].into_iter().filter(|part| !part.is_empty()).collect();
        let body = parts.join("\n\n");
        match self.fold {
            Fold::Open => format!("### {}\n\n{body}\n\n", self.title),
            Fold::Closed => format!("<details><summary>{}</summary>\n\n{body}\n\n</details>\n\n", self.title),
        }
    }
}

fn left_out(number: usize) -> String {
    format!("\n\n… and {} more, left out here for length; the JSON report has all.", thousands(number as u64))
}

/// All sections in at most `room` bytes, provided that their titles and leads fit. What a short section does not need is given
/// to the longer ones.
pub fn render(sections: &[Section], room: usize) -> String {
    let frames: usize = sections.iter().map(|section| section.render(0).len() + left_out(usize::MAX).len()).sum();
    let mut left = room.saturating_sub(frames);
    let mut order: Vec<usize> = (0..sections.len()).collect();
    order.sort_by_key(|i| sections[*i].need());
    let mut rooms = vec![0; sections.len()];
    for (done, i) in order.iter().enumerate() {
        let share = left / (sections.len() - done);
        rooms[*i] = sections[*i].need().min(share);
        left -= rooms[*i];
    }
    sections.iter().zip(rooms).map(|(section, room)| section.render(room)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(rows: Vec<String>, fold: Fold) -> Section {
        let rows = rows.into_iter().map(Row::from).collect();
        Section { title: "Some".into(), fold, lead: "lead".into(), rows, separator: "\n" }
    }

    #[test]
    fn a_long_section_leaves_room_for_a_short_one() {
        let long = (0..1000).map(|i| format!("row {i}")).collect();
        let text = render(&[section(long, Fold::Open), section(vec!["last".into()], Fold::Closed)], 1000);
        assert!(text.len() <= 1000);
        assert!(text.contains("row 0") && text.contains("last") && text.contains("more, left out here for length"), "{text}");
    }

    #[test]
    fn details_are_given_up_before_rows() {
        let row = |i| Row { brief: format!("row {i}"), full: Some(format!("row {i} {}", "detail ".repeat(20))) };
        let text = render(&[Section { rows: (0..20).map(row).collect(), ..section(vec![], Fold::Open) }], 900);
        assert!(text.contains("row 0 detail") && text.contains("row 19") && !text.contains("left out"), "{text}");
    }

    proptest! {
        #[test]
        fn it_fits_and_every_row_is_shown_or_counted(
            lengths in proptest::collection::vec(proptest::collection::vec(1usize..90, 0..40), 1..6),
        ) {
            let sections: Vec<Section> =
                lengths.iter().map(|rows| section(rows.iter().map(|length| "§".repeat(*length)).collect(), Fold::Closed)).collect();
            let text = render(&sections, 2000);
            prop_assert!(text.len() <= 2000);
            let shown = text.lines().filter(|line| line.contains('§')).count();
            let counted: usize = text.lines().filter_map(|line| line.strip_prefix("… and ")?.split(' ').next()?.parse::<usize>().ok()).sum();
            prop_assert_eq!(shown + counted, lengths.iter().map(Vec::len).sum::<usize>());
        }
    }
}
