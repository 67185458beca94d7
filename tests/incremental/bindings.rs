//! Stories of one file of many bindings, that all attributes come from: most edits are of one binding.

use std::fmt::Write as _;

use super::dice::Dice;
use super::engine::House;
use super::number;
use super::package_sets::Root;
use super::stories::{Tally, lie, report};
use super::trees::{Entry, Tree};

const F: &str = "name: deps: derivation {\n  inherit name;\n  system = \"x86_64-linux\";\n  builder = \"/bin/sh\";\n  \
    args = [ \"-c\" (builtins.toJSON deps) ];\n}\n";

/// `all.nix`, in parts that are edited one at a time.
#[derive(Debug, Clone)]
struct All {
    /// What stands around the packages.
    kind: usize,
    /// Names and values; those of packages and of a `let` before them.
    packages: Vec<(String, String)>,
    helpers: Vec<(String, String)>,
    comments: Vec<(usize, &'static str)>,
    tight: bool,
}

fn package(dice: &mut Dice, name: &str) -> String {
    let (one, two) = (dice.below(32), dice.below(32));
    let n = dice.below(1000);
    match dice.below(26) {
        0..=5 => format!("f \"{name}\" [ {n} ]"),
        6 | 7 => format!("f \"{name}\" [ self.p{one} self.p{two} ]"),
        8 => format!("f \"{name}\" [ (h{one} {n}) ]"),
        9 => format!("f \"{name}\" [ (toString (h{one} {n})) h{two}.x or 1 ]"),
        10 => format!("throw \"no {name}: {n}\""),
        11 => format!("f \"{name}\" {{ }}.missing{n}"),
        12 => format!("f \"{name}\" [ (builtins.unsafeGetAttrPos \"p{one}\" self).line ]"),
        13 => format!("f \"{name}\" [ (builtins.unsafeGetAttrPos \"p{one}\" self).column ]"),
        14 => format!("f \"{name}\" [ (builtins.hashString \"md5\" (builtins.readFile ./all.nix)) ]"),
        15 => format!("f \"{name}\" (builtins.attrNames self)"),
        16 => "import ./sub.nix { inherit f self; }".to_owned(),
        17 => format!("{{ recurseForDerivations = true;\n a = f \"a\" [ {n} ]; b = self.p{one}; }}"),
        18 => format!("x: x + {n}"),
        19 => format!("f \"{name}\" [ (builtins.functionArgs h{one}) (builtins.isFunction self.p{two}) ]"),
        20 => format!("f \"{name}\" [ (builtins.tryEval (toString self.p{one})).success ]"),
        21 => format!("self.p{one}"),
        22 => format!("h{one}"),
        23 => format!("f \"{name}\" [\n  (builtins.pathExists ./sub.nix)\n  {n}\n]"),
        24 => format!("f \"{name}\" ({{ a ? h{one} 1, b }}: [ a b ]) {{ b = {n}; }}"),
        _ => format!("assert h{one} 1 != {n}; f \"{name}\" [ (h{two} {n}) ]"),
    }
}

fn helper(dice: &mut Dice, index: usize) -> String {
    let n = dice.below(1000);
    let other = dice.below(index.max(1));
    match dice.below(10) {
        0..=3 => format!("x: [ x {n} ]"),
        4 if index > 0 => format!("x: h{other} (toString {n})"),
        5 => format!("{{ a ? {n}, b ? 1 }}: a"),
        6 => format!("{n}"),
        7 if index > 0 => format!("h{other}"),
        8 => format!("throw \"helper {n}\""),
        _ => format!("x: {{ y = {n}; inherit x; }}.y"),
    }
}

impl All {
    fn new(dice: &mut Dice) -> Self {
        let packages = (0..32).map(|n| (format!("p{n}"), package(dice, &format!("p{n}")))).collect();
        let helpers = (0..32).map(|n| (format!("h{n}"), helper(dice, n))).collect();
        Self { kind: dice.below(4), packages, helpers, comments: Vec::new(), tight: false }
    }

