//! Who asks, and what they may.
//!
//! Whoever uses this machine may order everything (`csrf` says how that is told). Anybody else has to be signed in: the forge tells
//! what they may do with a repository, the configuration who runs this server. Where nobody can sign in, what is not private is read by
//! whoever reaches the pages, and everything ordered from this machine alone.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::{Ready, join_all, ready};

use super::csrf::{self, Expected};
use super::fault::Fault;
use super::sign_in::{SignIn, SignedIn};
use super::site::Site;
use super::view::layout::Corner;
use super::view::parts::query_value;
use crate::db::Visibility;
use crate::domain::{RepositoryName, Secret, UserId};
use crate::forge::account::Permission;

/// Whoever asks for a page, or orders something. A handler takes it as an argument.
#[derive(Clone)]
pub struct Actor(Rc<Known>);

struct Known {
    who: Who,
    /// What the forms of this visitor's pages carry.
    form_token: String,
    /// Whether one could sign in, and the address that does and comes back.
    sign_in: Option<(Arc<SignIn>, String)>,
}

pub enum Who {
    Anybody,
    /// Whoever uses this machine.
    Local(Option<SocketAddr>),
    SignedIn {
        person: SignedIn,
        /// From this machine too.
        local: bool,
    },
}

/// What an order, or a page, takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    Read(&'a RepositoryName),
    Write(&'a RepositoryName),
    /// To run this server.
    Administer,
}

/// What a person acts on the forge with: their own token, so that the forge's rules hold.
#[derive(Debug, Clone)]
pub struct UserToken {
    pub user: UserId,
    pub login: String,
    pub token: Secret,
}

/// Which repositories somebody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readable {
    Everything,
    These(BTreeSet<RepositoryName>),
}

impl Readable {
    pub fn has(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Everything => true,
            Self::These(names) => names.contains(repository),
        }
    }
}

/// How a repository came to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Of this disk.
    Here,
    GitHub(Visibility),
    /// It is not served any more; what was said of it is still known.
    Gone,
}

const SIGN_IN: &str = "Sign in to act here.";
const NOT_A_WRITER: &str = "Only for those who may write to the repository.";
const NOT_AN_ADMINISTRATOR: &str = "Only for the administrators whom the server's configuration names.";

impl FromRequest for Actor {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let actor = request.extensions().get::<Actor>().cloned();
        ready(actor.ok_or_else(|| Fault::internal("a request that the guard did not see")))
    }
}

impl Actor {
    pub async fn of(site: &Site, request: &HttpRequest) -> Result<Self, Fault> {
        let local = csrf::comes_straight(request) && site.neighbours.has(request).await;
        let nobody = || if local { Who::Local(request.peer_addr()) } else { Who::Anybody };
        let sign_in = site.sign_in();
        let person = match &sign_in {
            Some(sign_in) => sign_in.who(request.headers()).await?,
            None => None,
        };
        let form_token = match &person {
            Some(person) => person.form_token.clone(),
            None => csrf::token(request)?,
        };
        let who = person.map_or_else(nobody, |person| Who::SignedIn { person, local });
        let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
        let sign_in = sign_in.map(|sign_in| (sign_in, format!("/auth/github/login?return={}", query_value(here))));
        Ok(Self(Rc::new(Known { who, form_token, sign_in })))
    }

    pub fn who(&self) -> &Who {
        &self.0.who
    }

    /// What the forms of this visitor's pages carry.
    pub fn form_token(&self) -> &str {
        &self.0.form_token
    }

    fn sign_in(&self) -> Option<&Arc<SignIn>> {
        self.0.sign_in.as_ref().map(|(sign_in, _)| sign_in)
    }

    /// All repositories are of this disk, and for whoever reaches the pages.
    fn knows_no_forge(&self, site: &Site) -> bool {
        self.sign_in().is_none() && site.house.github().is_none_or(|github| github.app().is_none())
    }

    /// Whoever uses this machine.
    pub fn is_local(&self) -> bool {
        match &self.0.who {
            Who::Anybody => false,
            Who::Local(_) => true,
            Who::SignedIn { local, .. } => *local,
        }
    }

    /// Somebody, and really they: the request comes from one of our own pages.
    pub fn check(&self, request: &HttpRequest, field: Option<&str>) -> Result<(), Fault> {
        let expected = match (&self.0.who, self.sign_in()) {
            (Who::SignedIn { person, .. }, Some(sign_in)) => {
                Expected::Session { token: &person.form_token, authority: sign_in.authority() }
            }
            (Who::Anybody, _) | (Who::SignedIn { .. }, None) => return Err(self.nobody()),
            (Who::Local(_), _) => Expected::Cookie,
        };
        csrf::check(request, field, expected)
    }

