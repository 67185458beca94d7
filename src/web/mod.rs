//! The web: pages, JSON, events, health and metrics. Owns the routes, the look (`view/`, pure), sign-in and what guards them
//! (headers, CSRF, rights). It reads the database and the logs and asks actors through [`House`]; only the `serve` and `demo` commands start it.

mod actions;
mod alarms;
mod api;
mod assets;
mod auth;
mod branch;
mod chain;
mod cookies;
mod costly;
mod csrf;
mod deeds;
mod derivation;
mod diff;
mod events;
mod fault;
mod gate;
mod github;
mod guard;
mod health;
mod kept;
mod lists;
mod logs;
mod neighbour;
mod openapi;
mod pages;
mod reviewed;
mod rights;
mod search;
mod setup;
pub mod sign_in;
mod site;
mod sse;
mod tree;
pub mod view;

#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, Resource, Route, guard as guards, web};

use nix::sys::resource::{Resource as Limit, getrlimit};

use crate::actors::house::House;
use sign_in::Entrance;
use site::Site;

/// Pages take milliseconds: two threads answer more than a curator can ask.
const WORKERS: usize = 2;
/// Of the files that this process may have open, the part that connections may be; the rest is for reviews. More wait until others end.
const CONNECTIONS: u64 = 4;
/// For requests under way when the house closes; streams end by themselves at once.
const SHUTDOWN_SECONDS: u64 = 5;

/// Serves until `house.closing` is cancelled; then streams end and requests under way are finished. Needs a tokio runtime or an
/// actix system around it. Handles no signals.
pub async fn serve(house: House, entrance: Option<Arc<Entrance>>, listener: TcpListener) -> io::Result<()> {
    let closing = house.closing.clone();
    let site = web::Data::new(Site::new(house, entrance));
    let server = HttpServer::new(move || {
        App::new().app_data(site.clone()).wrap(from_fn(guard::guard)).wrap(Compress::default()).configure(routes)
    })
    // an answer is written in pieces: each would otherwise wait for the receipt of the one before, which takes 40 ms
    .on_connect(|connection, data| {
        let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection keeps its delay: {error}");
        }
        if let Some(connection) = neighbour::Connection::of(stream) {
            data.insert(connection);
        }
    })
    // what is open here, and what a page reads, has to stay far below what a process may open
    .max_connections(connections())
    .workers(WORKERS)
    .disable_signals()
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .listen(listener)?
    .run();
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = closing.cancelled() => {}
    }
    // the order to stop is carried out by the server itself: both have to be driven
    let ((), ended) = tokio::join!(handle.stop(true), server);
    ended
}

/// At once, of each worker.
fn connections() -> usize {
    let files = getrlimit(Limit::RLIMIT_NOFILE).map_or(1024, |(now, _)| now);
    usize::try_from(files / CONNECTIONS).unwrap_or(usize::MAX).clamp(64, 16_384) / WORKERS
}

/// `GET`, and `HEAD` as its shadow.
fn get() -> Route {
    web::route().guard(guards::Any(guards::Get()).or(guards::Head()))
}

fn routes(config: &mut web::ServiceConfig) {
    let pages = [
        ("/", get().to(pages::pulls)),
        ("/r/{owner}/{repo}", get().to(pages::repository)),
        ("/r/{owner}/{repo}/pull/{n}", get().to(pages::pull)),
        ("/r/{owner}/{repo}/branch/{branch:.+}", get().to(branch::branch)),
        ("/reviews/{id}", get().to(pages::review)),
        ("/reviews/{id}/tree/{drv}", get().to(tree::tree)),
        ("/reviews/{id}/chain", get().to(chain::chain)),
        ("/drv/{id}", get().to(derivation::derivation)),
        ("/search", get().to(search::page)),
        ("/queue", get().to(pages::queue)),
        ("/builders", get().to(pages::builders)),
        ("/settings", get().to(pages::settings)),
        ("/setup/github", get().to(setup::page)),
        ("/setup/github/callback", web::get().to(setup::callback)),
        ("/sessions", get().to(auth::sessions)),
        ("/auth/github/login", web::get().to(auth::login)),
        (sign_in::CALLBACK, web::get().to(auth::callback)),
        ("/auth/sign-out", web::post().to(auth::sign_out)),
        ("/assets/{name}", get().to(assets::asset)),
        ("/favicon.ico", get().to(assets::favicon)),
    ];
    let programs = [
        ("/api/repositories", get().to(api::repositories)),
        ("/api/pulls", get().to(api::pulls)),
        ("/api/reviews/{id}", get().to(reviewed::review)),
        ("/api/reviews/{id}/{action}", web::post().to(actions::review)),
        ("/api/derivations/{id}", get().to(api::derivation)),
        ("/api/derivations/{id}/retry", web::post().to(actions::retry)),
        ("/api/logs/{id}", get().to(logs::latest)),
        ("/api/logs/{id}/{timestamp}", get().to(logs::one)),
        ("/api/search", get().to(search::json)),
        ("/api/builders", get().to(api::builders)),
        ("/api/builders/{name}/{action}", web::post().to(actions::builder)),
        ("/api/queue/stats", get().to(api::queue_stats)),
        ("/api/queue/packages", get().to(api::queue_packages)),
        ("/api/users/{user}/sign-out", web::post().to(auth::sign_out_everywhere)),
        ("/api/alarms", get().to(alarms::list)),
        ("/api/alarms/{id}/acknowledge", web::post().to(alarms::acknowledge)),
        ("/api/alarms/{id}/{side}", get().to(alarms::side)),
        ("/api/events", web::get().to(events::events)),
        ("/api/openapi.json", get().to(openapi::document)),
        ("/healthz", get().to(health::healthz)),
        ("/metrics", get().to(health::metrics)),
    ];
    for (path, route) in pages.into_iter().chain(programs) {
        config.service(Resource::new(path).wrap(from_fn(gate::gate)).route(route));
    }
    config.service(Resource::new("/webhooks/github").route(web::post().to(github::webhook)));
    config.service(web::scope("/api").default_service(web::route().to(api::nothing_here)));
    config.default_service(web::route().to(pages::nothing_here));
}
