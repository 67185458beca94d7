//! Random package sets: every way in which a Nix expression can learn something of its tree, every kind of error, the shapes in
//! which sets of packages are written. Expressions stand one to a line, so that an edit of a line is an edit of a binding.

use super::dice::Dice;
use super::trees::{Entry, STRANGE, Tree};

const TEXTS: &[&str] = &[
    "data/a.txt",
    "data/b.txt",
    "data/deep/c.txt",
    "data/deep/er/d.txt",
    "data/odd name.txt",
    "data/ünï.txt",
    "src/tree/run.sh",
    "src/tree/sub/main.c",
    "src/flat/one",
    "src/flat/two",
    "VERSION",
];
const ABSENT: &[&str] = &[
    "data/none.txt",
    "nowhere/none.txt",
    "nowhere/at/all.txt",
    "data/a.txt/below",
    "data/deep/none/x",
    "src/tree/none",
    "override.nix",
    "pkgs/none",
];
const DIRECTORIES: &[&str] = &["data", "data/deep", "src/tree", "src/flat", "src", "pkgs", "names", "modules"];
const LINKS: &[(&str, &str)] = &[
    ("links/a", "../data/a.txt"),
    ("links/chain", "a"),
    ("links/dir", "../src/tree"),
    ("links/deep", "dir/sub"),
    ("links/dangling", "../nowhere/none.txt"),
    ("links/loop", "loop"),
    ("links/absolute", "/snowgate/source/data/b.txt"),
    ("links/outside", "../../etc/passwd"),
    ("links/package", "../pkgs/grep"),
    ("links/values.nix", "../lib/values.nix"),
    ("links/up", "../links/dir/../flat"),
    ("src/tree/link", "run.sh"),
    ("src/tree/sub/up", "../../flat"),
    ("data/link.txt", "b.txt"),
];
const VALUES: &[&str] = &["lib/values.nix", "lib/more.nix", "lib/dirval", "links/values.nix"];
const PACKAGES: &[&str] = &["pkgs/grep", "pkgs/curl", "pkgs/tls.nix", "pkgs/by/x.nix", "pkgs/by/y.nix", "links/package"];
const NAMES: &[&str] = &[
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "omicron",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
];
const ODD_NAMES: &[&str] =
    &["\"odd.name\"", "\"with space\"", "\"ünï\"", "\"if\"", "x'y", "_u", "\"a\\\"b\"", "\"1.0\"", "\"\\${x}\""];

/// How the root of a set stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    File,
    Flake,
}

/// Writes expressions for a file in `directory` of the tree.
pub struct Writer<'a> {
    pub dice: &'a mut Dice,
    pub tree: &'a Tree,
    directory: String,
    /// What an expression may refer to as an attribute of `self`; none where there is no `self`.
    known: Vec<String>,
}

impl<'a> Writer<'a> {
    pub fn new(dice: &'a mut Dice, tree: &'a Tree, directory: &str, known: &[String]) -> Self {
        Self { dice, tree, directory: directory.to_owned(), known: known.to_vec() }
    }

    fn number(&mut self) -> usize {
        self.dice.below(90) + 10
    }

    fn up(&self) -> String {
        match self.directory.split('/').filter(|part| !part.is_empty()).count() {
            0 => "./.".into(),
            depth => format!("{}/.", vec![".."; depth].join("/")),
        }
    }

    /// A path of the tree as an expression in this file.
    pub fn path(&mut self, target: &str) -> String {
        let up = self.up();
        if target.is_empty() {
            return up;
        }
        let plain = target.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
        let inside = target.strip_prefix(&format!("{}/", self.directory)).filter(|_| !self.directory.is_empty());
        match self.dice.below(12) {
            0 | 1 => format!("({up} + \"/{target}\")"),
            2 => format!("({up} + (\"/\" + builtins.concatStringsSep \"/\" [ \"{}\" ]))", target.replace('/', "\" \"")),
            3 => format!("({up} + \"/nowhere/../{target}\")"),
            _ if plain => match inside {
                Some(inside) => format!("./{inside}"),
                None => format!("{}/{target}", up.trim_end_matches("/.")),
            },
            _ => format!("({up} + \"/{target}\")"),
        }
    }

