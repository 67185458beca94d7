//! Random edits of a tree: what people do to package sets, and what they should not.

use super::dice::Dice;
use super::package_sets::Writer;
use super::trees::{Entry, STRANGE, Tree};

/// Makes a few edits; what was done, for the reader of a failure.
pub fn edit(dice: &mut Dice, tree: &mut Tree) -> Vec<String> {
    let count = match dice.below(20) {
        0..=11 => 1,
        12..=15 => 2,
        16..=18 => 4,
        _ => 9,
    };
    let mut done = Vec::new();
    for _ in 0..count {
        let before = tree.clone();
        // some edits find nothing to do
        for _ in 0..20 {
            let what = one(dice, tree);
            if *tree != before {
                done.push(what);
                break;
            }
        }
    }
    done
}

/// What `left` and `right` did to `base`, in one tree: by path, `left` where both changed it.
pub fn merge(base: &Tree, left: &Tree, right: &Tree) -> Tree {
    let mut merged = left.clone();
    for path in base.paths().iter().filter(|path| right.get(path).is_none()) {
        if left.get(path) == base.get(path) {
            merged.remove(path);
        }
    }
    for (path, entry) in right.entries().filter(|(path, entry)| base.get(path) != Some(entry)) {
        if left.get(path) == base.get(path) {
            merged.put(path, entry.clone());
        }
    }
    merged
}

const NEW_PLACES: &[&str] = &[
    "data/none.txt",
    "nowhere/none.txt",
    "nowhere/at/all.txt",
    "nowhere",
    "nowhere/at",
    "data/deep/none/x",
    "data/deep/none",
    "src/tree/none",
    "src/tree/none/none",
    "override.nix",
    "pkgs/none",
    "names/four",
    "modules/four.nix",
    "src/flat/three",
    "data/new.txt",
    "lib/none",
    "nowhere/none.nix",
    "pkgs/by/none",
    "links/dir",
    "links/a",
    "names",
    "data",
    "data/deep",
    "src/tree/sub",
    "pkgs/grep",
    "pkgs/tls.nix",
    "lib/dirval",
    "lib/dirval.nix",
    "pkgs/tls.nix/default.nix",
    "modules/scoped.nix",
    "conf/flag.nix",
    "default.nix/default.nix",
    "links",
    "unread",
    "outside.txt",
    "all.nix/default.nix",
    "VERSION",
    "src/flat/module",
];

const TARGETS: &[&str] = &[
    "../data/a.txt",
    "../data/b.txt",
    "a.txt",
    "b.txt",
    ".",
    "..",
    "../src/tree",
    "../src/flat",
    "default.nix",
    "../pkgs/curl",
    "../lib/values.nix",
    "nothing",
    "/snowgate/source/data/a.txt",
    "/etc/hostname",
    "../data/deep",
    "run.sh",
    "data/b.txt",
    "src",
    "../links/a",
    "dir",
    "lib/more.nix",
    "more.nix",
];

