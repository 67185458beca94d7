//! The web: pages, JSON, events, health and metrics. Owns the routes, the look (`view/`, pure) and what guards them (headers,
//! CSRF). It reads the database and the logs and asks actors through [`House`]; only the `serve` and `demo` commands start it.

use std::io;
use std::net::TcpListener;

use crate::actors::house::House;

/// Serves until `house.closing` is cancelled; then streams end and requests under way are finished. Needs a tokio runtime or an
/// actix system around it. Handles no signals.
pub async fn serve(house: House, listener: TcpListener) -> io::Result<()> {
    drop((house, listener));
    todo!()
}
