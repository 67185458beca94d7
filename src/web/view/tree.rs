//! The tree of failures of a review, opened step by step: from the cause to the attributes that it blocks, or from an attribute to its
//! cause. What is open stands in the address, so that it works without a script; with one, each branch is fetched where it is opened.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use maud::{Markup, html};

use super::excerpt::{decisive_href, excerpt};
use super::layout::{Frame, Place, page};
use super::pager::Pager;
use super::parts::{count, drv_link, outcome_chip, pull_href, repository_href, thousands};
use crate::domain::{AttrPath, DrvPath};
use crate::review::blame::{Blame, NeededBy};
use crate::review::report::{Failure, Report};

/// Branches of one node on a page of its own.
const PER_PAGE: usize = 100;
/// Branches of a node within the tree of another; all of them are one click away.
const STEP: usize = 25;
/// Branches that are open on a page, besides the root's: each closed one's link names them all. More have pages of their own.
const OPEN: usize = 30;
/// Names of a derivation that are shown beside it.
const NAMES: usize = 3;

/// Which way the tree grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the cause: who needs it.
    NeededBy,
    /// From the attribute: what it needs.
    Needs,
}

impl Way {
    pub fn code(self) -> &'static str {
        match self {
            Way::NeededBy => "needed-by",
            Way::Needs => "needs",
        }
    }
}

/// What a reader asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeQuery {
    /// `None`: the one that leads somewhere.
    pub way: Option<Way>,
    /// Hashes of the derivations whose branches are open, besides the root's.
    pub open: BTreeSet<String>,
    /// Of the root's branches, from 1.
    pub page: usize,
}

impl TreeQuery {
    pub fn parse(pairs: &BTreeMap<String, String>) -> Result<Self, String> {
        let way = match pairs.get("way").map(String::as_str) {
            None | Some("") => None,
            Some("needed-by") => Some(Way::NeededBy),
            Some("needs") => Some(Way::Needs),
            Some(other) => return Err(format!("A tree of failures goes by “needs” or “needed-by”, not “{other}”.")),
        };
        let open = pairs.get("open").map(String::as_str).unwrap_or_default();
        let open = open.split(',').filter(|hash| !hash.is_empty()).map(str::to_owned).collect();
        let page = match pairs.get("page").map(String::as_str) {
            None | Some("") => 1,
            Some(page) => {
                let number = page.parse().ok().filter(|page| *page > 0);
                number.ok_or_else(|| format!("“{page}” is not the number of a page."))?
            }
        };
        Ok(Self { way, open, page })
    }
}

/// The graph, and its other direction.
pub struct Tree {
    pub blame: Blame,
    pub needed_by: NeededBy,
}

impl From<Blame> for Tree {
    fn from(blame: Blame) -> Self {
        let needed_by = blame.needed_by();
        Self { blame, needed_by }
    }
}

pub struct TreePage<'a> {
    pub report: &'a Report,
    /// The number of the pull request.
    pub number: Option<u64>,
    /// `None`: nothing fails because of something else.
    pub tree: Option<&'a Tree>,
    pub root: &'a DrvPath,
    pub query: &'a TreeQuery,
}

/// The address of a tree.
pub fn tree_href(report: &Report, drv: &DrvPath, way: Way) -> String {
    format!("/reviews/{}/tree/{}?way={}", report.id, drv.base_name(), way.code())
}

struct Drawing<'a> {
    view: &'a TreePage<'a>,
    tree: &'a Tree,
    way: Way,
    names: HashMap<&'a DrvPath, Vec<&'a AttrPath>>,
    failures: HashMap<&'a DrvPath, &'a Failure>,
    /// Of what is asked for, the hashes that are of this tree.
    open: BTreeSet<&'a str>,
    /// What is open on this page already: in a graph, many ways lead to one place.
    drawn: HashSet<u32>,
}

