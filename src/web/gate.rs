//! Who may see what: asked of each route before its handler, by what the route's pattern names, so that no page can forget it. Pages
//! that show things of many repositories leave out what the visitor may not read.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, web};

use super::fault::Fault;
use super::rights::{Actor, Readable, Right};
use super::site::Site;
use crate::build::snapshot::{BuilderRow, Snapshot};
use crate::db::{AttemptRow, RepositoryRow};
use crate::domain::{DrvPath, RepositoryName, ReviewId};

/// What a route is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// Nothing that belongs to one repository.
    Nothing,
    Repository(RepositoryName),
    Review(ReviewId),
    /// The base name of a derivation.
    Derivation(String),
    /// How this server is run.
    House,
}

impl Subject {
    /// `pattern`: the route as it is declared; `value`: what stands for a name in it.
    fn of(pattern: &str, value: impl Fn(&str) -> Option<String>) -> Self {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| pattern.starts_with(prefix));
        if let (true, Some(owner), Some(name)) = (begins(&["/r/"]), value("owner"), value("repo")) {
            return Self::Repository(RepositoryName::new(format!("{owner}/{name}")));
        }
        match value("id") {
            Some(id) if begins(&["/reviews/", "/api/reviews/"]) => Self::Review(ReviewId::new(id)),
            Some(id) if begins(&["/drv/", "/api/derivations/", "/api/logs/"]) => Self::Derivation(id),
            _ if begins(&["/settings", "/api/alarms"]) => Self::House,
            _ => Self::Nothing,
        }
    }
}

pub async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match looked_at(&request).await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(fault) => Ok(request.error_response(fault)),
    }
}

/// As the handlers read them.
#[derive(serde::Deserialize)]
struct Named {
    owner: Option<String>,
    repo: Option<String>,
    id: Option<String>,
}

async fn looked_at(request: &ServiceRequest) -> Result<(), Fault> {
    let site = request.app_data::<web::Data<Site>>().cloned();
    let actor = request.extensions().get::<Actor>().cloned();
    // what nobody was introduced to is everybody's
    let (Some(site), Some(actor)) = (site, actor) else { return Ok(()) };
    let named = web::Path::<Named>::extract(request.request()).await.map_err(|_| Fault::of_status(StatusCode::NOT_FOUND))?;
    let Named { owner, repo, id } = named.into_inner();
    let subject = Subject::of(&request.match_pattern().unwrap_or_default(), |name| match name {
        "owner" => owner.clone(),
        "repo" => repo.clone(),
        _ => id.clone(),
    });
    may_see(&site, &actor, subject).await
}

async fn may_see(site: &Site, actor: &Actor, subject: Subject) -> Result<(), Fault> {
    match subject {
        Subject::Nothing => Ok(()),
        Subject::Repository(name) => actor.needs(site, Right::Read(&name)).await,
        Subject::Review(id) => match site.house.db.review(&id).await? {
            Some(row) => actor.needs(site, Right::Read(&row.repository)).await,
            // the handler says so
            None if actor.readable(site).await? == Readable::Everything => Ok(()),
            // in the words for one that may not be read: which ids there are is told to nobody
            None => Err(actor.hidden()),
        },
        // the handler says so
        Subject::Derivation(base_name) if !DrvPath::is_base_name(&base_name) => Ok(()),
        Subject::Derivation(base_name) => {
            let readable = actor.readable(site).await?;
            let attempts = site.house.db.attempts(&base_name).await?;
            // one that was never tried is known to those only who know its hash
            if attempts.is_empty() || !unreadable(site, &readable, &attempts).await? { Ok(()) } else { Err(actor.hidden()) }
        }
        Subject::House if site.sign_in().is_none() => Ok(()),
        Subject::House => actor.needs(site, Right::Administer).await,
    }
}

/// Whether a derivation that was tried may be seen.
pub async fn may_see_derivation(site: &Site, readable: &Readable, base_name: &str) -> Result<bool, Fault> {
    if *readable == Readable::Everything {
        return Ok(true);
    }
    let attempts = site.house.db.attempts(base_name).await?;
    Ok(!unreadable(site, readable, &attempts).await?)
}

/// What of the queue may be seen: what is built for reviews of readable repositories. The counts are everybody's.
pub async fn readable_part(site: &Site, actor: &Actor, mut snapshot: Snapshot) -> Result<Snapshot, Fault> {
    let readable = actor.readable(site).await?;
    if readable == Readable::Everything {
        return Ok(snapshot);
    }
    let items = snapshot.running.iter().map(|item| &item.reviews).chain(snapshot.waiting.iter().map(|item| &item.reviews));
    let reviews = items.flatten().chain(snapshot.reviews.iter().map(|item| &item.id)).cloned().collect();
    let repositories = site.house.db.repositories_of(reviews).await?;
    let shown = |id: &ReviewId| repositories.get(id).is_some_and(|repository| readable.has(repository));
    snapshot.running.retain(|item| item.reviews.iter().any(&shown));
    snapshot.waiting.retain(|item| item.reviews.iter().any(&shown));
    snapshot.reviews.retain(|item| shown(&item.id));
    snapshot.running.iter_mut().for_each(|item| item.reviews.retain(&shown));
    snapshot.waiting.iter_mut().for_each(|item| item.reviews.retain(&shown));
    Ok(snapshot)
}

