//! Which bindings of a file are tracked.
//!
//! Those of the form `name = value;` in sets and `let`s of many bindings. A marker makes the value an `assert` whose condition always
//! holds, evaluated when the value is and not before. Left alone, and so part of the skeleton, is what would become something else:
//!
//! - a name that begins several bindings of its set: Nix merges `a = { … }; a.b = …;` where it sees sets, and would refuse an `assert`;
//! - a value that is a variable: Nix takes the value that it has, where it makes a new one of an `assert`; sets of functions are equal
//!   to themselves only. A variable that comes from a `with` can't be taken that way, so a marker changes nothing;
//! - a set with `__overrides`, which Nix evaluates when it makes the set.
//!
//! A file in which the marker's own words might mean something else, or that asks where it stands, is not tracked at all.

use std::collections::HashMap;

use rnix::ast::{Attr, AttrSet, AttrpathValue, Entry, Expr, HasEntry, Ident, InterpolPart, Lambda, LetIn, Param, Root};
use rnix::{NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken, TextRange, WalkEvent};
use rowan::ast::AstNode;

/// A set or `let` with fewer such bindings is not worth it: whoever evaluates one of few, as of a package's own attributes,
/// evaluates most of them.
const MANY: usize = 24;

/// Cheaply, before anything is parsed: whether there can be as many bindings.
pub fn may_be_many(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| **byte == b';').count() >= MANY
}

/// The ranges of the tracked values, in the order of the file; one may lie inside another. `None`: none are.
pub fn find(root: &Root) -> Option<Vec<TextRange>> {
    if root.syntax().descendants_with_tokens().any(|element| speaks_of_itself(&element)) {
        return None;
    }
    let mut walk = Walk::default();
    for event in root.syntax().preorder() {
        match event {
            WalkEvent::Enter(node) => walk.enter(node),
            WalkEvent::Leave(node) => walk.leave(&node),
        }
    }
    walk.found.sort_by_key(|range| range.start());
    (!walk.found.is_empty()).then_some(walk.found)
}

/// From the root downwards, once over the file: it may be large and written to be slow.
#[derive(Default)]
struct Walk {
    /// The sets and `let`s that we are in.
    containers: Vec<Container>,
    /// How many functions, `let`s and `rec`s around us bind a name.
    bound: HashMap<String, usize>,
    /// How many `with`s are around us.
    withs: usize,
    found: Vec<TextRange>,
}

struct Container {
    /// How many bindings each name begins.
    beginnings: HashMap<String, usize>,
    /// Nix may make one set of this one and another.
    merges: bool,
}

impl Walk {
    fn enter(&mut self, node: SyntaxNode) {
        for name in names_bound_by(&node) {
            *self.bound.entry(name).or_insert(0) += 1;
        }
        match node.kind() {
            SyntaxKind::NODE_WITH => self.withs += 1,
            SyntaxKind::NODE_ATTR_SET | SyntaxKind::NODE_LET_IN => {
                let container = Container { beginnings: beginnings(&node), merges: self.merges(&node) };
                if !container.merges && !container.beginnings.contains_key("__overrides") {
                    let values: Vec<TextRange> =
                        bindings(&node).filter_map(|binding| self.tracked(&binding, &container.beginnings)).collect();
                    if values.len() >= MANY {
                        self.found.extend(values);
                    }
                }
                self.containers.push(container);
            }
            _ => {}
        }
    }

    fn leave(&mut self, node: &SyntaxNode) {
        for name in names_bound_by(node) {
            self.bound.entry(name).and_modify(|count| *count -= 1);
        }
        match node.kind() {
            SyntaxKind::NODE_WITH => self.withs -= 1,
            SyntaxKind::NODE_ATTR_SET | SyntaxKind::NODE_LET_IN => drop(self.containers.pop()),
            _ => {}
        }
    }

    /// Whether a name on the way to this set begins several bindings, as far up as sets stand directly in sets.
    fn merges(&self, node: &SyntaxNode) -> bool {
        let (Some(binding), Some(around)) = (binding_of(node), self.containers.last()) else { return false };
        let name = first_name(&binding);
        node.kind() == SyntaxKind::NODE_ATTR_SET
            && (around.merges || name.is_some_and(|name| around.beginnings.get(&name).is_none_or(|count| *count > 1)))
    }

    fn tracked(&self, binding: &AttrpathValue, beginnings: &HashMap<String, usize>) -> Option<TextRange> {
        let name = first_name(binding)?;
        let value = binding.value()?;
        let single = binding.attrpath()?.attrs().count() == 1;
        let start = first_token(value.syntax())?.text_range().start();
        let tracked = single && beginnings.get(&name) == Some(&1) && self.may_be_marked(&value);
        tracked.then(|| TextRange::new(start, value.syntax().text_range().end()))
    }

