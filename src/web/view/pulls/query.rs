//! What a reader asked the list for: filters, order and page, all in the address.

use crate::db::{PullOrder, PullRow, PullState, ReviewRow};
use crate::domain::RepositoryName;
use crate::review::report::Decision;
use crate::web::view::parts::query_value;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullsQuery {
    pub repository: Option<RepositoryName>,
    /// `None`: of every state.
    pub state: Option<PullState>,
    /// One that is not reviewed yet is pending.
    pub verdict: Option<Decision>,
    pub author: Option<String>,
    pub order: PullOrder,
    pub text: String,
    pub page: usize,
}

pub const STATES: [(&str, &str, Option<PullState>); 4] = [
    ("open", "open", Some(PullState::Open)),
    ("merged", "merged", Some(PullState::Merged)),
    ("closed", "closed", Some(PullState::Closed)),
    ("all", "all", None),
];
pub const ORDERS: [(&str, &str, PullOrder); 8] = [
    ("rebuilds", "fewest rebuilds first", PullOrder::Rebuilds),
    ("verdict", "by verdict", PullOrder::Verdict),
    ("oldest", "oldest first", PullOrder::Oldest),
    ("created", "newest first", PullOrder::Created),
    ("updated", "last changed first", PullOrder::Updated),
    ("author", "by author", PullOrder::Author),
    ("repository", "by repository", PullOrder::Repository),
    ("number", "by number", PullOrder::Number),
];
pub const VERDICTS: [(&str, Decision); 3] =
    [("mergeable", Decision::Mergeable), ("blocked", Decision::Blocked), ("pending", Decision::Pending)];

impl PullsQuery {
    /// Without a word about it, a page shows what is open, fewest rebuilds first: what is decided quickest.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, String> {
        let mut query = Self { state: Some(PullState::Open), order: PullOrder::Rebuilds, page: 1, ..Self::default() };
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "repository" => query.repository = Some(RepositoryName::new(value)),
                "state" => {
                    let found = STATES.into_iter().find(|(code, ..)| code == value);
                    query.state = found
                        .ok_or_else(|| format!("The state of a pull request is open, merged, closed or all, not “{value}”."))?
                        .2;
                }
                "verdict" => {
                    let found = VERDICTS.into_iter().find(|(code, _)| code == value);
                    query.verdict =
                        Some(found.ok_or_else(|| format!("A verdict is mergeable, blocked or pending, not “{value}”."))?.1);
                }
                "author" => query.author = Some(value.clone()),
                "order" => {
                    let found = ORDERS.into_iter().find(|(code, ..)| code == value);
                    let codes = ORDERS.map(|(code, ..)| code).join(", ");
                    query.order = found.ok_or_else(|| format!("The order is one of {codes}, not “{value}”."))?.2;
                }
                "q" => query.text = value.trim().to_owned(),
                "page" => {
                    query.page =
                        value.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("“{value}” is not the number of a page."))?
                }
                _ => {}
            }
        }
        Ok(query)
    }

    pub fn state_code(&self) -> &'static str {
        STATES.into_iter().find(|(.., state)| *state == self.state).map_or("all", |(code, ..)| code)
    }

    fn order_code(&self) -> &'static str {
        ORDERS.into_iter().find(|(.., order)| *order == self.order).map_or("rebuilds", |(code, ..)| code)
    }

    /// The address of the same list with `change` made; its first page, unless `change` says which.
    pub fn href(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut query = Self { page: 1, ..self.clone() };
        change(&mut query);
        let mut href = format!("?state={}&order={}", query.state_code(), query.order_code());
        let verdict = query.verdict.and_then(|verdict| VERDICTS.into_iter().find(|(_, known)| *known == verdict));
        let fields = [
            ("verdict", verdict.map(|(code, _)| code)),
            ("repository", query.repository.as_ref().map(RepositoryName::as_str)),
            ("author", query.author.as_deref()),
            ("q", Some(query.text.as_str()).filter(|text| !text.is_empty())),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                href.push_str(&format!("&{name}={}", query_value(value)));
            }
        }
        if query.page > 1 {
            href.push_str(&format!("&page={}", query.page));
        }
        href
    }

    pub fn is_filtered(&self) -> bool {
        self.repository.is_some() || self.verdict.is_some() || self.author.is_some() || !self.text.is_empty()
    }

    pub fn matches(&self, pull: &PullRow, review: Option<&ReviewRow>) -> bool {
        let verdict = review.map_or(Decision::Pending, |review| review.decision);
        if self.verdict.is_some_and(|wanted| wanted != verdict)
            || self.author.as_ref().is_some_and(|author| *author != pull.author)
            || self.repository.as_ref().is_some_and(|repository| *repository != pull.repository)
        {
            return false;
        }
        if self.text.is_empty() {
            return true;
        }
        let haystack =
            format!("{} #{} {} {} {}", pull.repository, pull.number, pull.title, pull.author, pull.branch).to_lowercase();
        self.text.split_whitespace().all(|word| haystack.contains(&word.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_was_asked() {
        let query = PullsQuery {
            repository: Some("us/packages".into()),
            state: None,
            verdict: Some(Decision::Blocked),
            author: Some("Ada & Co".into()),
            order: PullOrder::Verdict,
            text: "lib foo".into(),
            page: 3,
        };
        let href = query.href(|query| query.page = 3);
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(href.trim_start_matches('?')).unwrap();
        assert_eq!(PullsQuery::parse(&pairs), Ok(query.clone()));
        assert!(!query.href(|query| query.author = None).contains("page="), "another list begins with its first page");
        for (name, value) in [("verdict", "good"), ("order", "x"), ("state", "y"), ("page", "0")] {
            assert!(PullsQuery::parse(&[(name.into(), value.into())]).unwrap_err().contains(value), "{name}");
        }
    }
}