    /// The same where a text is as good as a path.
    fn path_or_text(&mut self, target: &str) -> String {
        let up = self.up();
        match self.dice.below(10) {
            0 => format!("(toString {up} + \"/{target}\")"),
            1 => format!("\"${{toString {up}}}/links/../{target}\""),
            2 if self.dice.percent(20) => {
                format!("<snowgate-tree/{}>", target.replace(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c), "_"))
            }
            _ => self.path(target),
        }
    }

    fn present(&mut self, among: &[&str]) -> String {
        let present: Vec<&str> =
            among.iter().copied().filter(|path| self.tree.get(path).is_some() || self.tree.is_directory(path)).collect();
        if present.is_empty() || self.dice.percent(4) {
            self.dice.pick(among).to_owned()
        } else {
            self.dice.pick(&present).to_owned()
        }
    }

    fn any_path(&mut self) -> String {
        match self.dice.below(8) {
            0 | 1 => self.present(TEXTS),
            2 => self.dice.pick(ABSENT).to_owned(),
            3 => self.present(DIRECTORIES),
            4 => LINKS[self.dice.below(LINKS.len())].0.to_owned(),
            5 => self.present(PACKAGES),
            6 => self.present(VALUES),
            _ => String::new(),
        }
    }

    fn readable(&mut self) -> String {
        match self.dice.below(12) {
            0 => "data/link.txt".to_owned(),
            1 => {
                self.dice.pick(&["links/a", "links/chain", "links/absolute", "links/deep/main.c", "links/dir/run.sh"]).to_owned()
            }
            2 => self.present(&["conf/one.json", "pkgs/grep/default.nix", "all.nix", "lib/values.nix"]),
            3 if self.dice.percent(30) => {
                self.dice.pick(&["links/dangling", "links/loop", "links/outside", "data", "data/none.txt"]).to_owned()
            }
            _ => self.present(TEXTS),
        }
    }

    fn directory(&mut self) -> String {
        match self.dice.below(14) {
            0 => "links/dir".to_owned(),
            1 => self.dice.pick(&["links/up", "links/deep", ""]).to_owned(),
            2 if self.dice.percent(30) => self.dice.pick(&["nowhere", "links/dangling", "data/a.txt"]).to_owned(),
            _ => self.present(DIRECTORIES),
        }
    }

    /// An expression whose value is a text.
    pub fn text(&mut self, depth: usize) -> String {
        let n = self.number();
        match self.dice.below(if depth == 0 { 34 } else { 46 }) {
            0..=4 => {
                let path = self.readable();
                format!("builtins.readFile {}", self.path_or_text(&path))
            }
            5 => {
                let path = self.directory();
                format!("toString (builtins.attrNames (builtins.readDir {}))", self.path_or_text(&path))
            }
            6 => {
                let path = self.directory();
                format!("builtins.toJSON (builtins.readDir {})", self.path(&path))
            }
            7..=9 => {
                let path = self.any_path();
                format!("builtins.toJSON (builtins.pathExists {})", self.path_or_text(&path))
            }
            10 => {
                let path = self.dice.pick(ABSENT).to_owned();
                format!("builtins.toJSON (builtins.pathExists {})", self.path(&path))
            }
            11 => {
                let path = self.any_path();
                format!("builtins.readFileType {}", self.path(&path))
            }
            12 => {
                let path = self.readable();
                format!("builtins.hashFile \"sha256\" {}", self.path(&path))
            }
            13 | 14 => {
                let path = if self.dice.percent(60) { self.directory() } else { self.readable() };
                let path = if path.is_empty() && self.dice.percent(80) { "src/tree".to_owned() } else { path };
                format!("\"${{{}}}\"", self.path(&path))
            }
            15 => {
                let path = self.directory();
                let filter = self
                    .dice
                    .pick(&[
                        "p: t: true",
                        "p: t: t != \"symlink\"",
                        "p: t: baseNameOf p != \"run.sh\"",
                        "p: t: t == \"directory\" || builtins.match \".*[.]txt\" (baseNameOf p) != null",
                        "p: t: !(builtins.pathExists (p + \"/none\"))",
                        "p: t: t == \"directory\" || builtins.stringLength (builtins.readFile p) < 20",
                    ])
                    .to_owned();
                if self.dice.percent(50) {
                    format!("\"${{builtins.filterSource ({filter}) {}}}\"", self.path(&path))
                } else {
                    format!("\"${{builtins.path {{ name = \"src\"; path = {}; filter = {filter}; }}}}\"", self.path(&path))
                }
            }
            16 => {
                let path = self.any_path();
                format!("toString {}", self.path(&path))
            }
            17 => {
                let path = self.present(&["conf/one.json", "conf/two.json"]);
                let what = self.dice.pick(&["version", "deps", "nothing", "names"]).to_owned();
                format!("builtins.toJSON ((builtins.fromJSON (builtins.readFile {})).{what} or null)", self.path(&path))
            }
            18 | 19 => {
                let path = self.present(VALUES);
                format!("(import {}).{}", self.path_or_text(&path), self.dice.pick(&["x", "y", "z"]))
            }
            20 => {
                let path = self.present(VALUES);
                format!(
                    "builtins.toJSON (builtins.unsafeGetAttrPos \"{}\" (import {}))",
                    self.dice.pick(&["x", "y", "z"]),
                    self.path(&path)
                )
            }
            21 => "builtins.toJSON __curPos".to_owned(),
            22 => {
                let path = self.readable();
                format!("\"${{builtins.toFile \"t{n}\" (builtins.readFile {})}}\"", self.path(&path))
            }
            23 => {
                let path = self.present(&["modules/scoped.nix", "modules/scoped.nix", "lib/values.nix"]);
                format!("builtins.toJSON (builtins.scopedImport {{ given = \"g{n}\"; }} {})", self.path(&path))
            }
            24 => {
                let directory = self.dice.pick(&["modules", "names", "src/flat"]).to_owned();
                format!(
                    "toString (map (n: import ({} + \"/${{n}}\")) (builtins.attrNames (builtins.readDir {})))",
                    self.path(&directory),
                    self.path(&directory)
                )
            }
            25 => {
                let (one, other) = (self.readable(), self.readable());
                let which = self.any_path();
                format!(
                    "(if builtins.pathExists {} then builtins.readFile {} else builtins.readFile {})",
                    self.path(&which),
                    self.path(&one),
                    self.path(&other)
                )
            }
            26 => {
                let path = self.any_path();
                format!("builtins.toString (builtins.pathExists ({} + \"/.\"))", self.path(&path))
            }
            27 => {
                let path = self.any_path();
                format!("builtins.toJSON (builtins.pathExists \"${{toString {}}}/\")", self.path(&path))
            }
            28 => format!("builtins.toJSON (builtins.tryEval (import {}))", {
                let path = self.any_path();
                self.path(&path)
            }),
            29 => {
                let path = self.directory();
                format!(
                    "toString (builtins.findFile [ {{ prefix = \"p\"; path = {}; }} {{ prefix = \"\"; path = {}; }} ] \"{}\")",
                    self.path(&path),
                    self.up(),
                    self.dice.pick(&["p/run.sh", "p/a.txt", "data", "VERSION", "nowhere"])
                )
            }
            30 => format!("builtins.toJSON (builtins.functionArgs (import {}))", self.path("pkgs/tls.nix")),
            31 => {
                let path = self.directory();
                format!("builtins.hashString \"md5\" \"${{{}}}\"", self.path(&path))
            }
            32 => format!("\"plain-{n}\""),
            33 if self.dice.percent(50) => {
                let path = self.readable();
                let exotic = [
                    format!(
                        "builtins.toJSON (builtins.fetchTree {{ type = \"path\"; path = \"${{toString {}}}\"; }}).narHash",
                        self.path(&path)
                    ),
                    format!("\"${{builtins.fetchurl \"file://${{toString {}}}\"}}\"", self.path(&path)),
                    format!(
                        "\"${{builtins.path {{ path = {}; sha256 = \"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"; recursive = false; }}}}\"",
                        self.path(&path)
                    ),
                    format!("builtins.toJSON (fromTOML (builtins.readFile {}))", self.path(&path)),
                    "builtins.toJSON builtins.nixPath".to_owned(),
                    format!("builtins.readFile {}/../outside.txt", self.up().trim_end_matches("/.")),
                    "builtins.toJSON (builtins.pathExists /etc/hostname)".to_owned(),
                    "builtins.getEnv \"HOME\"".to_owned(),
                    format!("(builtins.getFlake (toString {})).lastModifiedDate", self.up()),
                    format!("builtins.toJSON (builtins.readDir {})", self.up()),
                    format!("\"${{{}}}\"", self.up()),
                ];
                self.dice.one_of(&exotic).unwrap()
            }
            33 => "builtins.toJSON builtins.nixVersion".to_owned(),
            34 => format!("(let v = {}; in v + v)", self.text(depth - 1)),
            35 => format!("(with import {}; x + y)", {
                let path = self.present(VALUES);
                self.path(&path)
            }),
            36 => format!("({} + {})", self.nested(depth), self.nested(depth)),
            37 => format!("builtins.seq ({}) \"forced-{n}\"", self.text(depth - 1)),
            38 => format!("toString (builtins.stringLength ({}))", self.text(depth - 1)),
            39 => format!("builtins.hashString \"sha1\" ({})", self.text(depth - 1)),
            40 => format!("(builtins.tryEval ({})).value", self.text(depth - 1)),
            41 => format!("builtins.addErrorContext \"while at {n}\" ({})", self.text(depth - 1)),
            42 | 43 if !self.known.is_empty() => {
                let other = self.dice.one_of(&self.known).unwrap();
                format!("\"${{self.{other}}}\"")
            }
            42 => format!("builtins.unsafeDiscardStringContext ({})", self.text(depth - 1)),
            43 | 44 => {
                format!("(if builtins.stringLength ({}) > 5 then {} else \"short\")", self.text(depth - 1), self.nested(depth))
            }
            _ if self.dice.percent(35) => self.error(depth - 1),
            _ => format!("\"{n}-${{{}}}\"", self.text(depth - 1)),
        }
    }

    fn nested(&mut self, depth: usize) -> String {
        format!("({})", self.text(depth.saturating_sub(1)))
    }

    /// An expression that fails, or may.
    fn error(&mut self, depth: usize) -> String {
        let n = self.number();
        let text = self.nested(depth);
        let values = self.present(VALUES);
        let values = self.path(&values);
        match self.dice.below(12) {
            0 => format!("throw (\"thrown-{n} \" + {text})"),
            1 => format!("(assert builtins.stringLength {text} > 12; \"assured\")"),
            2 => format!("abort (\"aborted-{n} \" + {text})"),
            3 => format!("(import {values}).missing{n}"),
            4 => format!("(1 + {text})"),
            5 => "(let x = x; in x)".to_owned(),
            6 => format!("import {}", self.path("nowhere/none.nix")),
            7 => format!("(import {values} {n})"),
            8 => format!("(builtins.head (builtins.filter (t: t == \"{n}\") [ {text} ]))"),
            9 => "(({ needed }: needed) { })".to_owned(),
            10 => format!("(builtins.fromJSON {text})"),
            _ => format!("(if import {} then \"yes\" else \"no\")", self.path("conf/flag.nix")),
        }
    }

    /// The value of an attribute of a package set.
    pub fn attribute(&mut self, name: &str) -> String {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let n = self.number();
        match self.dice.below(40) {
            0..=13 => self.package(&plain),
            14..=18 => {
                let path = self.present(PACKAGES);
                format!("callPackage {} {{ extra = {}; }}", self.path(&path), self.nested(1))
            }
            19 | 20 => {
                let path = self.present(PACKAGES);
                format!("callPackage {} {{ }}", self.path(&path))
            }
            21 => format!(
                "callPackage ({{ mk, lib }}: mk {{ name = \"in-{plain}\"; v = lib.values.x; w = {}; }}) {{ }}",
                self.nested(1)
            ),
            22 if !self.known.is_empty() => {
                let other = self.dice.one_of(&self.known).unwrap();
                format!("self.{other} // {{ meta.broken = {}; }}", self.dice.percent(50))
            }
            22 | 23 if !self.known.is_empty() => format!("self.{}", self.dice.one_of(&self.known).unwrap()),
            22..=24 => {
                format!("{{ recurseForDerivations = true; one = {}; two = {}; }}", self.package("one"), self.package("two"))
            }
            25 => {
                let directory = self.dice.pick(&["names", "pkgs/by", "src/flat", "names"]).to_owned();
                let path = self.path(&directory);
                format!(
                    "{{ recurseForDerivations = true; }} // builtins.mapAttrs (n: t: mk {{ name = \"of-dir\"; v = n + t; src = {path} + \"/${{n}}\"; }}) (builtins.readDir {path})"
                )
            }
            26 => {
                let path = self.path("conf/two.json");
                format!(
                    "builtins.listToAttrs (map (n: {{ name = n; value = mk {{ name = \"listed-${{n}}\"; v = {}; }}; }}) (builtins.fromJSON (builtins.readFile {path})).names) // {{ recurseForDerivations = true; }}",
                    self.nested(1)
                )
            }
            27 => {
                let path = self.any_path();
                format!(
                    "if builtins.pathExists {} then {} else {{ recurseForDerivations = true; instead = {}; }}",
                    self.path(&path),
                    self.package(&plain),
                    self.package("instead")
                )
            }
            28 => {
                let path = self.any_path();
                format!(
                    "{{ recurseForDerivations = builtins.pathExists {}; maybe = {}; }}",
                    self.path(&path),
                    self.package("maybe")
                )
            }
            29 => {
                let path = self.any_path();
                format!(
                    "{{ recurseForDerivations = true; }} // (if builtins.pathExists {} then {{ more = {}; }} else {{ }})",
                    self.path(&path),
                    self.package("more")
                )
            }
            30 => {
                let readable = self.readable();
                format!(
                    "{{ recurseForDerivations = true; ${{builtins.substring 0 4 (builtins.readFile {})}} = {}; }}",
                    self.path(&readable),
                    self.package("dynamic")
                )
            }
            31 => self.dice.pick(&["12", "\"text\"", "x: x", "null", "[ 1 2 ]", "{ }", "{ a = 1; }", "./."]).to_owned(),
            32 => format!("{{ __functor = _: x: x; recurseForDerivations = true; f = {}; }}", self.package("f")),
            33 => format!("import {} {{ inherit mk lib self callPackage; }}", self.path("sets/tools.nix")),
            34 | 35 => self.error(1),
            36 => format!(
                "derivation {{ name = \"bare-{plain}\"; system = \"other-{n}\"; builder = \"/bin/sh\"; outputs = [ \"out\" \"dev\" ]; v = {}; }}",
                self.nested(1)
            ),
            37 => format!("(mk {{ name = \"overridden\"; v = {}; }}).override {{ w = {}; }}", self.nested(1), self.nested(1)),
            38 => format!(
                "let inner = {}; in mk {{ name = \"let-{plain}\"; dep = inner; pos = builtins.toJSON __curPos; }}",
                self.package("inner")
            ),
            _ => format!("lib.make {} {{ name = \"made-{plain}\"; }}", self.nested(1)),
        }
    }

    fn package(&mut self, name: &str) -> String {
        let mut fields = format!("name = \"{name}-{}\";", self.number());
        for field in ["v", "w", "src"].iter().take(1 + self.dice.below(3)) {
            fields.push_str(&format!(" {field} = {};", self.text(2)));
        }
        if self.dice.percent(8) {
            fields.push_str(&format!(" pos = builtins.toJSON (builtins.unsafeGetAttrPos \"{}\" self);", self.dice.pick(NAMES)));
        }
        if self.dice.percent(10) {
            fields.push_str(" meta = { description = builtins.readFile ./absent; };");
        }
        format!("mk {{ {fields} }}")
    }

    /// One binding, of one line or more, with what stands around it.
    pub fn binding(&mut self, name: &str) -> String {
        let n = self.number();
        let body = self.attribute(name);
        match self.dice.below(8) {
            0 => format!("  # {name}: note {n}\n  {name} = {body};\n"),
            1 => format!("  {name} =\n    # inside {n}\n    {body};\n\n"),
            2 => format!("  {name} = /* {n} */ {body}; # after\n"),
            3 => format!("  {name} = (\n    {body}\n  );\n"),
            _ => format!("  {name} = {body};\n"),
        }
    }
}

