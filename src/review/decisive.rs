//! Which lines of a failed build's log decide. The last lines are seldom those: after the compiler's error come what other jobs still
//! print, `make`'s way out of each directory, and Nix's own words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plain;

/// Lines at the end of a log among which the one that decides is looked for.
pub const SEARCHED_LINES: u64 = 5_000;
/// Lines shown before and after the one that decides.
const BEFORE: usize = 4;
const AFTER: usize = 8;
/// Errors so near to each other tell of one fault; the first of them is where to begin to read.
const NEAR: usize = 40;
/// A line longer than that (minified code, a linker's command) is cut, and marked so; the log's page has all of it.
const LONGEST: usize = 2_000;

/// Some lines of one attempt's log, as they were written, escape sequences included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// The attempt, as its log's address has it.
    pub attempt: String,
    /// Of the first line, from 1.
    pub first: u64,
    /// The line that decides, from 1.
    pub at: u64,
    /// Lines of the whole log.
    pub total: u64,
    pub lines: Vec<String>,
}

impl Excerpt {
    /// `lines` are the end of a log of `total` lines, or all of it. `None`: nothing in them looks like an error.
    pub fn of(attempt: String, lines: &[&str], total: u64) -> Option<Self> {
        let at = choose(lines)?;
        let from = at.saturating_sub(BEFORE);
        let shown = &lines[from..lines.len().min(at + AFTER + 1)];
        let before = total.saturating_sub(lines.len() as u64);
        let number = |index: usize| before + index as u64 + 1;
        Some(Self { attempt, first: number(from), at: number(at), total, lines: shown.iter().map(|line| cut(line)).collect() })
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// What a line says, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    /// That something else failed: `make: *** [all] Error 2`.
    Follows,
    /// That something is wrong, in general words.
    Error,
    /// What is wrong, and mostly where.
    Exactly,
}

/// The line to begin to read at, as an index; `None`: the end of the log is as good a place as any.
pub fn choose(lines: &[&str]) -> Option<usize> {
    let said: Vec<(usize, Says)> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((at, says(plain::line(line).as_str())?))).collect();
    let Some(last) = said.iter().rposition(|(_, says)| *says != Says::Follows) else {
        // of consequences alone, the innermost
        return Some(said.first()?.0);
    };
    let mut cluster = last;
    for earlier in (0..last).rev() {
        if said[cluster].0 - said[earlier].0 > NEAR {
            break;
        }
        if said[earlier].1 != Says::Follows {
            cluster = earlier;
        }
    }
    let errors = said[cluster..=last].iter().filter(|(_, says)| *says != Says::Follows);
    let strongest = errors.clone().map(|(_, says)| *says).max()?;
    errors.filter(|(_, says)| *says == strongest).map(|(at, _)| *at).next()
}

/// `line` is without escape sequences.
fn says(line: &str) -> Option<Says> {
    // a minified file or a linker's command holds every word
    let line: String = line.chars().take(400).collect();
    let lower = line.to_ascii_lowercase();
    let lower = lower.trim_start();
    if is_harmless(lower) {
        return None;
    }
    let follows = ["make: ***", "ninja: build stopped", "error: builder for", "error: recipe ", "for full logs, run", "note: "];
    if follows.iter().any(|start| lower.starts_with(start))
        || lower.starts_with("make[") && lower.contains("]: ***")
        || lower.starts_with("error: could not compile")
        || lower.starts_with("error: aborting due to")
        || lower.starts_with("collect2: error: ld returned")
        || lower.contains("failed with exit code")
    {
        return Some(Says::Follows);
    }
    if is_exact(&line, lower) {
        return Some(Says::Exactly);
    }
    is_error(&line, lower).then_some(Says::Error)
}

/// Lines with the word that report no fault.
fn is_harmless(lower: &str) -> bool {
    const STARTS: [&str; 7] = ["checking ", "ok ", "pass: ", "pass ", "-- looking for", "-- performing test", "copying "];
    const PARTS: [&str; 7] = [" 0 error", " 0 failed", "no errors", "0 failures", "errors: 0", "failures=0", "(ignored)"];
    STARTS.iter().any(|start| lower.starts_with(start))
        || PARTS.iter().any(|part| lower.contains(part)) && !lower.contains("error:")
        || lower.ends_with("... ok")
        || lower.ends_with(" ok")
        || lower.starts_with("0 error")
}

