//! Who may order something.

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A button pressed on a page, on this machine.
fn pressed(action: &str) -> TestRequest {
    posted(&format!("/api/reviews/00c0ffee00c0ffee/{action}"))
}

fn posted(address: &str) -> TestRequest {
    TestRequest::post()
        .uri(address)
        .peer_addr("127.0.0.1:40000".parse().unwrap())
        .insert_header((header::HOST, "localhost:8080"))
        .insert_header((header::ORIGIN, "http://localhost:8080"))
        .insert_header(("sec-fetch-site", "same-origin"))
        .insert_header((header::COOKIE, format!("other=1; snowgate_csrf={TOKEN}")))
        .set_payload(format!("csrf={TOKEN}"))
}

#[actix_web::test]
async fn a_button_on_our_page_on_this_machine_orders() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (status, body) = text(world.ask(pressed("rerun")).await).await;
    assert_eq!((status, body.as_str()), (StatusCode::ACCEPTED, "{\"id\":\"00c0ffee00c0ffee\",\"action\":\"rerun\"}"));
    assert_eq!(*world.crew.orders.lock().unwrap(), ["rerun 00c0ffee00c0ffee"]);
    let answer = world.ask(pressed("rerun").insert_header((header::ACCEPT, "text/html"))).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "/r/local/packages/pull/3");
    let (status, body) = text(world.ask(pressed("cancel")).await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(body.contains("The review has ended already."), "{body}");
}

#[actix_web::test]
async fn an_alarm_is_acknowledged_once_and_by_whoever_may() {
    let world = World::new();
    let id = alarm(&world).await;
    let address = format!("/api/alarms/{id}/acknowledge");
    for forged in [posted(&address).peer_addr("10.0.0.7:40000".parse().unwrap()), posted(&address).set_payload("")] {
        assert_eq!(world.ask(forged).await.status(), StatusCode::FORBIDDEN);
    }
    assert!(world.house.db.eval_alarms().await.unwrap()[0].acknowledged_at.is_none());
    let answer = world.ask(posted(&address).insert_header((header::ACCEPT, "text/html"))).await;
    assert_eq!(
        (answer.status(), answer.headers().get(header::LOCATION).unwrap()),
        (StatusCode::SEE_OTHER, &"/settings".parse().unwrap())
    );
    assert!(world.house.db.eval_alarms().await.unwrap()[0].acknowledged_at.is_some());
    assert_eq!(world.ask(posted(&address)).await.status(), StatusCode::OK);
    assert_eq!(world.ask(posted("/api/alarms/99/acknowledge")).await.status(), StatusCode::NOT_FOUND);
    let (_, page) = world.get("/settings").await;
    assert!(page.contains("1 acknowledged alarm") && !page.contains("role=\"alert\""), "{page}");
}

#[actix_web::test]
async fn the_form_on_the_page_has_the_cookies_token() {
    let world = World::new().with_review(&samples::blocked()).await;
    let answer = world.ask(TestRequest::get().uri("/r/local/packages/pull/3")).await;
    let cookie = answer.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let token = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let (_, page) = text(answer).await;
    assert!(page.contains(&format!("name=\"csrf\" value=\"{token}\"")));
    assert!(page.contains("disabled"), "a visitor from elsewhere sees that the button is not for him");
}

#[actix_web::test]
async fn nobody_else_orders() {
    let world = World::new().with_review(&samples::blocked()).await;
    let forged = [
        ("from another machine", pressed("rerun").peer_addr("10.0.0.7:40000".parse().unwrap())),
        ("through a proxy", pressed("rerun").insert_header(("x-forwarded-for", "10.0.0.7"))),
        (
            "a foreign name that points here",
            pressed("rerun").insert_header((header::HOST, "evil.example")).insert_header((header::ORIGIN, "http://evil.example")),
        ),
        ("from another site", pressed("rerun").insert_header((header::ORIGIN, "https://evil.example"))),
        ("from a sandboxed frame", pressed("rerun").insert_header((header::ORIGIN, "null"))),
        ("cross-site, says the browser", pressed("rerun").insert_header(("sec-fetch-site", "cross-site"))),
        ("from another port", pressed("rerun").insert_header(("sec-fetch-site", "same-site"))),
        ("without the token", pressed("rerun").set_payload("")),
        ("with another token", pressed("rerun").set_payload("csrf=ffffffffffffffffffffffffffffffff")),
        ("with an empty cookie", pressed("rerun").insert_header((header::COOKIE, "snowgate_csrf=")).set_payload("csrf=")),
        ("what needs an account", pressed("merge")),
    ];
    for (who, request) in forged {
        let (status, body) = text(world.ask(request).await).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{who}");
        assert!(body.starts_with("{\"error\":{\"code\":"), "{who}: {body}");
    }
    assert!(world.crew.orders.lock().unwrap().is_empty());
    let (status, page) =
        text(world.ask(pressed("rerun").set_payload("").insert_header((header::ACCEPT, "text/html"))).await).await;
    assert!(status == StatusCode::FORBIDDEN && page.starts_with("<!DOCTYPE html>"));
}