    fn nobody(&self) -> Fault {
        match self.0.sign_in {
            Some(_) => Fault::new(StatusCode::UNAUTHORIZED, "sign_in_needed", "Sign in first."),
            None => Fault::forbidden("local_only", csrf::LOCAL_ONLY),
        }
    }

    /// Whether the visitor has the right; the forge may be asked.
    pub async fn needs(&self, site: &Site, right: Right<'_>) -> Result<(), Fault> {
        if self.is_local() || self.administers(site) {
            return Ok(());
        }
        match right {
            Right::Administer => match &self.0.who {
                Who::SignedIn { .. } => Err(Fault::forbidden("not_an_administrator", NOT_AN_ADMINISTRATOR)),
                Who::Anybody | Who::Local(_) => Err(self.nobody()),
            },
            Right::Write(repository) => {
                let Who::SignedIn { person, .. } = &self.0.who else { return Err(self.nobody()) };
                match origin(site, repository).await? {
                    // nobody on the forge has rights in a repository of this disk
                    Origin::Here | Origin::Gone => Err(Fault::forbidden("not_an_administrator", NOT_AN_ADMINISTRATOR)),
                    Origin::GitHub(_) if self.permission(person, repository).await? >= Permission::Write => Ok(()),
                    Origin::GitHub(_) => Err(Fault::forbidden("not_a_writer", NOT_A_WRITER)),
                }
            }
            Right::Read(repository) => match (origin(site, repository).await?, &self.0.who) {
                (Origin::Here | Origin::GitHub(Visibility::Everyone), _) => Ok(()),
                (Origin::Gone, _) if self.knows_no_forge(site) => Ok(()),
                (Origin::GitHub(Visibility::Private), Who::SignedIn { person, .. })
                    if self.permission(person, repository).await? >= Permission::Read =>
                {
                    Ok(())
                }
                (Origin::GitHub(Visibility::Private) | Origin::Gone, _) => Err(self.hidden()),
            },
        }
    }

    /// Whether there is such a thing is not told either.
    pub fn hidden(&self) -> Fault {
        Fault::not_found(match (&self.0.who, &self.0.sign_in) {
            (Who::Anybody, Some(_)) => "There is no such page, or it is for those only who sign in and may read the repository.",
            _ => "There is no such page, or it is of a repository that you may not read.",
        })
    }

    async fn permission(&self, person: &SignedIn, repository: &RepositoryName) -> Result<Permission, Fault> {
        let sign_in = self.sign_in().ok_or_else(|| self.nobody())?;
        sign_in.permission(person, repository).await
    }

    /// Whether the visitor runs this server, or uses its machine: paths on its disk and the words of its tools are for them; and for
    /// everybody where nobody can be told from anybody.
    pub fn runs_the_house(&self, site: &Site) -> bool {
        self.is_local() || self.administers(site) || self.knows_no_forge(site)
    }

    /// Which repositories the visitor may read, for pages that show things of many. A forge that does not answer opens none.
    pub async fn readable(&self, site: &Site) -> Result<Readable, Fault> {
        if self.is_local() || self.administers(site) {
            return Ok(Readable::Everything);
        }
        let mut names: BTreeSet<RepositoryName> =
            site.house.settings().current.repositories.iter().map(|configured| configured.name.clone()).collect();
        let (private, public): (Vec<_>, Vec<_>) =
            site.house.db.github_repositories().await?.into_iter().partition(|(_, of)| *of == Visibility::Private);
        if private.is_empty() && self.knows_no_forge(site) {
            return Ok(Readable::Everything);
        }
        names.extend(public.into_iter().map(|(name, _)| name));
        if let Who::SignedIn { person, .. } = &self.0.who {
            let asked = private.into_iter().map(async |(name, _)| {
                let permission = self.permission(person, &name).await;
                if let Err(fault) = &permission {
                    tracing::warn!("{} is not shown to {self}: {fault}", name);
                }
                permission.is_ok_and(|permission| permission >= Permission::Read).then_some(name)
            });
            names.extend(join_all(asked).await.into_iter().flatten());
        }
        Ok(Readable::These(names))
    }

