//! Pages and documents, found and not found.

use super::*;

#[actix_web::test]
async fn a_curator_finds_the_review_from_the_list() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (status, list) = world.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(list.contains("href=\"/r/local/packages/pull/3\">Update &lt;libfoo&gt; to 2.0</a>"), "{list}");
    assert!(list.contains("blocked") && list.contains("Do not merge yet"));
    let (status, page) = world.get("/r/local/packages/pull/3").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Do not merge yet") && page.contains("undeclared identifier"));
    let (status, page) = world.get("/r/local/packages/pull/3?review=00c0ffee00c0ffee&category=removed").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("1 of 26 changes"));
}

#[actix_web::test]
async fn a_branch_with_a_pull_request_leads_to_it() {
    let world = World::new().with_review(&samples::mergeable()).await;
    let answer = world.ask(TestRequest::get().uri("/r/local/packages/branch/update-libfoo")).await;
    assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "/r/local/packages/pull/3");
    assert_eq!(world.get("/r/local/packages/branch/main").await.0, StatusCode::OK);
    assert_eq!(world.get("/r/local/packages/branch/no/such").await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/r/local/packages").await.0, StatusCode::OK);
    let answer = world.ask(TestRequest::get().uri("/reviews/00c0ffee00c0ffee")).await;
    assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "/r/local/packages/pull/3?review=00c0ffee00c0ffee");
}

#[actix_web::test]
async fn a_report_that_changed_is_read_again() {
    let mut report = samples::begun();
    let world = World::new().with_review(&report).await;
    let site = Site::new(world.house.clone(), None).among_users();
    let seen =
        async || site.report(&world.house.db.review(&report.id).await.unwrap().unwrap()).await.unwrap().verdict.summary.clone();
    assert_eq!(seen().await, "Evaluating base and head.");
    (report.state, report.verdict.decision, report.verdict.summary) = (State::Complete, Decision::Mergeable, "Merge it.".into());
    world.house.db.save_report(&report).await.unwrap();
    assert_eq!(
        site.report(&world.house.db.review(&report.id).await.unwrap().unwrap()).await.unwrap().verdict.summary,
        "Merge it."
    );
}

#[actix_web::test]
async fn the_report_is_the_same_document_as_json() {
    let report = samples::blocked();
    let world = World::new().with_review(&report).await;
    let (status, mut json) = world.json("/api/reviews/00c0ffee00c0ffee").await;
    assert_eq!(status, StatusCode::OK);
    // what people think of it stands beside what the report says
    assert_eq!(json.as_object_mut().unwrap().remove("opinions"), Some(serde_json::json!([])));
    assert_eq!(json, serde_json::to_value(&report).unwrap());
    let (_, pulls) = world.json("/api/pulls?repository=local/packages&state=open&order=number").await;
    assert_eq!(pulls[0]["review"]["decision"], "blocked");
    assert_eq!(pulls[0]["number"], 3);
    let (_, repositories) = world.json("/api/repositories").await;
    assert_eq!(repositories[0]["name"], "local/packages");
}

#[actix_web::test]
async fn what_is_not_there_is_said_in_the_visitors_form() {
    let world = World::new().with_review(&samples::blocked()).await;
    for address in [
        "/nowhere",
        "/r/local/none",
        "/r/local/packages/pull/4",
        "/r/local/packages/pull/x",
        "/r/local/packages/pull/3?review=ffff",
        "/reviews/ffff",
        "/drv/x",
        "/drv/..%2F..%2Fetc%2Fpasswd",
        "/assets/other.css",
    ] {
        let (status, page) = world.get(address).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert!(page.starts_with("<!DOCTYPE html>"), "{address}: {page}");
    }
    for address in ["/r/local/packages/pull/3?category=x", "/?order=x", "/r/local/packages/pull/3?page=0", "/queue?waiting=x"] {
        let (status, page) = world.get(address).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{address}");
        assert!(page.starts_with("<!DOCTYPE html>"), "{address}");
    }
    for address in ["/api/nowhere", "/api", "/api/reviews/ffff", "/api/logs/x", "/api/logs/..%2Fx/y", "/api/derivations/x"] {
        let (status, json) = world.json(address).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert_eq!(json["error"]["code"], "not_found", "{address}");
        assert!(json["error"]["message"].as_str().unwrap().ends_with('.'), "{address}");
    }
    for address in
        ["/api/pulls?state=x", "/api/pulls?page=x", "/api/logs/x?tail=y", "/api/logs/x?offset=-1", "/api/logs/x?tail=1&offset=1"]
    {
        let (status, json) = world.json(address).await;
        assert_eq!((status, &json["error"]["code"]), (StatusCode::BAD_REQUEST, &"bad_request".into()), "{address}");
    }
    let (status, body) = text(world.ask(TestRequest::post().uri("/api/pulls")).await).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(body.contains("\"method_not_allowed\""), "{body}");
    let (status, page) = text(world.ask(TestRequest::delete().uri("/")).await).await;
    assert!(status == StatusCode::METHOD_NOT_ALLOWED && page.starts_with("<!DOCTYPE html>"));
    let (status, body) = text(world.ask(TestRequest::post().uri("/webhooks/github")).await).await;
    assert!(status == StatusCode::NOT_IMPLEMENTED && body.contains("\"github_not_configured\""));
}

#[actix_web::test]
async fn every_answer_carries_the_policy() {
    let world = World::new();
    for address in ["/", "/nowhere", "/api/nowhere", "/api/pulls", "/healthz", "/metrics", "/favicon.ico", "/queue", "/builders"]
    {
        let answer = world.ask(TestRequest::get().uri(address)).await;
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{address}");
        assert_eq!(answer.headers().get(header::X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff", "{address}");
    }
}

#[actix_web::test]
async fn assets_are_kept_for_ever_under_their_own_address() {
    let world = World::new();
    let (_, page) = world.get("/").await;
    for name in ["snowgate.css", "snowgate.js", "icon.svg"] {
        let start = page.find(&format!("/assets/{name}?v=")).unwrap();
        let address = &page[start..start + page[start..].find('"').unwrap()];
        let answer = world.ask(TestRequest::get().uri(address)).await;
        assert!(answer.headers().get(header::CACHE_CONTROL).unwrap().to_str().unwrap().contains("immutable"), "{address}");
        let answer = world.ask(TestRequest::get().uri(&format!("/assets/{name}?v=old"))).await;
        assert_eq!(answer.headers().get(header::CACHE_CONTROL).unwrap(), "no-cache");
    }
}