const MK: &str = r#"{ system, variant ? "plain" }:
let
  mk = { name, meta ? { }, ... }@args:
    derivation (builtins.removeAttrs args [ "meta" ] // { inherit name system variant; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; })
    // { inherit meta; override = more: mk (args // more); };
in mk
"#;

/// A package set. The same dice give the same set.
pub fn package_set(dice: &mut Dice) -> (Tree, Root) {
    let mut tree = Tree::default();
    for path in TEXTS {
        if dice.percent(88) {
            let n = dice.below(90);
            let text = dice.pick(&["text", "a longer text, on\ntwo lines", "x = 1", "", "$Id$ kept", "cr\r\nlf"]);
            tree.put(path, Entry::File { text: format!("{text}{n}"), executable: dice.percent(20) });
        }
    }
    for (path, target) in LINKS {
        if dice.percent(85) {
            tree.put(path, Entry::Link((*target).into()));
        }
    }
    if dice.percent(25) {
        tree.put("src/flat/module", Entry::Module(7));
    }
    if dice.percent(10) {
        tree.put(&format!("src/flat/strange{STRANGE}"), Entry::file("strange"));
    }
    if dice.percent(10) {
        tree.put(".gitattributes", Entry::file("*.txt text eol=crlf\n*.sh ident\n"));
    }
    tree.put(
        "conf/one.json",
        Entry::file(format!("{{\"version\": \"1.{}\", \"deps\": [1, 2], \"names\": []}}\n", dice.below(9))),
    );
    tree.put("conf/two.json", Entry::file("{\"version\": \"2\",\n \"names\": [\"one\", \"two\",\n \"three\"]}\n"));
    tree.put("conf/flag.nix", Entry::file(dice.pick(&["true", "false", "1"])));
    for (path, n) in [("lib/values.nix", 1), ("lib/more.nix", 2), ("lib/dirval/default.nix", 3)] {
        let extra = match dice.below(3) {
            0 => "  z = import ../conf/flag.nix;\n",
            1 => "  # z\n  z = builtins.readFile ./more.nix;\n",
            _ => "",
        };
        tree.put(path, Entry::file(format!("{{\n  x = \"x{n}{}\";\n  # y\n  y = \"y{n}\";\n{extra}}}\n", dice.below(90))));
    }
    tree.put("lib/mk.nix", Entry::file(MK));
    tree.put(
        "lib/default.nix",
        Entry::file("{ mk }:\nrec {\n  values = import ./values.nix;\n  more = import ./more.nix;\n  make = v: args: mk (args // { inherit v; from = more.x; });\n}\n"),
    );
    for name in ["one", "two", "three"] {
        if dice.percent(85) {
            tree.put(&format!("names/{name}"), Entry::file(format!("\"{name}{}\"", dice.below(9))));
        }
        if dice.percent(70) {
            tree.put(&format!("modules/{name}.nix"), Entry::file(format!("\"module {name}{}\"", dice.below(9))));
        }
    }
    if dice.percent(60) {
        tree.put("modules/scoped.nix", Entry::file("given + builtins.readFile ../data/a.txt\n"));
    }
    let packages: Vec<(String, String)> =
        ["pkgs/grep/default.nix", "pkgs/curl/default.nix", "pkgs/tls.nix", "pkgs/by/x.nix", "pkgs/by/y.nix"]
            .iter()
            .map(|path| ((*path).to_owned(), package_file(dice, &tree, path)))
            .collect();
    for (path, text) in packages {
        tree.put(&path, Entry::file(text));
    }
    let tools = {
        let mut text = String::from("{ mk, lib, self, callPackage }:\n{\n  recurseForDerivations = true;\n");
        for name in ["hammer", "saw", "plane"] {
            text.push_str(&Writer::new(dice, &tree, "sets", &[]).binding(name));
        }
        text + "}\n"
    };
    tree.put("sets/tools.nix", Entry::file(tools));
    // files of many bindings are tracked by binding
    let count = if dice.percent(35) { 34 + dice.below(8) } else { 6 + dice.below(10) };
    let more = (NAMES.len()..count).map(|n| format!("p{n}"));
    let mut names: Vec<String> = NAMES.iter().take(count).map(|name| (*name).to_owned()).chain(more).collect();
    for odd in ODD_NAMES {
        if dice.percent(25) {
            names.push((*odd).to_owned());
        }
    }
    let (in_root, in_all) = names.split_at(names.len() / 4);
    let all = aggregate(dice, &tree, in_root, in_all);
    tree.put("all.nix", Entry::file(all));
    let root = if dice.percent(12) { Root::Flake } else { Root::File };
    let default = root_file(dice, &tree, in_root);
    tree.put("default.nix", Entry::file(default));
    if root == Root::Flake {
        tree.put("flake.nix", Entry::file(FLAKE));
        tree.put("sub/flake.nix", Entry::file("{ outputs = _: { name = \"from-sub\"; text = builtins.readFile ./text; }; }\n"));
        tree.put("sub/text", Entry::file("sub text"));
        tree.put("flake.lock", Entry::file(LOCK));
    }
    (tree, root)
}

const FLAKE: &str = r#"{
  inputs.sub.url = "path:./sub";
  outputs = { self, sub }: {
    packages.x86_64-linux = (import ./. { system = "x86_64-linux"; }) // {
      viaSub = derivation { name = sub.name; text = sub.text; system = "x86_64-linux"; builder = "/bin/sh"; };
      whole = derivation { name = "whole"; src = self.outPath; system = "x86_64-linux"; builder = "/bin/sh"; };
      dated = derivation { name = "dated-${self.lastModifiedDate}"; system = "x86_64-linux"; builder = "/bin/sh"; };
      recurseForDerivations = true;
    };
    checks.x86_64-linux.fine = derivation { name = "fine"; text = builtins.readFile ./VERSION; system = "x86_64-linux"; builder = "/bin/sh"; };
  };
}
"#;