pub fn tree_page(view: &TreePage<'_>) -> Markup {
    let report = view.report;
    let root = view.tree.and_then(|tree| Some((tree, tree.blame.find(view.root.base_name())?)));
    let way = view.query.way.unwrap_or(match root {
        Some((tree, at)) if tree.blame.node(at).is_cause() => Way::NeededBy,
        Some(_) => Way::Needs,
        None => Way::NeededBy,
    });
    let failure = report.failures.iter().find(|failure| failure.drv == *view.root);
    let title = match way {
        Way::NeededBy => format!("What fails because of {}", view.root.name().trim_end_matches(".drv")),
        Way::Needs => format!("Why {} fails", view.root.name().trim_end_matches(".drv")),
    };
    let review = match view.number {
        Some(number) => format!("{}?review={}", pull_href(&report.repository, number), report.id),
        None => format!("/reviews/{}", report.id),
    };
    let content = html! {
        div.page-head #head {
            p.crumbs {
                a href="/" { "Pull requests" } " / " a href=(repository_href(&report.repository)) { (report.repository) } " / "
                a href=(review) { @match view.number { Some(number) => { "#" (number) } None => { "review " (report.id) } } }
            }
            h1 { (title) }
            div.facts {
                @if let Some((tree, at)) = root { (outcome_chip(tree.blame.node(at).outcome)) }
                @else if let Some(failure) = failure { (outcome_chip(failure.outcome)) }
                (drv_link(view.root))
                @if let Some((tree, at)) = root {
                    @if way == Way::NeededBy && !tree.blame.node(at).is_cause() { a href=(tree_href(report, view.root, Way::Needs)) { "why it fails" } }
                    @if way == Way::Needs && !tree.needed_by.step(at).is_empty() { a href=(tree_href(report, view.root, Way::NeededBy)) { "what fails because of it" } }
                }
            }
        }
        @if let Some(failure) = failure && let Some(decisive) = &failure.decisive {
            section.panel aria-labelledby="log-title" {
                div.panel-head { h2 #log-title { "What it died of" } span.end { a href=(decisive_href(view.root, decisive)) { "whole log, at the error" } } }
                (excerpt(view.root, decisive))
            }
        }
        section.panel aria-labelledby="tree-title" {
            div.panel-head {
                h2 #tree-title { @match way { Way::NeededBy => "Who needs it, towards the attributes", Way::Needs => "What it needs, towards the cause" } }
                @if let Some((tree, at)) = root && way == Way::NeededBy { span.muted { (all_above(tree, at)) } }
            }
            @match root {
                None => p.empty { "Nothing else fails because of it." },
                Some((tree, at)) => (Drawing::new(view, tree, way).root(at)),
            }
        }
    };
    page(&Frame::new(&title, Place::Pulls), &content)
}

fn all_above(tree: &Tree, at: u32) -> String {
    count(tree.needed_by.all(at).len() as u64, "derivation fails", "derivations fail") + " because of it"
}

impl<'a> Drawing<'a> {
    fn new(view: &'a TreePage<'a>, tree: &'a Tree, way: Way) -> Self {
        let mut names: HashMap<&DrvPath, Vec<&AttrPath>> = HashMap::new();
        for change in &view.report.changes {
            if let Some(head) = &change.head {
                names.entry(&head.drv).or_default().extend(change.attrs());
            }
        }
        let failures = view.report.failures.iter().map(|failure| (&failure.drv, failure)).collect();
        let hashes: HashSet<&str> = tree.blame.paths().map(|drv| drv.path().hash()).collect();
        let known = view.query.open.iter().map(String::as_str).filter(|hash| hashes.contains(hash));
        Self { view, tree, way, names, failures, open: known.take(OPEN).collect(), drawn: HashSet::new() }
    }

    fn step(&self, at: u32) -> Vec<u32> {
        match self.way {
            Way::NeededBy => self.tree.needed_by.step(at).to_vec(),
            Way::Needs => self.tree.blame.needs(at),
        }
    }

    fn root(mut self, at: u32) -> Markup {
        self.drawn.insert(at);
        let step = self.step(at);
        let pager = Pager::new(self.view.query.page, PER_PAGE, step.len());
        let href = |page: usize| format!("{}&page={page}#tree-title", tree_href(self.view.report, self.view.root, self.way));
        let bar = pager.bar("derivations", href);
        let items: Vec<Markup> = pager.slice(&step).iter().map(|at| self.item(*at)).collect();
        html! {
            @if items.is_empty() { p.empty { @match self.way { Way::NeededBy => "Nothing else fails because of it.", Way::Needs => "It failed by itself." } } }
            // what is unfolded elsewhere is this part of this page
            @else { details.step open { summary { (self.words(step.len())) } ul.tree { @for item in items { (item) } } (bar) } }
            @if self.is_full() { p.empty { "So many branches are open here (" (OPEN) ") that each further one opens on a page of its own." } }
        }
    }

    fn is_full(&self) -> bool {
        self.open.len() >= OPEN
    }

    fn words(&self, step: usize) -> String {
        match self.way {
            Way::NeededBy => count(step as u64, "that needs it fails too", "that need it fail too"),
            Way::Needs => count(step as u64, "that it needs fails", "that it needs fail"),
        }
    }