fn one(dice: &mut Dice, tree: &mut Tree) -> String {
    let paths = tree.paths();
    let path = dice.one_of(&paths).unwrap_or_else(|| "default.nix".into());
    let files: Vec<String> = paths.iter().filter(|path| tree.text(path).is_some()).cloned().collect();
    let sources: Vec<String> = files.iter().filter(|path| path.ends_with(".nix")).cloned().collect();
    let file = dice.one_of(&files).unwrap_or_else(|| path.clone());
    let source = if dice.percent(45) && tree.text("all.nix").is_some() {
        "all.nix".to_owned()
    } else {
        dice.one_of(&sources).unwrap_or_else(|| "default.nix".into())
    };
    let links: Vec<String> = paths.iter().filter(|path| matches!(tree.get(path), Some(Entry::Link(_)))).cloned().collect();
    let place = if dice.percent(70) { dice.pick(NEW_PLACES).to_owned() } else { path.clone() };
    let n = dice.below(1000);
    match dice.below(40) {
        0..=3 => change_text(dice, tree, &file, n),
        4 => {
            tree.remove(&path);
            format!("remove {path}")
        }
        5 => {
            let entry = tree.get(&path).cloned();
            tree.remove(&path);
            entry.into_iter().for_each(|entry| tree.put(&place, entry));
            format!("move {path} to {place}")
        }
        6 | 7 => {
            let text = new_text(dice, tree, &place);
            tree.put(&place, Entry::File { text, executable: dice.percent(15) });
            format!("write {place}")
        }
        8 => {
            tree.get(&path).cloned().into_iter().for_each(|entry| tree.put(&place, entry));
            format!("copy {path} to {place}")
        }
        9 | 10 => {
            if let Some(Entry::File { text, executable }) = tree.get(&file).cloned() {
                tree.put(&file, Entry::File { text, executable: !executable });
            }
            format!("turn the executable bit of {file}")
        }
        11 | 12 => {
            let target = dice.pick(TARGETS).to_owned();
            let at = if dice.percent(60) { path } else { place };
            tree.put(&at, Entry::Link(target.clone()));
            format!("link {at} to {target}")
        }
        13 | 14 => {
            let Some(link) = dice.one_of(&links) else { return String::new() };
            if dice.percent(50) {
                let target = dice.pick(TARGETS).to_owned();
                tree.put(&link, Entry::Link(target.clone()));
                format!("let {link} lead to {target}")
            } else {
                // a file with the very bytes of the link
                let Some(Entry::Link(target)) = tree.get(&link).cloned() else { return String::new() };
                tree.put(&link, Entry::file(target));
                format!("replace the link {link} by a file")
            }
        }
        15 => {
            let Some(directory) = dice.one_of(&tree.directories()) else { return String::new() };
            tree.remove(&directory);
            if dice.percent(40) {
                tree.put(&directory, Entry::file(format!("\"was a directory {n}\"")));
                return format!("replace the directory {directory} by a file");
            }
            format!("remove the directory {directory}")
        }
        16 => {
            let text = format!("\"file {n}\"");
            tree.put(&format!("{file}/inside"), Entry::file(text));
            format!("replace the file {file} by a directory")
        }
        17 => {
            let Some(directory) = dice.one_of(&tree.directories()) else { return String::new() };
            let to = format!("moved/{}", directory.replace('/', "-"));
            let moved: Vec<(String, Entry)> = tree
                .below(&directory)
                .filter_map(|path| Some((format!("{to}{}", path.strip_prefix(&directory)?), tree.get(path)?.clone())))
                .collect();
            tree.remove(&directory);
            moved.into_iter().for_each(|(path, entry)| tree.put(&path, entry));
            if dice.percent(40) {
                tree.put(&directory, Entry::Link(format!("{}{to}", "../".repeat(directory.matches('/').count()))));
                return format!("move the directory {directory} to {to} and leave a link");
            }
            format!("move the directory {directory} to {to}")
        }
        18 => {
            let at = if dice.percent(50) { place } else { format!("src/flat/m{}", n % 3) };
            tree.put(&at, Entry::Module(n as u8));
            format!("a submodule at {at}")
        }
        19 => {
            let at = format!("{}/strange{STRANGE}{}", dice.pick(&["names", "src/tree", "data", "src/flat", "pkgs/by"]), n % 3);
            tree.put(&at, Entry::file("strange"));
            format!("a strange name {at:?}")
        }
        20 => {
            let text = dice.pick(&[
                "*.txt text eol=crlf\n",
                "*.nix eol=crlf text\n* ident\n",
                "*.txt working-tree-encoding=UTF-16\n",
                "* filter=none export-ignore\n",
            ]);
            let at = dice.pick(&[".gitattributes", "data/.gitattributes"]);
            tree.put(at, Entry::file(text));
            format!("attributes in {at}")
        }
        21 => {
            let other = dice.one_of(&files).unwrap_or_default();
            if let (Some(one), Some(two)) = (tree.get(&file).cloned(), tree.get(&other).cloned()) {
                tree.put(&file, two);
                tree.put(&other, one);
            }
            format!("exchange {file} and {other}")
        }
        _ => change_source(dice, tree, &source, n),
    }
}

fn change_text(dice: &mut Dice, tree: &mut Tree, path: &str, n: usize) -> String {
    let Some(old) = tree.text(path).map(str::to_owned) else { return String::new() };
    let text = match dice.below(6) {
        0 => format!("{old}\n# {n}\n"),
        1 => old.trim_end().to_owned(),
        2 => old.replace('\n', "\r\n"),
        3 if !path.ends_with(".nix") => String::new(),
        4 if !path.ends_with(".nix") => format!("text {n}"),
        _ => next_digit(dice, &old),
    };
    tree.set_text(path, text);
    format!("change the text of {path}")
}

/// One digit of the text becomes another.
fn next_digit(dice: &mut Dice, old: &str) -> String {
    let digits: Vec<usize> = old.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(at, _)| at).collect();
    let Some(at) = dice.one_of(&digits) else { return format!("{old} 1") };
    let digit = (old.as_bytes()[at] - b'0' + 1) % 10;
    format!("{}{digit}{}", &old[..at], &old[at + 1..])
}