const LOCK: &str = r#"{"nodes":{"root":{"inputs":{"sub":"sub"}},"sub":{"locked":{"path":"./sub","type":"path"},"original":{"path":"./sub","type":"path"},"parent":[]}},"root":"root","version":7}
"#;

/// A package as `callPackage` takes it.
fn package_file(dice: &mut Dice, tree: &Tree, path: &str) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let name = path.trim_end_matches("/default.nix").trim_end_matches(".nix").rsplit('/').next().unwrap_or("x").to_owned();
    let other = dice.pick(NAMES);
    let mut writer = Writer::new(dice, tree, directory, &[]);
    let (v, w) = (writer.text(1), writer.text(2));
    let n = writer.number();
    match writer.dice.below(4) {
        0 => format!(
            "{{ mk, lib, extra ? null, {other} ? null }}:\nmk {{\n  name = \"{name}-{n}\";\n  v = {v};\n  dep = {other};\n  inherit extra;\n}}\n"
        ),
        1 => format!(
            "# {n}\n{{ mk, extra ? \"none\", ... }}@args:\nlet\n  v = {v};\nin\nmk {{\n  name = \"{name}\";\n  inherit v extra;\n  w = {w};\n}}\n"
        ),
        2 => format!(
            "{{ mk, lib, extra ? null }}:\n\nwith lib.values;\nmk {{\n  name = \"{name}-{n}\";\n  src = ./.;\n  v = x + {v};\n  inherit extra;\n  meta.position = toString __curPos.line;\n}}\n"
        ),
        _ => format!(
            "{{ mk, extra ? null }}:\nmk {{\n  name = \"{name}\";\n  v = {v};\n  w = {w};\n  line = __curPos.line;\n  inherit extra;\n}}\n"
        ),
    }
}