    /// Why the visitor has not the right, as far as that is known without asking anybody: a page must not wait for the forge.
    pub fn lacks(&self, site: &Site, right: Right<'_>) -> Option<&'static str> {
        if self.is_local() || self.administers(site) {
            return None;
        }
        let person = match (&self.0.who, &self.0.sign_in) {
            (Who::SignedIn { person, .. }, _) => person,
            (Who::Anybody | Who::Local(_), Some(_)) => return Some(SIGN_IN),
            (Who::Anybody | Who::Local(_), None) => return Some(csrf::LOCAL_ONLY),
        };
        match right {
            Right::Administer => Some(NOT_AN_ADMINISTRATOR),
            Right::Read(repository) | Right::Write(repository) if is_of_disk(site, repository) => Some(NOT_AN_ADMINISTRATOR),
            Right::Read(repository) | Right::Write(repository) => {
                let known = self.sign_in().and_then(|sign_in| sign_in.known_permission(person.user.id, repository));
                known.filter(|permission| *permission < Permission::Write).map(|_| NOT_A_WRITER)
            }
        }
    }

    /// Why there is no point in any button, whatever it is about.
    pub fn nobody_because(&self) -> Option<&'static str> {
        match (&self.0.who, &self.0.sign_in) {
            (Who::SignedIn { .. } | Who::Local(_), _) => None,
            (Who::Anybody, Some(_)) => Some(SIGN_IN),
            (Who::Anybody, None) => Some(csrf::LOCAL_ONLY),
        }
    }

    /// What the person acts with on a repository of the forge.
    pub async fn token(&self, site: &Site, repository: &RepositoryName) -> Result<UserToken, Fault> {
        let (Who::SignedIn { person, .. }, Some(sign_in)) = (&self.0.who, self.sign_in()) else {
            return Err(match self.0.sign_in {
                Some(_) => self.nobody(),
                None => Fault::forbidden(
                    "sign_in_needed",
                    "For that you have to be signed in, and nobody can sign in here: docs/github.md.",
                ),
            });
        };
        match origin(site, repository).await? {
            Origin::GitHub(_) => {}
            Origin::Here | Origin::Gone => {
                return Err(Fault::forbidden("not_on_github", format!("{repository} is not a repository on GitHub.")));
            }
        }
        let tokens = sign_in.tokens(person).await?;
        let token = Secret::new(tokens.access.secret().as_str());
        Ok(UserToken { user: person.user.id, login: person.user.login.clone(), token })
    }

    /// What a page with forms sets. A session's forms need none: their token comes from the session.
    pub fn form_cookie(&self) -> Option<String> {
        match self.0.who {
            Who::SignedIn { .. } => None,
            Who::Anybody | Who::Local(_) => Some(csrf::cookie(&self.0.form_token)),
        }
    }

    /// By the forge's number.
    pub fn user(&self) -> Option<UserId> {
        match &self.0.who {
            Who::SignedIn { person, .. } => Some(person.user.id),
            Who::Anybody | Who::Local(_) => None,
        }
    }

    /// What the head of each page shows.
    pub fn corner(&self) -> Corner {
        match (&self.0.who, &self.0.sign_in) {
            (Who::SignedIn { person, .. }, _) => {
                Corner::SignedIn { login: person.user.login.clone(), form_token: self.0.form_token.clone() }
            }
            (Who::Anybody | Who::Local(_), Some((_, href))) => Corner::SignIn { href: href.clone() },
            (Who::Anybody | Who::Local(_), None) => Corner::Empty,
        }
    }

    /// Named by the configuration.
    pub fn administers(&self, site: &Site) -> bool {
        self.user().is_some_and(|user| site.house.settings().current.sign_in.administrators.contains(&user))
    }
}

fn is_of_disk(site: &Site, repository: &RepositoryName) -> bool {
    site.house.settings().current.repositories.iter().any(|configured| configured.name == *repository)
}

async fn origin(site: &Site, repository: &RepositoryName) -> Result<Origin, Fault> {
    if is_of_disk(site, repository) {
        return Ok(Origin::Here);
    }
    let found = site.house.db.github_repositories().await?.into_iter().find(|(name, _)| name == repository);
    Ok(found.map_or(Origin::Gone, |(_, visibility)| Origin::GitHub(visibility)))
}

/// For the log.
impl Actor {
    /// As everybody may read it: by name, and without an address.
    pub fn shown(&self) -> &str {
        match &self.0.who {
            Who::Anybody => "somebody",
            Who::Local(_) => "somebody on the server itself",
            Who::SignedIn { person, .. } => &person.user.login,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.who {
            Who::Anybody => f.write_str("nobody known"),
            Who::Local(Some(peer)) => write!(f, "{peer}"),
            Who::Local(None) => f.write_str("this machine"),
            Who::SignedIn { person, .. } => write!(f, "{} (user {})", person.user.login, person.user.id),
        }
    }
}
