//! What Nix prints about an error, made into a message and a position.

use crate::domain::{EvalError, Position};

/// At most this many bytes of a message are kept: a hostile `throw` may hold megabytes.
const MESSAGE_BYTES: usize = 4000;

/// `printed` is all that the process wrote while it evaluated the attribute; `tree` is where the tree stands for the process.
pub fn parse(printed: &str, tree: &str) -> EvalError {
    let lines: Vec<&str> = printed.lines().collect();
    // Nix ends its stack trace by the error proper, seven spaces in; without a trace it stands on the first line
    let proper = lines
        .iter()
        .rposition(|line| line.starts_with("       error: "))
        .filter(|_| lines.iter().any(|l| l.trim_end() == "error:"));
    let first = lines.iter().position(|line| line.starts_with("error: "));
    let Some(start) = proper.map(|last| first_of_block(&lines, last)).or(first) else {
        let text = lines.iter().rev().find(|line| !line.trim().is_empty()).map_or("no message", |line| line.trim());
        return EvalError { message: shorten(text, tree), position: None };
    };
    let mut message: Vec<&str> = Vec::new();
    let mut position = None;
    for line in &lines[start..] {
        let line = line.strip_prefix("       ").unwrap_or(line);
        if let Some(found) = line.strip_prefix("at ").and_then(|at| parse_position(at, tree)) {
            position = position.or(Some(found));
        } else if position.is_some() && is_excerpt(line) {
            continue;
        } else {
            message.push(line);
        }
    }
    let text = message.join("\n");
    let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
    // where a recursion closes depends on where it was entered, and so on what was evaluated before
    let is_steady = |position: &Position| !position.file.ends_with("/driver.nix") && !text.starts_with("infinite recursion");
    EvalError { message: shorten(&without_state(text), tree), position: position.filter(is_steady) }
}

/// A thrown text may itself hold a line that begins with `error:`; the error proper begins after the last frame of the trace.
fn first_of_block(lines: &[&str], last: usize) -> usize {
    let frames = lines[..last].iter().rposition(|line| {
        line.starts_with("       … ")
            || line.trim() == "(stack trace truncated; use '--show-trace' to show the full, detailed trace)"
    });
    let from = frames.map_or(0, |frame| frame + 1);
    lines[from..=last].iter().position(|line| line.starts_with("       error: ")).map_or(last, |offset| from + offset)
}

/// A line of the source that Nix shows below a position: `   12| code` or `     |   ^`.
fn is_excerpt(line: &str) -> bool {
    line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('|')
}

/// `/path/file.nix:12:5:`
fn parse_position(at: &str, tree: &str) -> Option<Position> {
    let mut parts = at.trim_end().strip_suffix(':')?.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    let file = parts.next()?;
    Some(Position { file: file.strip_prefix(tree).map_or(file, |rest| rest.trim_start_matches('/')).to_owned(), line, column })
}

/// Nix shows sets and lists in its messages as far as they happen to be evaluated (`{ a = «thunk»; }`), which depends on what the
/// process evaluated before: what stands in them is left out.
fn without_state(text: &str) -> String {
    let shows_values =
        ["cannot coerce a", "cannot compare ", "attempt to call something which is not a function but a", "list of size '"]
            .iter()
            .any(|start| text.starts_with(start))
            || (text.starts_with("expected a") && text.contains(" but found a"))
            || text.starts_with("attribute names of attribute set '")
            || text.contains(" is not equal to a");
    // how much a directory takes on the disk is not of the tree
    if text.starts_with("read of ") && text.ends_with(" bytes: Is a directory") {
        return "a directory is read as if it were a file".to_owned();
    }
    if !shows_values {
        return text.to_owned();
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, open, close)) = [('{', '}'), ('[', ']')]
        .into_iter()
        .filter_map(|(open, close)| Some((rest.find(&format!("{open} "))?, open, close)))
        .min()
    {
        kept.push_str(&rest[..before]);
        kept.push_str(&format!("{open} … {close}"));
        rest = &rest[before + length_of_value(&rest[before..])..];
    }
    kept + rest
}