fn new_text(dice: &mut Dice, tree: &Tree, path: &str) -> String {
    let n = dice.below(100);
    match dice.below(6) {
        0 => format!("text {n}"),
        1 => format!("\"value {n}\""),
        2 => format!("{{ x = \"new x{n}\"; y = \"y\"; alpha = throw \"overridden {n}\"; }}\n"),
        3 => format!("{{ mk, ... }}: mk {{ name = \"new-{n}\"; v = {}; }}\n", {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            Writer::new(dice, tree, directory, &[]).text(1)
        }),
        4 => "true".into(),
        _ => String::new(),
    }
}

/// The name that a line binds.
fn binds(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().split_once(" =")?;
    (!name.is_empty() && !name.contains([' ', '#', '(', '{', ':', '?', '.']) && line.starts_with("  ")).then_some(name)
}

fn change_source(dice: &mut Dice, tree: &mut Tree, path: &str, n: usize) -> String {
    let Some(old) = tree.text(path).map(str::to_owned) else { return String::new() };
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    let at = dice.below(lines.len());
    let bindings: Vec<usize> = (0..lines.len()).filter(|index| binds(&lines[*index]).is_some()).collect();
    let binding = dice.one_of(&bindings);
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
    let known: Vec<String> = bindings.iter().filter_map(|index| binds(&lines[*index])).map(str::to_owned).collect();
    let known: Vec<String> = if path == "all.nix" { known } else { Vec::new() };
    let what = match (dice.below(20), binding) {
        (0 | 1, _) => {
            lines.insert(at, format!("  # a comment {n}"));
            "a comment line"
        }
        (2, _) => {
            lines.insert(at, String::new());
            "an empty line"
        }
        (3, _) => {
            lines[at].push_str(&format!(" # {n}"));
            "a comment at the end of a line"
        }
        (4, _) => {
            lines.remove(at);
            "a line goes"
        }
        (5, _) if at + 1 < lines.len() => {
            lines.swap(at, at + 1);
            "two lines change places"
        }
        (6, _) => {
            lines.insert(at, lines[at].clone());
            "a line twice"
        }
        (7, _) => {
            let by = dice.pick(&["  ", "\t", " "]);
            lines.iter_mut().for_each(|line| line.insert_str(0, by));
            "all lines are indented"
        }
        (8, _) => {
            lines[at].insert_str(0, "    ");
            "a line is indented"
        }
        (9, _) => {
            lines[at] = next_digit(dice, &lines[at]);
            "a digit"
        }
        (10 | 11, Some(binding)) => {
            lines[binding] = next_digit(dice, &lines[binding]);
            "a digit of a binding"
        }
        (12 | 13, Some(binding)) => {
            let name = binds(&lines[binding]).unwrap_or("x").to_owned();
            if lines[binding].trim_end().ends_with(';') {
                let body = Writer::new(dice, tree, &directory, &known).attribute(&name);
                lines[binding] = format!("  {name} = {body};");
            }
            "another body"
        }
        (14, Some(binding)) => {
            let name = dice.pick(&["fresh", "newer", "alpha", "\"odd.name\"", "recurseForDerivations"]).to_owned();
            let text = Writer::new(dice, tree, &directory, &known).binding(&name);
            lines.insert(binding, text.trim_end().to_owned());
            "a new binding"
        }
        (15, Some(binding)) => {
            let name = binds(&lines[binding]).unwrap_or("x").to_owned();
            lines[binding] = lines[binding].replacen(&name, dice.pick(&["renamed", "alpha", "omega", "\"re named\""]), 1);
            "a binding is renamed"
        }
        (16, Some(binding)) => {
            lines.remove(binding);
            "a binding goes"
        }
        (17, Some(binding)) => {
            let other = dice.one_of(&bindings).unwrap_or(binding);
            lines.swap(binding, other);
            "two bindings change places"
        }
        (18, _) => {
            let spaced = lines[at].replacen(" = ", "  =   ", 1);
            lines[at] = spaced;
            "spaces"
        }
        _ => {
            let from =
                dice.pick(&["data/a.txt", "data/b.txt", "rec {", "{ }", "pathExists", "readFile", "self.", "true", "\"x\""]);
            let to = dice.pick(&[
                "data/b.txt",
                "data/none.txt",
                "{",
                "{ more = 1; }",
                "pathExists",
                "toString",
                "lib.",
                "false",
                "\"y\"",
            ]);
            let text = lines.join("\n").replacen(from, to, 1);
            lines = text.lines().map(str::to_owned).collect();
            "a word"
        }
    };
    tree.set_text(path, lines.join("\n") + "\n");
    format!("{path}: {what} (line {})", at + 1)
}