/// Of a compiler, a linker, a test or an interpreter: what, and mostly where.
fn is_exact(line: &str, lower: &str) -> bool {
    const PARTS: [&str; 17] = [
        ": fatal error:",
        "undefined reference to",
        "undefined symbol",
        "multiple definition of",
        "cannot find -l",
        "panicked at",
        "cmake error",
        "configure: error",
        "hash mismatch in",
        "not in scope:",
        "): error ", // MSBuild, TypeScript
        "assertion failed",
        "assertion `",
        "segmentation fault",
        "no rule to make target",
        "addresssanitizer",
        ": command not found",
    ];
    const STARTS: [&str; 6] = ["error[", "fail: ", "failed tests", "failed (", "not ok ", "--- fail:"];
    let positioned = lower.find(": error:").is_some_and(|at| has_line_number(&lower[..at]));
    positioned
        || PARTS.iter().any(|part| lower.contains(part))
        || STARTS.iter().any(|start| lower.starts_with(start)) && !lower.starts_with("fail: 0")
        || lower.starts_with("failed ") && line.starts_with("FAILED ")
        || lower.starts_with("e   ") && line.starts_with("E   ")
        || is_exception(line)
}

/// `foo.c:12:5`, `Main.hs:3:1`, `src/x.ts(3,1)`
fn has_line_number(place: &str) -> bool {
    place.rsplit([':', '(', ',']).next().is_some_and(|end| {
        let end = end.trim_end_matches(')');
        !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// `ModuleNotFoundError: No module named 'x'`, `java.lang.NullPointerException: …`
fn is_exception(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or("");
    let word = name.rsplit('.').next().unwrap_or("");
    (word.ends_with("Error") || word.ends_with("Exception"))
        && word.len() > "Error".len()
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
}

fn is_error(line: &str, lower: &str) -> bool {
    let word = |word: &str| {
        lower.match_indices(word).any(|(at, _)| {
            let free = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '/' | '.'));
            free(lower[..at].chars().next_back()) && free(lower[at + word.len()..].chars().next())
        })
    };
    (word("error") || word("fatal"))
        && (lower.contains("error:") || lower.contains("fatal:") || line.contains("ERROR") || lower.starts_with("error"))
        || word("failed") && (line.contains("FAILED") || lower.starts_with("failed") || lower.contains("test"))
        || line.contains("BUILD FAILED")
        || lower.contains("no such file or directory")
        || lower.contains("permission denied")
        || lower.contains("cannot find module")
        || lower.contains("npm err!")
        || lower.contains("*** error")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(log: &str) -> Option<&str> {
        let lines: Vec<&str> = log.lines().collect();
        choose(&lines).map(|at| lines[at].trim())
    }

    #[test]
    fn the_compilers_first_error_decides_and_not_what_make_says_of_it() {
        let log = "unpacking\ncc -Werror -c error.c\nchecking for error_at_line... yes\nfoo.c: In function 'main':\n\
            \u{1b}[1mfoo.c:12:5: \u{1b}[31merror:\u{1b}[0m implicit declaration of 'bar'\nfoo.c:13:5: error: 'x' undeclared\n\
            cc -c other.c\nmake[1]: *** [Makefile:7: foo.o] Error 1\nmake: *** [all] Error 2\n";
        assert!(chosen(log).unwrap().contains("implicit declaration"));
    }

    #[test]
    fn each_tool_has_its_own_way_to_say_it() {
        for (log, decisive) in [
            (
                "ld: a.o: in function `main':\na.c:(.text+0x5): undefined reference to `frob'\ncollect2: error: ld returned 1 exit status",
                "a.c:(.text+0x5): undefined reference to `frob'",
            ),
            (
                "   Compiling x v1\nerror[E0425]: cannot find value `y`\n --> src/lib.rs:3:5\nerror: aborting due to 1 previous error\nerror: could not compile `x`",
                "error[E0425]: cannot find value `y`",
            ),
            (
                "Traceback (most recent call last):\n  File \"setup.py\", line 1\nModuleNotFoundError: No module named 'yaml'\n",
                "ModuleNotFoundError: No module named 'yaml'",
            ),
            (
                "running\n=== FAILURES ===\n    assert 1 == 2\nE   assert 1 == 2\nFAILED tests/test_a.py::test_b\n=== 1 failed in 0.1s ===",
                "E   assert 1 == 2",
            ),
            ("PASS: a\nFAIL: b\nPASS: c\n# FAIL:  1\nmake: *** [check] Error 1", "FAIL: b"),
            ("ok 1 - error: is handled\nnot ok 2 - frob", "not ok 2 - frob"),
            (
                "thread 'main' panicked at src/main.rs:2:5:\nboom\nnote: run with RUST_BACKTRACE=1",
                "thread 'main' panicked at src/main.rs:2:5:",
            ),
            (
                "CMake Error at CMakeLists.txt:3 (find_package):\n  Could not find Foo\n-- Configuring incomplete, errors occurred!",
                "CMake Error at CMakeLists.txt:3 (find_package):",
            ),
            ("configure: error: no acceptable C compiler\n", "configure: error: no acceptable C compiler"),
            (
                "[1/2] cc\nFAILED: a.o\na.c:1:10: fatal error: foo.h: No such file or directory\nninja: build stopped: subcommand failed.",
                "a.c:1:10: fatal error: foo.h: No such file or directory",
            ),
            ("/build/x.sh: line 3: frob: command not found\n", "/build/x.sh: line 3: frob: command not found"),
            (
                "error: hash mismatch in fixed-output derivation '/nix/store/x.drv':\n specified: a\n got: b",
                "error: hash mismatch in fixed-output derivation '/nix/store/x.drv':",
            ),
            (
                "src/a.ts(3,1): error TS2304: Cannot find name 'x'.\nnpm ERR! code 2",
                "src/a.ts(3,1): error TS2304: Cannot find name 'x'.",
            ),
            ("Main.hs:3:1: error: [GHC-88464]\n    Variable not in scope: x", "Main.hs:3:1: error: [GHC-88464]"),
            ("reached\nmake[2]: *** [x] Error 1\nmake: *** [all] Error 2", "make[2]: *** [x] Error 1"),
        ] {
            assert_eq!(chosen(log), Some(decisive), "{log}");
        }
    }

    #[test]
    fn where_nothing_looks_like_an_error_the_end_is_as_good() {
        for log in [
            "",
            "the tests fall silent",
            "compiling error.c\n0 errors, 0 warnings\n12 passed, 0 failed",
            "test error_handling ... ok\n-Werror=format",
        ] {
            assert_eq!(chosen(log), None, "{log}");
        }
    }

    #[test]
    fn an_error_long_before_is_not_what_ended_the_build() {
        let quiet = "cc\n".repeat(NEAR + 1);
        let log =
            format!("a.c:1:1: error: in a trial of configure's\n{quiet}b.c:9:9: error: this one\nmake: *** [b.o] Error 1\n");
        assert_eq!(chosen(&log), Some("b.c:9:9: error: this one"));
    }

    #[test]
    fn an_excerpt_knows_its_line_numbers() {
        let mut lines = vec!["cc"; 100];
        lines[60] = "b.c:9:9: error: this one";
        let excerpt = Excerpt::of("now".into(), &lines, 1_100).unwrap();
        assert_eq!((excerpt.first, excerpt.at, excerpt.total), (1_057, 1_061, 1_100));
        assert_eq!(excerpt.lines.len(), BEFORE + 1 + AFTER);
        assert_eq!(excerpt.lines[(excerpt.at - excerpt.first) as usize], "b.c:9:9: error: this one");
        let long = format!("error: {}", "é".repeat(5_000));
        let excerpt = Excerpt::of("now".into(), &[&long], 1).unwrap();
        assert!(excerpt.lines[0].ends_with('…') && excerpt.lines[0].chars().count() == LONGEST + 1);
    }

    proptest! {
        #[test]
        fn whatever_a_log_says_the_excerpt_holds_its_line(log in "([ :a-z*\\[\\]0-9]{0,8}(error|FAILED|make: \\*\\*\\*|é|\u{1b}\\[31m)?[: \n]){0,40}") {
            let lines: Vec<&str> = log.lines().collect();
            if let Some(excerpt) = Excerpt::of("now".into(), &lines, lines.len() as u64) {
                prop_assert!(excerpt.first <= excerpt.at && excerpt.at < excerpt.first + excerpt.lines.len() as u64);
                prop_assert_eq!(&excerpt.lines[0], lines[excerpt.first as usize - 1]);
            }
        }
    }
}