/// As they are shown to a visitor: without the ids of reviews that they may not read.
pub async fn without_hidden_reviews(site: &Site, actor: &Actor, mut attempts: Vec<AttemptRow>) -> Result<Vec<AttemptRow>, Fault> {
    let readable = actor.readable(site).await?;
    if readable == Readable::Everything {
        return Ok(attempts);
    }
    let reviews = attempts.iter().filter_map(|attempt| attempt.review.clone()).collect();
    let repositories = site.house.db.repositories_of(reviews).await?;
    let shown = |id: &ReviewId| repositories.get(id).is_some_and(|repository| readable.has(repository));
    attempts.iter_mut().for_each(|attempt| attempt.review = attempt.review.take().filter(shown));
    Ok(attempts)
}

/// What stands in the place of a tool's own words, and of paths on the server's disk, for who does not run the server.
const UNTOLD: &str = "Whoever runs this server can see why.";

/// Why a repository can't be read, as far as the visitor is told.
pub fn told_of_repository(site: &Site, actor: &Actor, row: RepositoryRow) -> RepositoryRow {
    if actor.runs_the_house(site) {
        return row;
    }
    RepositoryRow { error: row.error.map(|_| UNTOLD.to_owned()), ..row }
}

/// Why builders build nothing, as far as the visitor is told.
pub fn told_of_builders(site: &Site, actor: &Actor, mut rows: Vec<BuilderRow>) -> Vec<BuilderRow> {
    if !actor.runs_the_house(site) {
        rows.iter_mut().for_each(|row| row.reason = row.reason.take().map(|_| UNTOLD.to_owned()));
    }
    rows
}

/// Those for reviews of readable repositories.
pub async fn readable_attempts(site: &Site, actor: &Actor, attempts: Vec<AttemptRow>) -> Result<Vec<AttemptRow>, Fault> {
    let readable = actor.readable(site).await?;
    if readable == Readable::Everything {
        return Ok(attempts);
    }
    let reviews = attempts.iter().filter_map(|attempt| attempt.review.clone()).collect();
    let repositories = site.house.db.repositories_of(reviews).await?;
    let shown = |row: &AttemptRow| {
        let repository = row.review.as_ref().and_then(|review| repositories.get(review));
        repository.is_some_and(|repository| readable.has(repository))
    };
    Ok(attempts.into_iter().filter(shown).collect())
}

/// Whether none of the attempts was for a repository that may be read.
async fn unreadable(site: &Site, readable: &Readable, attempts: &[AttemptRow]) -> Result<bool, Fault> {
    if *readable == Readable::Everything {
        return Ok(false);
    }
    let reviews = attempts.iter().filter_map(|attempt| attempt.review.clone()).collect();
    let repositories = site.house.db.repositories_of(reviews).await?;
    Ok(!repositories.values().any(|repository| readable.has(repository)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_about_what_its_pattern_names() {
        let of =
            |pattern: &str| Subject::of(pattern, |name| pattern.contains(&format!("{{{name}")).then(|| format!("the-{name}")));
        let repository = Subject::Repository("the-owner/the-repo".into());
        for pattern in ["/r/{owner}/{repo}", "/r/{owner}/{repo}/pull/{n}", "/r/{owner}/{repo}/branch/{branch:.+}"] {
            assert_eq!(of(pattern), repository, "{pattern}");
        }
        for pattern in ["/reviews/{id}", "/api/reviews/{id}", "/api/reviews/{id}/{action}"] {
            assert_eq!(of(pattern), Subject::Review("the-id".into()), "{pattern}");
        }
        for pattern in ["/drv/{id}", "/api/derivations/{id}/retry", "/api/logs/{id}", "/api/logs/{id}/{timestamp}"] {
            assert_eq!(of(pattern), Subject::Derivation("the-id".into()), "{pattern}");
        }
        for pattern in ["/settings", "/api/alarms", "/api/alarms/{id}/{side}"] {
            assert_eq!(of(pattern), Subject::House, "{pattern}");
        }
        for pattern in ["/", "/queue", "/builders", "/api/builders/{name}/{action}", "/assets/{name}", "/healthz"] {
            assert_eq!(of(pattern), Subject::Nothing, "{pattern}");
        }
    }
}
