//! Build logs as text, and as they grow.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::fault::Fault;
use super::site::Site;
use super::sse;
use crate::store::logs::{LogChunk, LogPlace, LogRange, Phase, Until};

#[derive(serde::Deserialize)]
pub struct LogQuery {
    tail: Option<String>,
    offset: Option<String>,
}

/// `GET /api/logs/{id}`: the latest attempt
pub async fn latest(
    site: web::Data<Site>,
    id: web::Path<String>,
    query: web::Query<LogQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Fault> {
    log(&site, &id, None, &query, &request).await
}

/// `GET /api/logs/{id}/{timestamp}`
pub async fn one(
    site: web::Data<Site>,
    path: web::Path<(String, String)>,
    query: web::Query<LogQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Fault> {
    let (id, attempt) = path.into_inner();
    log(&site, &id, Some(&attempt), &query, &request).await
}

async fn log(
    site: &Site,
    id: &str,
    attempt: Option<&str>,
    query: &LogQuery,
    request: &HttpRequest,
) -> Result<HttpResponse, Fault> {
    let range = range(query)?;
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") && request.method() != Method::HEAD {
        return follow(site, id, attempt, range, request).await;
    }
    let log = place(site, id, attempt, range).await?;
    // never as a whole in memory: a log may be long, and its reader slow
    let chunks = site.house.logs.follow(id, Some(&log.attempt.to_string()), log.offset, Until::Offset(log.length));
    let live = HeaderValue::from_static(if log.live { "true" } else { "false" });
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((HeaderName::from_static("x-log-attempt"), log.attempt.to_string()))
        .insert_header((HeaderName::from_static("x-log-offset"), log.offset.to_string()))
        .insert_header((HeaderName::from_static("x-log-live"), live))
        .streaming(chunks.map(|chunk| chunk.map(|chunk| chunk.bytes))))
}

fn range(query: &LogQuery) -> Result<LogRange, Fault> {
    match (&query.tail, &query.offset) {
        (Some(_), Some(_)) => Err(Fault::bad_request("Ask for a tail or for an offset, not for both.")),
        (Some(tail), None) => {
            tail.parse().map(LogRange::Tail).map_err(|_| Fault::bad_request(format!("“{tail}” is not a number of lines.")))
        }
        (None, Some(offset)) => {
            offset.parse().map(LogRange::From).map_err(|_| Fault::bad_request(format!("“{offset}” is not a number of bytes.")))
        }
        (None, None) => Ok(LogRange::All),
    }
}

/// A log that is there, or a fault that says it isn't.
async fn place(site: &Site, id: &str, attempt: Option<&str>, range: LogRange) -> Result<LogPlace, Fault> {
    let log = site.house.logs.place(id, attempt, range).await.map_err(Fault::internal)?;
    log.ok_or_else(|| match attempt {
        Some(attempt) => Fault::not_found(format!("There is no log of an attempt at {attempt} to build {id}.")),
        None => Fault::not_found(format!("There is no log of {id}.")),
    })
}

async fn follow(
    site: &Site,
    id: &str,
    attempt: Option<&str>,
    range: LogRange,
    request: &HttpRequest,
) -> Result<HttpResponse, Fault> {
    // a browser that lost its connection says how far it got
    let resumed = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse::<u64>().ok());
    let range = resumed.map_or(range, LogRange::From);
    // What is appended meanwhile comes after this offset. The attempt is fixed here, so that a newer one that begins at this moment is
    // not mistaken for this one's end.
    let found = place(site, id, attempt, range).await?;
    let offset = match range {
        LogRange::From(offset) => offset,
        LogRange::All | LogRange::Tail(_) => found.offset,
    };
    let chunks = site.house.logs.follow(id, Some(&found.attempt.to_string()), offset, Until::Ended);
    sse::answer(&site.streams, whole_lines(chunks, offset), site.house.closing.clone())
}