/// A file of many bindings.
fn aggregate(dice: &mut Dice, tree: &Tree, outside: &[String], names: &[String]) -> String {
    let mut text = String::from("{ lib, mk, callPackage, self, system, ... }:\n\n");
    let before = dice.below(4);
    match before {
        0 => text.push_str("with lib.values;\n\n"),
        1 => text.push_str("let\n  inherit (lib) values;\n  local = values.x;\nin\n"),
        _ => {}
    }
    text.push_str(if dice.percent(50) { "rec {\n" } else { "{\n" });
    if before == 2 {
        // a file of its own kind: many bindings in a `let`, of which the set takes some
        text.truncate(text.rfind("rec {").or(text.rfind('{')).unwrap_or(0));
        text.push_str("let\n");
    }
    let mut known: Vec<String> = outside.to_vec();
    for name in names {
        let later = dice.percent(6);
        let visible = if later { [outside, names].concat() } else { known.clone() };
        text.push_str(&Writer::new(dice, tree, "", &visible).binding(name));
        known.push(name.clone());
    }
    if before == 2 {
        text.push_str("in {\n");
        for name in names.iter().filter(|name| !name.contains(['\\', '.', ' ', '"'])) {
            text.push_str(&format!("  inherit {name};\n"));
        }
    }
    match dice.below(5) {
        0 => text.push_str("  inherit (lib.values) x y;\n"),
        1 => text.push_str("  inherit (import ./sets/tools.nix { inherit mk lib self callPackage; }) hammer saw;\n"),
        2 => {
            let (one, two) = {
                let mut writer = Writer::new(dice, tree, "", &known);
                (writer.package("one"), writer.package("two"))
            };
            text.push_str(&format!("  nested.recurseForDerivations = true;\n  nested.one = {one};\n  nested.two = {two};\n"));
        }
        3 => text.push_str("  tools = import ./sets/tools.nix { inherit mk lib self callPackage; };\n"),
        _ => {}
    }
    text + "}\n"
}

