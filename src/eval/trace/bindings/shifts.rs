//! Where text was inserted, and the way back from positions in the result.

use std::collections::BTreeMap;

/// Lines and columns count from 1, columns in bytes, as Nix counts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shifts {
    /// For each line, from left to right: the column of the original before which text was inserted, and how much of it.
    lines: BTreeMap<u32, Vec<(u32, u32)>>,
}

impl Shifts {
    /// The column of the original. What lies in inserted text is where that was inserted.
    pub fn original(&self, line: u32, column: u32) -> u32 {
        let mut shift = 0;
        for (before, length) in self.lines.get(&line).into_iter().flatten() {
            if column < before + shift {
                break;
            }
            if column < before + shift + length {
                return *before;
            }
            shift += length;
        }
        column - shift
    }
}

/// `insertions`: byte offsets, ascending, and what to insert there, without newlines.
pub(super) fn insert(text: &str, insertions: impl Iterator<Item = (usize, String)>) -> (String, Shifts) {
    let mut result = String::with_capacity(text.len() * 2);
    let mut shifts = Shifts::default();
    let (mut done, mut line, mut line_start) = (0, 1, 0);
    for (offset, inserted) in insertions {
        let between = &text[done..offset];
        line += between.bytes().filter(|byte| *byte == b'\n').count() as u32;
        line_start = between.rfind('\n').map_or(line_start, |newline| done + newline + 1);
        result.push_str(between);
        result.push_str(&inserted);
        shifts.lines.entry(line).or_default().push(((offset - line_start) as u32 + 1, inserted.len() as u32));
        done = offset;
    }
    result.push_str(&text[done..]);
    (result, shifts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_of_the_original_is_found_again() {
        let text = "one two\nthree\n\nfour five six\n";
        let offsets = [0, 4, 15, 20, 24];
        let (result, shifts) = insert(text, offsets.iter().map(|offset| (*offset, "<inserted>".to_owned())));
        assert_eq!(result.lines().count(), text.lines().count());
        for (number, (was, is)) in text.lines().zip(result.lines()).enumerate() {
            let line = number as u32 + 1;
            for (column, word) in was.split(' ').filter_map(|word| Some((was.find(word)?, word))) {
                let moved = is.find(word).unwrap();
                assert_eq!(shifts.original(line, moved as u32 + 1), column as u32 + 1, "{word}");
                // and from within what was inserted before it
                if is[..moved].ends_with('>') {
                    assert_eq!(shifts.original(line, moved as u32), column as u32 + 1, "{word}");
                }
            }
        }
        assert_eq!(shifts.original(9, 7), 7);
    }
}
