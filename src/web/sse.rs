//! Server-sent events: their form, their heartbeat, their end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentEncoding, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::fault::Fault;

/// A proxy that closes silent connections usually waits a minute.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// One event. Line ends of any kind in `data` become events' own line ends, so that nothing in it can begin another field.
pub fn event(name: Option<&str>, id: Option<u64>, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + 32);
    if let Some(name) = name {
        text.push_str("event: ");
        text.push_str(name);
        text.push('\n');
    }
    if let Some(id) = id {
        text.push_str("id: ");
        text.push_str(&id.to_string());
        text.push('\n');
    }
    for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into()
}

/// Streams at once. Each is a connection that stays, and one for each page that somebody looks at.
const STREAMS: usize = 1000;

/// Room for those who listen.
#[derive(Clone)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }
}

/// The answer: the events, a comment now and then, and an end when the house closes.
pub fn answer(
    streams: &Streams,
    events: impl Stream<Item = Bytes> + 'static,
    closing: CancellationToken,
) -> Result<HttpResponse, Fault> {
    let room = streams.0.clone().try_acquire_owned().map_err(|_| {
        let words = "Too many pages are listening already; what is shown is read anew when the page is loaded again.";
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", words)
    })?;
    let events = events.inspect(move |_| {
        // given back when the stream goes
        let _held = &room;
    });
    // the comment makes the headers leave at once; browsers come back two seconds after a break
    let begin = stream::once(async { Bytes::from_static(b"retry: 2000\n: snowgate\n\n") });
    let body = begin.chain(with_heartbeat(events)).take_until(closing.cancelled_owned()).map(Ok::<_, Infallible>);
    let answer = HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // compression would hold events back
        .insert_header(ContentEncoding::Identity)
        .insert_header((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")))
        .streaming(body);
    Ok(answer)
}

fn with_heartbeat(events: impl Stream<Item = Bytes> + 'static) -> impl Stream<Item = Bytes> {
    stream::unfold(Box::pin(events), |mut events| async move {
        match tokio::time::timeout(HEARTBEAT, events.next()).await {
            Ok(event) => event.map(|event| (event, events)),
            Err(_) => Some((Bytes::from_static(b": still here\n\n"), events)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_when_all_streams_are_taken_is_told_so_until_one_ends() {
        let streams = Streams(Arc::new(Semaphore::new(1)));
        let open = || answer(&streams, stream::pending(), CancellationToken::new());
        let first = open().unwrap();
        assert!(open().is_err());
        drop(first);
        assert!(open().is_ok());
    }

    #[test]
    fn data_cannot_begin_another_field() {
        assert_eq!(event(Some("x"), Some(7), "a\nid: 9\r\nb\rc"), "event: x\nid: 7\ndata: a\ndata: id: 9\ndata: b\ndata: c\n\n");
        assert_eq!(event(None, None, ""), "data: \n\n");
    }
}
