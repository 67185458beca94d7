//! Counts and lists as a person writes them.

use std::fmt::Display;

/// `1 attribute`, `41 attributes`; thousands are set apart: `10,000 rebuilds`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `a`, `a and b`, `a, b and c`, `a, b and 7 others`: at most `most` of them by name.
pub fn listing<T: Display>(names: &[T], most: usize) -> String {
    let most = if names.len() == most + 1 { most + 1 } else { most }; // "and 1 other" is no shorter than its name
    let shown: Vec<String> = names.iter().take(most).map(ToString::to_string).collect();
    let rest = names.len() - shown.len();
    match shown.as_slice() {
        [] => count(rest as u64, "attribute"),
        shown if rest > 0 => format!("{} and {} others", shown.join(", "), thousands(rest as u64)),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists_read_well() {
        assert_eq!(count(1, "rebuild"), "1 rebuild");
        assert_eq!(count(0, "rebuild"), "0 rebuilds");
        assert_eq!(count(1_234_567, "rebuild"), "1,234,567 rebuilds");
        assert_eq!(listing(&["a"], 3), "a");
        assert_eq!(listing(&["a", "b", "c"], 3), "a, b and c");
        assert_eq!(listing(&["a", "b", "c", "d"], 3), "a, b, c and d");
        assert_eq!(listing(&["a", "b", "c", "d", "e"], 3), "a, b, c and 2 others");
    }
}