    fn item(&mut self, at: u32) -> Markup {
        let node = self.tree.blame.node(at);
        let names = self.names.get(&node.drv).cloned().unwrap_or_default();
        let failure = self.failures.get(&node.drv).copied().filter(|_| node.is_cause());
        let decisive = failure.and_then(|failure| failure.decisive.as_ref());
        let branch = self.branch(at);
        html! {
            li {
                div.node {
                    (outcome_chip(node.outcome))
                    @for name in names.iter().take(NAMES) { b.mono { (name) } }
                    @if names.len() > NAMES { span.muted { "and " (thousands((names.len() - NAMES) as u64)) " more names" } }
                    (drv_link(&node.drv))
                    @match decisive {
                        Some(decisive) => a href=(decisive_href(&node.drv, decisive)) { "log, at the error" },
                        None if node.is_cause() => a href={ "/drv/" (node.drv.base_name()) "#log" } { "log" },
                        None => span.muted.small { "never begun, so it has no log" },
                    }
                }
                (branch)
            }
        }
    }

    /// What lies behind a node: open, or the way to open it.
    fn branch(&mut self, at: u32) -> Markup {
        let step = self.step(at);
        if step.is_empty() {
            return html! {};
        }
        let hash = self.tree.blame.node(at).drv.path().hash();
        let words = self.words(step.len());
        if self.drawn.contains(&at) {
            return html! { p.small { a href={ "#n-" (hash) } { (words) } span.muted { ", open above" } } };
        }
        let own = tree_href(self.view.report, &self.tree.blame.node(at).drv, self.way);
        if !self.open.contains(hash) {
            let href = if self.is_full() { own.clone() } else { self.with_open(hash) };
            return html! { p.small { a.opener href=(href) hx-get=(own) hx-target="closest p" hx-select=".step" hx-swap="outerHTML" { (words) } } };
        }
        self.drawn.insert(at);
        let items: Vec<Markup> = step.iter().take(STEP).map(|at| self.item(*at)).collect();
        html! {
            details open #{ "n-" (hash) } {
                summary { (words) }
                ul.tree {
                    @for item in items { (item) }
                    @if step.len() > STEP { li { a href=(own) { "and " (thousands((step.len() - STEP) as u64)) " more: all of them on a page of their own" } } }
                }
            }
        }
    }

    fn with_open(&self, hash: &str) -> String {
        let open: Vec<&str> = self.open.iter().copied().chain([hash]).collect();
        let page = if self.view.query.page > 1 { format!("&page={}", self.view.query.page) } else { String::new() };
        format!("{}{page}&open={}#n-{hash}", tree_href(self.view.report, self.view.root, self.way), open.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::view::samples;

    fn drv(n: u64) -> DrvPath {
        samples::drv(n, "node")
    }

    /// A cause that a hundred need, each of which one more needs.
    fn blame() -> Blame {
        let node = |n: u64, needs: &[u64]| serde_json::json!({"drv": drv(n), "outcome": "dependency_failed", "needs": needs});
        let near = (1..=100).map(|n| node(n, &[0]));
        let far = (1..=100).map(|n| node(100 + n, &[n]));
        let nodes: Vec<_> = [node(0, &[])].into_iter().chain(near).chain(far).collect();
        serde_json::from_value(serde_json::json!({"nodes": nodes})).unwrap()
    }

    fn page_with(open: impl Iterator<Item = String>) -> String {
        let (report, tree) = (samples::blocked(), Tree::from(blame()));
        let query = TreeQuery { way: Some(Way::NeededBy), open: open.collect(), page: 1 };
        tree_page(&TreePage { report: &report, number: Some(3), tree: Some(&tree), root: &drv(0), query: &query }).into_string()
    }

    /// The longest list of open branches in a link.
    fn longest(page: &str) -> usize {
        page.split("&amp;open=").skip(1).map(|rest| rest.split('#').next().unwrap().split(',').count()).max().unwrap_or(0)
    }

    #[test]
    fn links_repeat_what_is_open_here_and_nothing_that_a_visitor_made_up() {
        let hash = |n: u64| drv(n).path().hash().to_owned();
        let made_up = || (1_000..1_600).map(hash);
        let page = page_with(made_up());
        assert_eq!((longest(&page), page.matches("id=\"n-").count()), (1, 0));
        let page = page_with(made_up().chain([hash(1)]));
        assert_eq!((longest(&page), page.matches("id=\"n-").count()), (2, 1));
        assert!(!page.contains("a page of its own.</p>"), "{page}");

        let page = page_with(made_up().chain((1..=100).map(hash)));
        assert_eq!((longest(&page), page.matches("id=\"n-").count()), (0, OPEN));
        assert!(page.contains("So many branches are open here (30)") && page.contains(&format!("/tree/{}", drv(99).base_name())));
    }
}