/// Events of whole lines, each with the offset after it as its id; the last one is `end`. A `phase` comes before its first line.
fn whole_lines(chunks: impl Stream<Item = std::io::Result<LogChunk>> + 'static, offset: u64) -> impl Stream<Item = Bytes> {
    let begin = Lines { offset, held: Vec::new(), chunks: Some(Box::pin(chunks)) };
    stream::unfold(begin, |mut lines| async move {
        loop {
            let chunks = lines.chunks.as_mut()?;
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    if let Some(events) = lines.take(&chunk) {
                        return Some((events, lines));
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!("a log can't be followed any further: {error}");
                    lines.chunks = None;
                    return Some((sse::event(Some("broken"), None, "{}"), lines));
                }
                None => {
                    lines.chunks = None;
                    return Some((lines.end(), lines));
                }
            }
        }
    })
}

fn phase(phase: &Phase) -> Bytes {
    sse::event(Some("phase"), None, &serde_json::json!({"name": phase.name, "line": phase.line}).to_string())
}

struct Lines<S> {
    /// Of the first byte that is held.
    offset: u64,
    /// The beginning of a line, perhaps of a character.
    held: Vec<u8>,
    chunks: Option<S>,
}

impl<S> Lines<S> {
    fn take(&mut self, chunk: &LogChunk) -> Option<Bytes> {
        let phases: Vec<Bytes> = chunk.phases.iter().map(phase).collect();
        // of what was held before, there is no line end
        let end = chunk.bytes.iter().rposition(|b| *b == b'\n').map(|at| self.held.len() + at + 1);
        self.held.extend_from_slice(&chunk.bytes);
        let Some(end) = end else { return (!phases.is_empty()).then(|| phases.concat().into()) };
        let rest = self.held.split_off(end);
        let whole = std::mem::replace(&mut self.held, rest);
        let lines = self.event(&whole);
        Some(if phases.is_empty() { lines } else { [phases.concat().into(), lines].concat().into() })
    }

    fn event(&mut self, whole: &[u8]) -> Bytes {
        self.offset += whole.len() as u64;
        // a lone carriage return rewrites its line: it must not become a line of its own
        let text = String::from_utf8_lossy(whole);
        let lines = super::view::ansi::split(&text).collect::<Vec<_>>().join("\n");
        sse::event(None, Some(self.offset), &format!("{lines}\n"))
    }

    fn end(&mut self) -> Bytes {
        let mut last = Vec::new();
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            last.extend_from_slice(&self.event(&held));
        }
        last.extend_from_slice(&sse::event(Some("end"), Some(self.offset), &format!("{{\"bytes\":{}}}", self.offset)));
        last.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn followed(chunks: &[&[u8]], offset: u64) -> String {
        let mut at = offset;
        let chunks = chunks
            .iter()
            .map(|bytes| {
                let chunk = LogChunk { offset: at, bytes: Bytes::copy_from_slice(bytes), phases: Vec::new() };
                at += bytes.len() as u64;
                Ok(chunk)
            })
            .collect::<Vec<_>>();
        let events = whole_lines(stream::iter(chunks), offset).collect::<Vec<_>>().await;
        String::from_utf8(events.concat()).unwrap()
    }

    #[actix_web::test]
    async fn lines_and_characters_are_never_cut() {
        let text = followed(&["one\ntw".as_bytes(), b"o \xc3", b"\xa4\nlast"], 10).await;
        assert_eq!(
            text,
            "id: 14\ndata: one\ndata: \n\nid: 21\ndata: two ä\ndata: \n\nid: 25\ndata: last\ndata: \n\nevent: end\nid: 25\ndata: {\"bytes\":25}\n\n"
        );
    }

    #[actix_web::test]
    async fn a_rewritten_line_is_one_line() {
        assert!(followed(&[b"10%\r99%\r\nnext\n"], 0).await.starts_with("id: 14\ndata: 99%\ndata: next\ndata: \n\n"));
    }
}