#[actix_web::test]
async fn a_review_is_raised_from_the_queue_and_a_builder_is_drained() {
    let world = World::new().with_review(&samples::begun()).await;
    let html = |request: TestRequest| request.insert_header((header::ACCEPT, "text/html"));
    let location = |answer: &ServiceResponse<_>| answer.headers().get(header::LOCATION).unwrap().to_str().unwrap().to_owned();
    assert_eq!(world.ask(pressed("bump")).await.status(), StatusCode::ACCEPTED);
    let answer = world.ask(html(pressed("bump")).set_payload(format!("csrf={TOKEN}&back=queue"))).await;
    assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, "/queue".into()));
    let answer = world.ask(html(pressed("bump")).set_payload(format!("csrf={TOKEN}&back=//evil.example"))).await;
    assert_eq!(location(&answer), "/r/local/packages/pull/3");
    let answer = world.ask(html(posted("/api/builders/far%20away/drain"))).await;
    assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, "/builders".into()));
    assert_eq!(world.ask(posted("/api/builders/local/undrain")).await.status(), StatusCode::ACCEPTED);
    let bump = "bump 00c0ffee00c0ffee";
    assert_eq!(*world.crew.orders.lock().unwrap(), [bump, bump, bump, "drain far away", "undrain local"]);

    let (status, body) = text(world.ask(posted("/api/builders/nobody/drain")).await).await;
    assert!(status == StatusCode::NOT_FOUND && body.contains("There is no builder named nobody."), "{body}");
    assert_eq!(world.ask(posted("/api/builders/local/burn")).await.status(), StatusCode::NOT_FOUND);
    let forged = posted("/api/builders/local/drain").peer_addr("10.0.0.7:40000".parse().unwrap());
    assert_eq!(world.ask(forged).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.ask(posted("/api/builders/local/drain").set_payload("")).await.status(), StatusCode::FORBIDDEN);
}

#[actix_web::test]
async fn a_remembered_failure_is_built_again_by_one_click() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (id, time, _) = attempt(&world, &["one"], true).await;
    let drv = samples::drv(7_001, "libfoo-2.0");
    let db = &world.house.db;
    // a second attempt, which an open pull request waited for
    let review = Some("00c0ffee00c0ffee".into());
    let new = NewAttempt { drv: drv.clone(), time: "20261120T125000.000Z".into(), builder: "local".into(), review };
    db.start_attempt(new).await.unwrap();
    db.remember(&drv, Outcome::Failed, None, Duration::from_secs(60)).await.unwrap();
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(page.contains(&format!("action=\"/api/derivations/{id}/retry\"")) && page.contains("That is remembered"), "{page}");
    assert!(page.contains("4.0 KiB read") && page.contains("2.0 KiB back") && page.contains(&time), "{page}");

    let address = format!("/api/derivations/{id}/retry");
    assert_eq!(world.ask(posted(&address).set_payload("")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(db.outcomes(std::slice::from_ref(&drv)).await.unwrap().len(), 1);
    let (status, body) = text(world.ask(posted(&address)).await).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(body.contains("\"reviews\":[\"00c0ffee00c0ffee\"]"), "{body}");
    assert!(db.outcomes(&[drv]).await.unwrap().is_empty());
    assert_eq!(*world.crew.orders.lock().unwrap(), ["rerun 00c0ffee00c0ffee"]);
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(!page.contains("That is remembered"), "{page}");
    let never = posted(&format!("/api/derivations/{}/retry", samples::drv(9, "never").base_name()));
    assert_eq!(world.ask(never).await.status(), StatusCode::NOT_FOUND);
}