fn root_file(dice: &mut Dice, tree: &Tree, names: &[String]) -> String {
    let mut text = String::from(
        "{ system ? \"x86_64-linux\", variant ? \"plain\", ... }:\nlet\n  mk = import ./lib/mk.nix { inherit system variant; };\n  lib = import ./lib { inherit mk; };\n  callPackage = f: extra:\n    let fn = if builtins.isFunction f then f else import f;\n    in fn (builtins.intersectAttrs (builtins.functionArgs fn) (self // { inherit mk lib system; } // extra));\n",
    );
    if dice.percent(20) {
        text.push_str("  overrides = if builtins.pathExists ./override.nix then import ./override.nix else { };\n");
    } else {
        text.push_str("  overrides = { };\n");
    }
    text.push_str("  self = import ./all.nix { inherit lib mk callPackage self system variant; } // {\n");
    for (index, name) in names.iter().enumerate() {
        text.push_str("  ");
        text.push_str(&Writer::new(dice, tree, "", &names[..index]).binding(name));
    }
    text.push_str("  } // overrides;\nin\n");
    match dice.below(20) {
        0 => text.push_str("if import ./conf/flag.nix == 1 then throw \"the flag is a number\" else self\n"),
        1 => text.push_str("{ deep = self // { recurseForDerivations = true; }; }\n"),
        2 => text.push_str("self // builtins.mapAttrs (n: _: mk { name = \"named-${n}\"; }) (builtins.readDir ./names)\n"),
        _ => text.push_str("self\n"),
    }
    text
}
