//! What the self-check found: the list, both sides of each, and that a person has taken note.

use actix_web::http::header::{CONTENT_DISPOSITION, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::actions;
use super::fault::Fault;
use super::rights::{Actor, Right};
use super::site::Site;
use crate::actors::events::Event;
use crate::actors::recorder::kept::Side;
use crate::db::EvalAlarm;
use crate::domain::{JobsetName, ReviewId, System, TreeId};

#[derive(Serialize, JsonSchema)]
pub struct Alarm {
    id: i64,
    /// RFC 3339
    at: String,
    jobset: JobsetName,
    system: System,
    tree: TreeId,
    /// For which it was evaluated.
    review: Option<ReviewId>,
    /// What differed, in a sentence.
    summary: String,
    /// How many attributes differed.
    attrs: u64,
    /// A directory of the server's with both sides; `null` where they could not be kept.
    kept: Option<String>,
    /// RFC 3339
    acknowledged_at: Option<String>,
}

impl From<EvalAlarm> for Alarm {
    fn from(EvalAlarm { id, at, alarm, acknowledged_at }: EvalAlarm) -> Self {
        Self {
            id,
            at: at.to_string(),
            jobset: alarm.jobset,
            system: alarm.system,
            tree: alarm.tree,
            review: alarm.review,
            summary: alarm.summary,
            attrs: alarm.attrs,
            kept: alarm.kept.map(|path| path.display().to_string()),
            acknowledged_at: acknowledged_at.map(|at| at.to_string()),
        }
    }
}

/// `GET /api/alarms`: newest first
pub async fn list(site: web::Data<Site>) -> Result<HttpResponse, Fault> {
    let alarms = site.house.db.eval_alarms().await?;
    Ok(HttpResponse::Ok().json(alarms.into_iter().map(Alarm::from).collect::<Vec<_>>()))
}

/// `GET /api/alarms/{id}/{full,incremental}`: one side, as it was kept
pub async fn side(site: web::Data<Site>, path: web::Path<(String, String)>) -> Result<HttpResponse, Fault> {
    let (id, side) = path.into_inner();
    let side = match side.as_str() {
        "full" => Side::Full,
        "incremental" => Side::Incremental,
        _ => return Err(Fault::not_found(format!("An alarm has the sides `full` and `incremental`, not `{side}`."))),
    };
    let alarm = find(&site, &id).await?;
    let gone = || Fault::not_found(format!("What alarm {id} was about is not kept any more."));
    let file = alarm.alarm.kept.ok_or_else(gone)?.join(side.file_name());
    let bytes = tokio::fs::read(&file).await.map_err(|_| gone())?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"alarm-{}-{}\"", alarm.id, side.file_name())))
        .body(bytes))
}

/// `POST /api/alarms/{id}/acknowledge`
pub async fn acknowledge(
    site: web::Data<Site>,
    id: web::Path<String>,
    actor: Actor,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    actions::sent_by(&actor, &request, &body)?;
    actor.needs(&site, Right::Administer).await?;
    let alarm = find(&site, &id).await?;
    site.house.db.acknowledge_eval_alarm(alarm.id).await?;
    site.house.events.send(Event::Background);
    tracing::info!("alarm {} acknowledged by {actor}", alarm.id);
    if actions::wants_html(&request) {
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/settings")).finish());
    }
    Ok(HttpResponse::Ok().json(json!({"id": alarm.id, "action": "acknowledge"})))
}

async fn find(site: &Site, id: &str) -> Result<EvalAlarm, Fault> {
    let none = || Fault::not_found(format!("There is no alarm {id}."));
    let number: i64 = id.parse().map_err(|_| none())?;
    site.house.db.eval_alarms().await?.into_iter().find(|alarm| alarm.id == number).ok_or_else(none)
}
