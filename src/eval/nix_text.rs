//! Nix source text from Rust values.

/// A string literal. Interpolation is disarmed; Nix has no literal for NUL, and no attribute name can hold one.
pub fn string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '$' => literal.push_str("\\$"),
            // a line break would end the line that the evaluating process reads
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\0' => {}
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// An absolute path, whatever characters it has.
pub fn path(path: &std::path::Path) -> String {
    format!("(/. + {})", string(&path.to_string_lossy()))
}

/// A list of string literals.
pub fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::from("[");
    for text in texts {
        list.push(' ');
        list.push_str(&string(text));
    }
    list.push_str(" ]");
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_code() {
        assert_eq!(string("a\"${b}\\\nc"), "\"a\\\"\\${b}\\\\\\nc\"");
        assert_eq!(strings(["a", "b c"]), "[ \"a\" \"b c\" ]");
    }
}
