//! What was once wrong, or might be: small trees, each with an edit after which a careless recording would still believe an attribute.
//! Attributes are recorded each by itself, so that none has another's reads.

use super::engine::House;
use super::package_sets::Root;
use super::stories::{Tally, lie};
use super::trees::{Entry, Tree, difference, print};

const PRELUDE: &str = "let d = v: derivation { name = \"d\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; inherit v; }; in ";

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        let text = if *path == "default.nix" { format!("{PRELUDE}{text}") } else { (*text).to_owned() };
        tree.put(path, Entry::file(text));
    }
    tree
}

struct Pit {
    name: &'static str,
    from: Tree,
    to: Tree,
}

fn pit(name: &'static str, files: &[(&str, &str)], edit: impl FnOnce(&mut Tree)) -> Pit {
    let from = tree(files);
    let mut to = from.clone();
    edit(&mut to);
    Pit { name, from, to }
}

fn many(bindings: &str) -> String {
    let fillers: String = (0..30).map(|n| format!("  filler{n} = {n};\n")).collect();
    format!("{{ d, self }}:\n{{\n{fillers}{bindings}}}\n")
}

const ALL: &str = "let self = import ./all.nix { inherit d self; }; in self";

/// What a file says is asked in a way that has the same answer for a copy with markers; then one of these is made by hand, so that it
/// would seem that the file was only imported.
const FORGED: &str = "let
    name = builtins.substring 0 16 (builtins.hashString \"sha256\" \"all.nix\");
    text = builtins.readFile ./all.nix;
    says = builtins.replaceStrings [ \"77;\" ] [ \"\" ] text != text;
    forged = map (name: builtins.pathExists \"/snowgate/marks/i.${name}\") [ name \"all.nix\" \"0\" \"7\" ];
  in { a = d (builtins.deepSeq [ text forged ] says); b = builtins.seq (import ./all.nix) (d 2); }";

const LEARNT: &str = "let
    text = builtins.readFile ./all.nix;
    found = builtins.split \"/i[.]([0-9a-f]+)\" text;
    name = if builtins.length found == 1 then \"0\" else builtins.head (builtins.elemAt found 1);
    again = builtins.readFile ./all.nix;
    says = builtins.replaceStrings [ \"77;\" ] [ \"\" ] again != again;
    forged = builtins.pathExists \"/snowgate/marks/i.${name}\";
  in { a = d (builtins.deepSeq [ name again forged ] says); b = builtins.seq (import ./all.nix) (d 2); }";

const LEARNT_ELSEWHERE: &str = "let
    found = builtins.split \"/i[.]([0-9a-f]+)\" (builtins.readFile ./other.nix);
    name = if builtins.length found == 1 then \"0\" else builtins.head (builtins.elemAt found 1);
    text = builtins.readFile ./all.nix;
    says = builtins.replaceStrings [ \"77;\" ] [ \"\" ] text != text;
    forged = builtins.pathExists \"/snowgate/marks/i.${name}\";
  in { a = d (builtins.deepSeq [ name text forged ] says); b = builtins.seq (import ./all.nix) (d 2); }";

fn pits() -> Vec<Pit> {
    let set = |path: &'static str, text: &'static str| move |tree: &mut Tree| tree.put(path, Entry::file(text));
    let link = |path: &'static str, to: &'static str| move |tree: &mut Tree| tree.put(path, Entry::Link(to.into()));
    let in_all = |from: &'static str, to: &'static str| {
        move |tree: &mut Tree| {
            let text = tree.text("all.nix").unwrap().replace(from, to);
            tree.set_text("all.nix", text);
        }
    };
    vec![
        pit(
            "an absent file below an absent directory appears",
            &[("default.nix", "{ a = d (builtins.pathExists ./x/y/z); }")],
            set("x/y/z", ""),
        ),
        pit(
            "an absent directory appears as a file",
            &[("default.nix", "{ a = d (builtins.pathExists ./x/y); b = d (builtins.pathExists ./x); }")],
            set("x", ""),
        ),
        pit(
            "a directory vanishes with its last file",
            &[
                ("default.nix", "{ a = d (builtins.pathExists ./x); b = d (builtins.attrNames (builtins.readDir ./.)); }"),
                ("x/y", ""),
            ],
            |tree| tree.remove("x/y"),
        ),
        pit(
            "a type in a listing",
            &[("default.nix", "{ a = d (builtins.toJSON (builtins.readDir ./x)); }"), ("x/y", "z"), ("z", "")],
            link("x/y", "z"),
        ),
        pit(
            "a directory becomes a link to the same content",
            &[("default.nix", "{ a = d (builtins.readFile ./x/y); b = d ./x; }"), ("x/y", "1"), ("z/y", "1")],
            |tree| {
                tree.remove("x");
                tree.put("x", Entry::Link("z".into()));
            },
        ),
        pit(
            "the end of a chain of links",
            &[("default.nix", "{ a = d (builtins.readFile ./x); }"), ("z/y", "1"), ("other", "2"), ("x", "")],
            |tree| tree.put("x", Entry::Link("z/y".into())),
        ),
        pit("executable in a copied directory", &[("default.nix", "{ a = d ./x; }"), ("x/y", "1")], |tree| {
            tree.put("x/y", Entry::File { text: "1".into(), executable: true });
        }),
        pit(
            "a file that a filter left out",
            &[
                ("default.nix", "{ a = d (builtins.filterSource (p: t: baseNameOf p != \"y\") ./x); }"),
                ("x/y", "1"),
                ("x/z", "1"),
            ],
            |tree| {
                tree.put("x/y", Entry::Link("z".into()));
            },
        ),
        pit(
            "a submodule becomes a directory",
            &[
                ("default.nix", "{ a = d (builtins.toJSON (builtins.readDir ./x)); b = d (builtins.pathExists ./x/m/f); }"),
                ("x/y", "1"),
            ],
            |tree| {
                tree.put("x/m", Entry::Module(1));
            },
        ),
        pit(
            "only the line of a binding",
            &[
                ("default.nix", "let s = import ./s.nix; in { a = d (builtins.unsafeGetAttrPos \"x\" s).line; b = d s.x; }"),
                ("s.nix", "{ x = 1; }"),
            ],
            set("s.nix", "\n{ x = 1; }"),
        ),
        pit(
            "only the column of an error",
            &[("default.nix", "{ a = import ./s.nix; }"), ("s.nix", "{ }.x")],
            set("s.nix", "  { }.x"),
        ),
        pit(
            "an error's line in a file of many bindings",
            &[("default.nix", ALL), ("all.nix", &many("  e = { }.x;\n  f = throw \"f\";\n  g = d 1;\n"))],
            in_all("filler3", "\n\n  filler3"),
        ),
        pit(
            "an error's column in a file of many bindings",
            &[("default.nix", ALL), ("all.nix", &many("  e = { }.x;\n  f = assert 1 == 2; 1;\n"))],
            in_all("  e =", "    e    ="),
        ),
        pit(
            "a comment before a binding whose position is asked",
            &[("default.nix", ALL), ("all.nix", &many("  p = d (builtins.unsafeGetAttrPos \"g\" self).line;\n  g = d 1;\n"))],
            in_all("  g =", "# g\n  g ="),
        ),
        pit(
            "where a function stands, as XML",
            &[
                ("default.nix", ALL),
                ("all.nix", &many("  p = d (builtins.toXML (x: x));\n  q = d (builtins.toXML self.fun);\n  fun = { y }: y;\n")),
            ],
            in_all("  fun =", "\n  fun =  "),
        ),
        pit(
            "a function's place in an error",
            &[("default.nix", ALL), ("all.nix", &many("  p = \"${self.fun}\";\n  q = self.fun { };\n  fun = { y }: y;\n"))],
            in_all("  fun =", "\n  fun =  "),
        ),
        pit(
            "a body that another body evaluates",
            &[("default.nix", ALL), ("all.nix", &many("  a = d self.b;\n  b = self.c;\n  c = 1;\n  c2 = 2;\n"))],
            in_all("c = 1", "c = 2"),
        ),
        pit(
            "a body that only its own file's text tells",
            &[
                ("default.nix", ALL),
                (
                    "all.nix",
                    &many(
                        "  a = d (builtins.stringLength (builtins.readFile ./all.nix));\n  h = d (builtins.hashFile \"md5\" ./all.nix);\n  s = d ./all.nix;\n  c = 1;\n",
                    ),
                ),
            ],
            in_all("c = 1", "c = 22"),
        ),
        pit(
            "a read of a file of many bindings, hidden by a mark that its path gives",
            &[("default.nix", FORGED), ("all.nix", &many("  c = 1;\n"))],
            in_all("c = 1", "c = 77"),
        ),
        pit(
            "a read of a file of many bindings, hidden by a mark that is read in it",
            &[("default.nix", LEARNT), ("all.nix", &many("  c = 1;\n"))],
            in_all("c = 1", "c = 77"),
        ),
        pit(
            "a read of a file of many bindings, hidden by a mark that is read in another",
            &[("default.nix", LEARNT_ELSEWHERE), ("all.nix", &many("  c = 1;\n")), ("other.nix", &many("  c = 3;\n"))],
            in_all("c = 1", "c = 77"),
        ),
        pit(
            "a variable that nothing binds, in a body that nothing evaluates",
            &[("default.nix", ALL), ("all.nix", &many("  a = d 1;\n  unused = x: x;\n"))],
            in_all("x: x", "x: y"),
        ),
        pit(
            "a set that names something twice, in a body that another attribute is",
            &[("default.nix", ALL), ("all.nix", &many("  a = d 1;\n  b = d 2;\n"))],
            in_all("d 2", "d { c = 1; c = 2; }"),
        ),
        pit(
            "two values change places",
            &[("default.nix", ALL), ("all.nix", &many("  a = d self.b;\n  b = 1;\n  c = 2;\n"))],
            in_all("  b = 1;\n  c = 2;\n", "  c = 2;\n  b = 1;\n"),
        ),
        pit(
            "two values are exchanged",
            &[("default.nix", ALL), ("all.nix", &many("  a = d self.b;\n  b = 1;\n  c = 2;\n"))],
            in_all("  b = 1;\n  c = 2;\n", "  b = 2;\n  c = 1;\n"),
        ),
        pit(
            "a value becomes a set, and a set a value",
            &[("default.nix", ALL), ("all.nix", &many("  a = d 1;\n  s = { recurseForDerivations = true; x = d 2; };\n"))],
            |tree| {
                let text = tree
                    .text("all.nix")
                    .unwrap()
                    .replace("a = d 1", "a = { recurseForDerivations = true; y = d 1; }")
                    .replace("s = {", "s = d 3; t = {");
                tree.set_text("all.nix", text);
            },
        ),
        pit(
            "an archive that is unpacked",
            &[
                (
                    "default.nix",
                    "let t = \"${fetchTarball \"file://${toString ./x.tar}\"}\"; in { a = d t; b = d (t + \"b\"); c = d 1; }",
                ),
                ("x.tar", &tar("one")),
            ],
            |tree| {
                tree.put("x.tar", Entry::file(tar("two")));
            },
        ),
        pit(
            "an archive that two processes unpack, which were forked from one",
            &[
                (
                    "default.nix",
                    &format!(
                        "let t = \"${{fetchTarball \"file://${{toString ./x.tar}}\"}}\"; in {{ a = d t; {} z = d (t + \"z\"); }}",
                        (0..60).map(|n| format!("m{n} = d {n}; ")).collect::<String>()
                    ),
                ),
                ("x.tar", &tar("one")),
            ],
            |tree| tree.put("x.tar", Entry::file(tar("two"))),
        ),
        pit(
            "a file that is fetched",
            &[
                (
                    "default.nix",
                    "let t = \"${builtins.fetchurl \"file://${toString ./x}\"}\"; in { a = d t; b = d (t + \"b\"); c = d 1; }",
                ),
                ("x", "1"),
            ],
            set("x", "2"),
        ),
        pit(
            "a tree that is fetched",
            &[
                (
                    "default.nix",
                    "let t = (builtins.fetchTree { type = \"path\"; path = toString ./x; }).narHash; in { a = d t; b = d (t + \"b\"); c = d 1; }",
                ),
                ("x/y", "1"),
            ],
            set("x/y", "2"),
        ),
        pit(
            "a file in the search path",
            &[("default.nix", "{ a = d (import <snowgate-tree/x.nix>); }"), ("x.nix", "1")],
            set("x.nix", "2"),
        ),
        pit(
            "a file of another scope",
            &[("default.nix", "{ a = d (builtins.scopedImport { y = 1; } ./x.nix); }"), ("x.nix", "y")],
            set("x.nix", "y + 1"),
        ),
        pit(
            "names of a set from a listing",
            &[("default.nix", "builtins.mapAttrs (n: _: d n) (builtins.readDir ./x)"), ("x/a", ""), ("x/b", "")],
            |tree| {
                tree.remove("x/a");
                tree.put("x/c", Entry::file(""));
            },
        ),
        pit(
            "a set that is entered no longer",
            &[("default.nix", "{ s = { recurseForDerivations = import ./flag.nix; a = d 1; b = d 2; }; }"), ("flag.nix", "true")],
            set("flag.nix", "false"),
        ),
        pit("the file of the root goes", &[("default.nix", "{ a = d 1; }")], |tree| tree.remove("default.nix")),
        pit("the file of the root is a directory", &[("default.nix", "{ a = d 1; }")], set("default.nix/default.nix", "{ }")),
        pit(
            "the root throws",
            &[("default.nix", "if import ./f.nix then throw \"no\" else { a = d 1; }"), ("f.nix", "false")],
            set("f.nix", "true"),
        ),
        pit(
            "the root throws no longer",
            &[("default.nix", "if import ./f.nix then throw \"no\" else { a = d 1; }"), ("f.nix", "true")],
            set("f.nix", "false"),
        ),
        pit(
            "the root is a derivation",
            &[("default.nix", "if import ./f.nix then d 1 else { a = d 1; default = d 2; }"), ("f.nix", "true")],
            set("f.nix", "false"),
        ),
        pit(
            "an infinite recursion that is entered elsewhere",
            &[
                (
                    "default.nix",
                    "let p = d \"${q}\"; q = d \"${p}\"; in { a = p; b = builtins.seq (builtins.readFile ./x) q; c = builtins.seq (builtins.readFile ./y) p; }",
                ),
                ("x", "1"),
                ("y", "1"),
            ],
            |tree| {
                tree.put("x", Entry::file("2"));
                tree.put("y", Entry::file("2"));
            },
        ),
        pit(
            "what one error hides",
            &[
                ("default.nix", "{ a = d (if builtins.pathExists ./x then throw \"x\" else builtins.readFile ./y); }"),
                ("x", ""),
                ("y", "1"),
            ],
            |tree| tree.remove("x"),
        ),
        pit(
            "an error that is caught",
            &[
                (
                    "default.nix",
                    "{ a = d (builtins.tryEval (if builtins.pathExists ./x then throw \"x\" else 1)).success; b = d (builtins.tryEval (import ./n.nix)).success; }",
                ),
                ("x", ""),
                ("n.nix", "throw \"n\""),
            ],
            |tree| {
                tree.remove("x");
                tree.put("n.nix", Entry::file("1"));
            },
        ),
        pit(
            "a file that is read by its neighbour first",
            &[
                ("default.nix", "let x = import ./x.nix; in { a = d x.a; b = d x.b; c = d (builtins.readFile ./x.nix); }"),
                ("x.nix", "{ a = 1; b = import ./y.nix; }"),
                ("y.nix", "1"),
            ],
            set("y.nix", "2"),
        ),
        pit("a text that is a directory", &[("default.nix", "{ a = d (builtins.readFile ./x); }"), ("x/y", "1")], |tree| {
            for n in 0..400 {
                tree.put(&format!("x/a-rather-long-name-of-a-file-{n}"), Entry::file(""));
            }
        }),
        pit(
            "a name that is no UTF-8",
            &[
                ("default.nix", "{ a = d (builtins.length (builtins.attrNames (builtins.readDir ./x))); b = d ./x; }"),
                ("x/y", "1"),
            ],
            |tree| {
                tree.put(&format!("x/z{}", super::trees::STRANGE), Entry::file("1"));
            },
        ),
        pit(
            "the bytes of a name that is no UTF-8",
            &[("default.nix", "{ b = d ./x; c = d 1; }"), ("x/y", "1"), (&format!("x/z{}", super::trees::STRANGE), "1")],
            |tree| {
                tree.put(&format!("x/z{}", super::trees::STRANGE), Entry::file("2"));
            },
        ),
        pit(
            "attributes of git",
            &[("default.nix", "{ a = d (builtins.readFile ./x.txt); }"), ("x.txt", "1\n$Id$\n")],
            set(".gitattributes", "*.txt text eol=crlf ident\n"),
        ),
    ]
}

/// One file of an archive, as tar has it, in ASCII.
fn tar(content: &str) -> String {
    let field = |text: &str, length: usize| format!("{text}{}", "\0".repeat(length - text.len()));
    let header = |sum: &str| {
        let fields = [
            ("top/file", 100),
            ("0000644", 8),
            ("0000000", 8),
            ("0000000", 8),
            (&format!("{:011o}", content.len()), 12),
            ("00000000000", 12),
            (sum, 8),
            ("0", 1),
        ];
        field(&(fields.map(|(text, length)| field(text, length)).concat() + &field("", 100) + "ustar\x0000"), 512)
    };
    let sum: u32 = header("        ").bytes().map(u32::from).sum();
    field(&(header(&format!("{sum:06o}\0 ")) + &field(content, 512)), 10240)
}

#[actix::test]
async fn known_pitfalls_are_seen() {
    let house = House::open().await;
    let mut lies = Vec::new();
    for Pit { name, from, to } in pits() {
        let id = house.write(&from);
        let recording = house.trace_singly(&id, Root::File).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let together = house.trace(&id, Root::File).await.unwrap();
        let mut tally = Tally::default();
        for set in [&recording.set, &together.set] {
            if let Some(text) = lie(&house, set, &to, Root::File, &mut tally).await {
                lies.push(format!("{name}\n{text}\n{}\n{}", print(&from), difference(&from, &to)));
            }
        }
        let texts: Vec<String> = recording
            .set
            .results
            .iter()
            .filter_map(|(path, traced)| match &traced.found {
                snowgate::eval::Found::Value(snowgate::domain::Attr::Failed(error)) => {
                    Some(format!("{path}: {}", error.message.chars().take(120).collect::<String>()))
                }
                _ => None,
            })
            .collect();
        println!(
            "{name}: {tally:?} untraced {} of {} otherwise {:?} unknown {:?} errors {texts:?}",
            recording.set.untraced(),
            recording.set.results.len(),
            recording.otherwise,
            recording.recorded.unknown
        );
    }
    assert!(lies.is_empty(), "{} of them are not:\n\n{}", lies.len(), lies.join("\n\n"));
}

/// Each in a file of its own: what a file may tell, all that come after it in the process may have used.
const TIME: [(&str, &str); 13] = [
    ("now", "builtins.currentTime"),
    ("year", "builtins.currentTime / 31556952"),
    ("deadline", "if builtins.currentTime < 9999999999 then 1 else 2"),
    ("inherited", "let inherit (builtins) currentTime; in if currentTime < 9999999999 then 1 else 2"),
    ("global", "__currentTime < 9999999999"),
    ("within", "with builtins; currentTime < 9999999999"),
    ("named", "builtins.\"current\\Time\" < 9999999999"),
    ("computed", "builtins.${\"current\" + \"Time\"} < 9999999999"),
    ("chosen", "(builtins.getAttr (\"current\" + \"Time\") builtins) < 9999999999"),
    ("mapped", "builtins.length (builtins.attrValues (builtins.mapAttrs (n: v: n) builtins))"),
    ("written", "import (builtins.toFile \"x.nix\" (\"builtins.current\" + \"Time < 9999999999\"))"),
    ("copied", "import \"${./x.txt}\""),
    ("text", "import ./x.txt"),
];

/// Everything that may have used the time, whatever the recording's clock makes of it, is evaluated each time; and nothing else.
#[actix::test]
async fn what_may_have_used_the_time_is_not_recorded() {
    let house = House::open().await;
    let attribute = |(name, _): (&str, &str)| format!("{name} = d (toString (import ./{name}.nix)); ");
    let mut time = tree(&[
        ("default.nix", &format!("{{ other = d 1; speaks = import ./speaks.nix; {} }}", TIME.map(attribute).concat())),
        ("x.txt", "builtins.currentTime < 9999999999"),
        ("speaks.nix", "# builtins.currentTime\n\"builtins.currentTime \" + builtins.toString (builtins ? currentSystem)"),
    ]);
    TIME.iter().for_each(|(name, text)| time.put(&format!("{name}.nix"), Entry::file(*text)));
    let id = house.write(&time);
    let untraced = |set: &snowgate::eval::trace::TraceSet| -> Vec<String> {
        set.results.iter().filter(|(_, traced)| !set.is_traced(traced)).map(|(path, _)| path.to_string()).collect()
    };
    let mut all = TIME.map(|(name, _)| name);
    all.sort();
    let singly = house.trace_singly(&id, Root::File).await.unwrap();
    assert_eq!(untraced(&singly.set), all);
    // and where a library can't be preloaded, and so the clock is right
    let mut house = house;
    house.evaluator = house.evaluator.recording_by(snowgate::eval::trace::Tracing::Chains("as a test has it".into()));
    let singly = house.trace_singly(&id, Root::File).await.unwrap();
    assert_eq!(untraced(&singly.set), all);
    let together = house.trace(&id, Root::File).await.unwrap();
    let missing = untraced(&together.set);
    assert!(all.iter().all(|name| missing.contains(&(*name).to_owned())), "{missing:?}");
}

#[actix::test]
async fn a_file_of_many_bindings_that_names_the_time_is_not_recorded() {
    let house = House::open().await;
    let all = many("  a = d 1;\n  deadline = d (if builtins.currentTime < 9999999999 then 1 else 2);\n");
    let id = house.write(&tree(&[("default.nix", ALL), ("all.nix", &all)]));
    let recording = house.trace(&id, Root::File).await.unwrap();
    assert_eq!(recording.set.untraced(), recording.set.results.len());
    assert!(recording.recorded.unknown.iter().any(|reason| reason.contains("all.nix")), "{:?}", recording.recorded.unknown);
}