    fn may_be_marked(&self, value: &Expr) -> bool {
        let Expr::Ident(ident) = without_parentheses(value.clone()) else { return true };
        let name = text(&ident);
        let bound = self.bound.get(&name).is_some_and(|count| *count > 0);
        match name.as_str() {
            "true" | "false" | "null" => !bound,
            _ if name.starts_with("__") || GLOBAL.contains(&name.as_str()) => false,
            _ => self.withs > 0 && !bound,
        }
    }
}

fn speaks_of_itself(element: &rnix::SyntaxElement) -> bool {
    match element {
        NodeOrToken::Node(node) => matches!(node.kind(), SyntaxKind::NODE_LEGACY_LET | SyntaxKind::NODE_CUR_POS),
        NodeOrToken::Token(token) => {
            token.kind() == SyntaxKind::TOKEN_IDENT && matches!(token.text(), "__curPos" | "__pathExists")
                || token.kind() == SyntaxKind::TOKEN_STRING_CONTENT && token.text() == "__pathExists"
        }
    }
}

/// The first token that is neither space nor comment.
pub fn first_token(node: &SyntaxNode) -> Option<SyntaxToken> {
    node.descendants_with_tokens().filter_map(NodeOrToken::into_token).find(|token| !token.kind().is_trivia())
}

/// The binding whose value this is.
fn binding_of(node: &SyntaxNode) -> Option<AttrpathValue> {
    let around = node.ancestors().skip(1).find(|around| around.kind() != SyntaxKind::NODE_PAREN)?;
    AttrpathValue::cast(around)
}

fn bindings(container: &SyntaxNode) -> impl Iterator<Item = AttrpathValue> {
    container.children().filter_map(AttrpathValue::cast)
}

fn beginnings(container: &SyntaxNode) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for name in bindings(container).filter_map(|binding| first_name(&binding)) {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

/// The name that a binding's path begins with; `None` for one that is known only when it is evaluated.
fn first_name(binding: &AttrpathValue) -> Option<String> {
    name_of(&binding.attrpath()?.attrs().next()?)
}

/// Nix takes `"a"` and `${"a"}` for names as good as `a`.
fn name_of(attr: &Attr) -> Option<String> {
    let text = match attr {
        Attr::Ident(ident) => return Some(ident.syntax().text().to_string()),
        Attr::Str(text) => text.clone(),
        Attr::Dynamic(dynamic) => match without_parentheses(dynamic.expr()?) {
            Expr::Str(text) => text,
            _ => return None,
        },
    };
    let parts = text.normalized_parts().into_iter().map(|part| match part {
        InterpolPart::Literal(text) => Some(text),
        InterpolPart::Interpolation(_) => None,
    });
    parts.collect()
}

fn without_parentheses(mut expr: Expr) -> Expr {
    while let Expr::Paren(inner) = &expr {
        match inner.expr() {
            Some(inner) => expr = inner,
            None => break,
        }
    }
    expr
}

/// What Nix knows by name everywhere, but for `true`, `false` and `null`; names that begin with two underscores besides.
const GLOBAL: [&str; 20] = [
    "abort",
    "baseNameOf",
    "break",
    "builtins",
    "derivation",
    "derivationStrict",
    "dirOf",
    "fetchGit",
    "fetchMercurial",
    "fetchTarball",
    "fetchTree",
    "fromTOML",
    "import",
    "isNull",
    "map",
    "placeholder",
    "removeAttrs",
    "scopedImport",
    "throw",
    "toString",
];

/// By a function, a `let` or a `rec`, for what stands in it.
fn names_bound_by(node: &SyntaxNode) -> Vec<String> {
    match node.kind() {
        SyntaxKind::NODE_LAMBDA => {
            Lambda::cast(node.clone()).and_then(|lambda| lambda.param()).map_or_else(Vec::new, |param| parameters(&param))
        }
        SyntaxKind::NODE_LET_IN => LetIn::cast(node.clone()).map_or_else(Vec::new, |scope| entries(scope.entries())),
        SyntaxKind::NODE_ATTR_SET => AttrSet::cast(node.clone())
            .filter(|set| set.rec_token().is_some())
            .map_or_else(Vec::new, |set| entries(set.entries())),
        _ => Vec::new(),
    }
}

fn text(ident: &Ident) -> String {
    ident.syntax().text().to_string()
}

fn parameters(param: &Param) -> Vec<String> {
    match param {
        Param::IdentParam(param) => param.ident().iter().map(text).collect(),
        Param::Pattern(pattern) => {
            let entries = pattern.pat_entries().filter_map(|entry| entry.ident());
            entries.chain(pattern.pat_bind().and_then(|bind| bind.ident())).map(|ident| text(&ident)).collect()
        }
    }
}

fn entries(entries: impl Iterator<Item = Entry>) -> Vec<String> {
    let names = entries.flat_map(|entry| match entry {
        Entry::Inherit(inherit) => inherit.attrs().filter_map(|attr| name_of(&attr)).collect(),
        Entry::AttrpathValue(binding) => first_name(&binding).into_iter().collect::<Vec<String>>(),
    });
    names.collect()
}
