//! What a request can be answered with when it can't be served: a status, a code for programs and a sentence for people. On `/api`
//! it is JSON, elsewhere a page; `guard` decides, since it sees the request.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::json;

use super::view::message::message_page;
use crate::actors::house::{ActionError, Away};
use crate::db::DbError;

/// Seconds.
const AGAIN: u32 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// What was asked for takes long, and so many ask for such things that the wait would be long too.
    pub fn busy() -> Self {
        let sentence = "Too much that takes long is asked for at this moment; try again in ten seconds.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", sentence)
    }

    /// The cause goes to the log; the reader can't do anything with it.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!("a request failed: {cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong in the house; its log says more.")
    }

    /// For an answer that came with a status and nothing else.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("There is no such page."),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(status, "method_not_allowed", "This address can't be used with that method.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "too_large", "The request is too large."),
            _ if status.is_client_error() => Self::new(status, "bad_request", "The request can't be understood."),
            _ => Self::new(status, "internal", "Something went wrong in the house; its log says more."),
        }
    }

    pub fn json(&self) -> HttpResponse {
        self.answer().json(json!({"error": {"code": self.code, "message": self.message}}))
    }

    fn answer(&self) -> HttpResponseBuilder {
        let mut answer = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((RETRY_AFTER, AGAIN));
        }
        answer
    }

    pub fn html(&self) -> HttpResponse {
        let title = match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::METHOD_NOT_ALLOWED => "Not possible",
            StatusCode::CONFLICT => "Not now",
            StatusCode::SERVICE_UNAVAILABLE => "Not at the moment",
            status if status.is_client_error() => "That can't be meant",
            _ => "Something went wrong",
        };
        self.answer().insert_header(ContentType::html()).body(message_page(title, &self.message).into_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.json()
    }
}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Self {
        match error {
            DbError::NoSuchRepository(name) => Self::not_found(format!("There is no repository {name}.")),
            DbError::NoSuchReview(id) => Self::not_found(format!("There is no review {id}.")),
            DbError::Closed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "The house is closing."),
            DbError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", error.to_string()),
            DbError::Unreadable { .. } | DbError::Failed { .. } => Self::internal(error),
        }
    }
}

impl From<Away> for Fault {
    fn from(away: Away) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", sentence(&away.to_string()))
    }
}

impl From<ActionError> for Fault {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NoSuchReview(_) | ActionError::NoSuchBuilder(_) => Self::not_found(sentence(&error.to_string())),
            ActionError::NotNow(why) => Self::new(StatusCode::CONFLICT, "not_now", sentence(&why)),
            ActionError::Away(away) => away.into(),
            ActionError::Database(error) => error.into(),
        }
    }
}

/// An error's text as a sentence: a capital first, a stop last.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}