/// How many bytes a printed set or list takes, up to its closing bracket or the end of the text.
fn length_of_value(text: &str) -> usize {
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Paths of the tree relative to its root, and no longer than [`MESSAGE_BYTES`].
fn shorten(text: &str, tree: &str) -> String {
    let mut text = text.replace(&format!("{tree}/"), "").replace(tree, ".");
    if text.len() > MESSAGE_BYTES {
        let cut = (0..=MESSAGE_BYTES).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let left_out = text.len() - cut;
        text.truncate(cut);
        text.push_str(&format!("\n[{left_out} more bytes]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_proper_is_found_below_the_trace() {
        let printed = "error:\n       … while calling the 'foldl'' builtin\n         at /driver.nix:7:72:\n            6| x\n             | ^\n\n       (stack trace truncated; use '--show-trace' to show the full, detailed trace)\n\n       error: attribute 'x' missing\n       at /t/source/pkgs/bad.nix:2:88:\n            1| let\n            2|  miss = {}.x;\n             |         ^\n       Did you mean y?\n";
        let error = parse(printed, "/t/source");
        assert_eq!(error.message, "attribute 'x' missing\nDid you mean y?");
        assert_eq!(error.position, Some(Position { file: "pkgs/bad.nix".into(), line: 2, column: 88 }));
    }

    #[test]
    fn a_thrown_text_keeps_its_lines() {
        let printed =
            "error:\n       … while calling the 'throw' builtin\n\n       error: no\n       way\n       error: still mine\n";
        assert_eq!(parse(printed, "/t").message, "no\nway\nerror: still mine");
    }

    #[test]
    fn an_error_without_a_trace_and_paths_of_the_tree() {
        let error = parse("error: path '/t/source/nofile.nix' does not exist\n", "/t/source");
        assert_eq!(error.message, "path 'nofile.nix' does not exist");
        assert_eq!(error.position, None);
    }

    #[test]
    fn what_a_message_says_of_a_value_does_not_depend_on_what_was_evaluated_before() {
        let cases = [
            (
                "cannot coerce a set to a string: { a = «thunk»; b = { type = \"derivation\"; args = [ \"}\" \"\\\"{ \" ]; «9 attributes elided» }; }",
                "cannot coerce a set to a string: { … }",
            ),
            (
                "cannot compare a list with an integer; values are [ «thunk» «thunk» ] and 1",
                "cannot compare a list with an integer; values are [ … ] and 1",
            ),
            (
                "a set of value '{ a = «thunk»; }' is not equal to a list of value '[ «thunk» { a = 1; } ]'",
                "a set of value '{ … }' is not equal to a list of value '[ … ]'",
            ),
            ("expected a set but found a list: [ 1 2", "expected a set but found a list: [ … ]"),
            (
                "attempt to call something which is not a function but a string: \"{ a }\"",
                "attempt to call something which is not a function but a string: \"{ … }\"",
            ),
            ("no { such } thing", "no { such } thing"),
            ("read of 4096 bytes: Is a directory", "a directory is read as if it were a file"),
        ];
        for (printed, told) in cases {
            assert_eq!(parse(&format!("error: {printed}\n"), "/t").message, told);
        }
    }

    #[test]
    fn an_infinite_recursion_has_no_position() {
        let error = parse("error: infinite recursion encountered\n       at /t/a.nix:3:5:\n            2| x\n", "/t");
        assert_eq!(error, EvalError { message: "infinite recursion encountered".into(), position: None });
    }

    #[test]
    fn a_long_text_says_what_is_left_out() {
        let error = parse(&format!("error: {}", "é".repeat(5000)), "/t");
        assert!(error.message.ends_with("[6000 more bytes]"), "{}", &error.message[3990..]);
    }
}