    fn text(&self) -> String {
        let (end, is) = if self.tight { ("; ", "=") } else { (";\n  ", " = ") };
        let mut text = "{ f }:\nlet\n  ".to_owned();
        for (name, value) in &self.helpers {
            let _ = write!(text, "{name}{is}{value}{end}");
        }
        text += match self.kind {
            0 => "self = {\n  ",
            1 => "self = rec {\n  inherit f;\n  ",
            2 => "self = with { inherit f; }; {\n  ",
            _ => "self = (g: g { }) ({ }: {\n  ",
        };
        for (index, (name, value)) in self.packages.iter().enumerate() {
            for (_, comment) in self.comments.iter().filter(|(at, _)| *at == index) {
                text += comment;
            }
            let _ = write!(text, "{name}{is}{value}{end}");
        }
        text += if self.kind == 3 { "});\nin self\n" } else { "};\nin self\n" };
        text
    }

    fn edit(&mut self, dice: &mut Dice) -> String {
        let at = dice.below(self.packages.len());
        match dice.below(16) {
            0..=6 => {
                let name = self.packages[at].0.clone();
                self.packages[at].1 = package(dice, &name);
                format!("another value of {name}")
            }
            7..=9 => {
                let at = dice.below(self.helpers.len());
                self.helpers[at].1 = helper(dice, at);
                format!("another value of h{at}")
            }
            10 => {
                self.comments.push((at, ["# a comment\n  ", "/* { */ ", "\n\n  "][dice.below(3)]));
                "a comment".into()
            }
            11 => {
                let name = format!("p{}", 32 + dice.below(8));
                let value = package(dice, &name);
                self.packages.retain(|(other, _)| *other != name);
                self.packages.insert(at.min(self.packages.len()), (name, value));
                "a new binding".into()
            }
            12 => format!("without {}", self.packages.remove(at).0),
            13 => {
                let other = dice.below(self.packages.len());
                self.packages.swap(at, other);
                "two bindings swapped".into()
            }
            14 => {
                self.tight = !self.tight;
                "other spacing".into()
            }
            _ => {
                self.kind = dice.below(4);
                "something else around".into()
            }
        }
    }
}

fn tree(all: &All, dice: &mut Dice) -> Tree {
    let mut tree = Tree::default();
    tree.put("default.nix", Entry::file("{ }: import ./all.nix { f = import ./f.nix; }\n"));
    tree.put("f.nix", Entry::file(F));
    tree.put("all.nix", Entry::file(all.text()));
    if dice.percent(80) {
        let text = format!("{{ f, self }}: {{ recurseForDerivations = true; sub = f \"sub\" [ self.p{} ]; }}\n", dice.below(32));
        tree.put("sub.nix", Entry::file(text));
    }
    tree
}

pub async fn tell(house: &House, seed: u64, tally: &mut Tally) {
    let dice = &mut Dice::new(seed);
    let all = All::new(dice);
    let from = tree(&all, dice);
    let id = house.write(&from);
    let recording = house.trace(&id, Root::File).await.unwrap();
    tally.recorded(&recording);
    for _ in 0..number("SNOWGATE_EDITS", 6) {
        let mut edited = all.clone();
        let mut what = vec![edited.edit(dice)];
        if dice.percent(30) {
            what.push(edited.edit(dice));
        }
        let mut to = from.clone();
        to.put("all.nix", Entry::file(edited.text()));
        if let Some(text) = lie(house, &recording.set, &to, Root::File, tally).await {
            report(house, seed, &from, &to, Root::File, &what, &text).await;
        }
    }
}

/// One binding's value, and nothing of what does not depend on it.
pub async fn one_value_alone(house: &House, seed: u64) -> (usize, usize) {
    let dice = &mut Dice::new(seed);
    let mut all = All::new(dice);
    for (name, value) in &mut all.packages {
        *value = format!("f \"{name}\" [ ]");
    }
    let from = tree(&all, dice);
    let set = house.trace(&house.write(&from), Root::File).await.unwrap().set;
    all.packages[7].1 = "f \"another\" [ ]".into();
    let mut to = from.clone();
    to.put("all.nix", Entry::file(all.text()));
    let known = house.known(&set, &house.write(&to)).await;
    assert!(lie(house, &set, &to, Root::File, &mut Tally::default()).await.is_none());
    (known.dirty, set.results.len())
}
