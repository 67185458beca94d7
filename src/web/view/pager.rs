//! Long lists in pages. Nothing is left out silently: a pager says which part of how many is shown.

use maud::{Markup, html};

use super::parts::thousands;

/// One page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pager {
    /// From 1; within what there is.
    pub page: usize,
    pub size: usize,
    pub total: usize,
}

impl Pager {
    /// A page beyond the end shows the last one.
    pub fn new(page: usize, size: usize, total: usize) -> Self {
        let last = total.div_ceil(size).max(1);
        Self { page: page.clamp(1, last), size, total }
    }

    pub fn last(self) -> usize {
        self.total.div_ceil(self.size).max(1)
    }

    pub fn slice<T>(self, items: &[T]) -> &[T] {
        let from = ((self.page - 1) * self.size).min(items.len());
        let to = (from + self.size).min(items.len());
        &items[from..to]
    }

    /// `what` is the plural of what is listed. `href` gives the address of a page.
    pub fn bar(self, what: &str, href: impl Fn(usize) -> String) -> Markup {
        let from = (self.page - 1) * self.size;
        let to = (from + self.size).min(self.total);
        html! {
            @if self.total > self.size {
                nav.pager aria-label={ "Pages of " (what) } {
                    span { (thousands(from as u64 + 1)) "–" (thousands(to as u64)) " of " (thousands(self.total as u64)) " " (what) }
                    span.end {
                        @if self.page > 1 {
                            a.button href=(href(1)) { "First" }
                            a.button rel="prev" href=(href(self.page - 1)) { "Previous" }
                        }
                        @if self.page < self.last() {
                            a.button rel="next" href=(href(self.page + 1)) { "Next" }
                            a.button href=(href(self.last())) { "Last" }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_list_has_no_pager() {
        assert_eq!(Pager::new(1, 100, 100).bar("rows", |n| n.to_string()).into_string(), "");
        assert!(Pager::new(3, 100, 101).bar("rows", |n| n.to_string()).into_string().contains("101–101 of 101 rows"));
    }

    proptest! {
        #[test]
        fn the_pages_together_are_the_list(total in 0_usize..300, size in 1_usize..50) {
            let items = (0..total).collect::<Vec<_>>();
            let pages = Pager::new(1, size, total).last();
            let together = (1..=pages).flat_map(|page| Pager::new(page, size, total).slice(&items).to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(together, items);
        }
    }
}
