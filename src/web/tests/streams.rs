//! Logs and events, as they are and as they grow.

use super::*;

/// What arrives until `last` does.
async fn until(body: impl MessageBody, last: &str) -> String {
    let mut body = Box::pin(body);
    let mut seen = String::new();
    while !seen.contains(last) {
        let next = std::future::poll_fn(|context| body.as_mut().poll_next(context));
        let bytes =
            tokio::time::timeout(Duration::from_secs(20), next).await.unwrap_or_else(|_| panic!("no {last} after: {seen}"));
        match bytes {
            Some(Ok(bytes)) => seen.push_str(std::str::from_utf8(&bytes).unwrap()),
            Some(Err(_)) | None => break,
        }
    }
    assert!(seen.contains(last), "no {last} in: {seen}");
    seen
}

#[actix_web::test]
async fn a_log_is_read_whole_from_its_end_and_from_anywhere() {
    let world = World::new();
    let (id, time, _) = attempt(&world, &["one", "\u{1b}[31mtwo <b>\u{1b}[0m", "three"], true).await;
    let all = "one\n\u{1b}[31mtwo <b>\u{1b}[0m\nthree\n";
    assert_eq!(world.get(&format!("/api/logs/{id}")).await, (StatusCode::OK, all.into()));
    assert_eq!(world.get(&format!("/api/logs/{id}/{time}?tail=1")).await, (StatusCode::OK, "three\n".into()));
    assert_eq!(world.get(&format!("/api/logs/{id}?offset=4")).await, (StatusCode::OK, all[4..].into()));
    let answer = world.ask(TestRequest::get().uri(&format!("/api/logs/{id}?tail=1"))).await;
    assert_eq!(answer.headers().get("x-log-offset").unwrap(), "21");
    assert!(answer.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().starts_with("text/plain"));
    assert_eq!(world.get(&format!("/api/logs/{id}/20200101T000000.000Z")).await.0, StatusCode::NOT_FOUND);

    let (status, page) = world.get(&format!("/drv/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("<a href=\"?attempt=20261120T124000.123Z&amp;line=2#L2\">2</a><span><span class=\"f1\">two &lt;b&gt;</span></span></li>"),
        "{page}"
    );
    assert!(page.contains("builder failed") && page.contains("2.5 s") && !page.contains("data-follow"));
    assert_eq!(world.get(&format!("/drv/{id}?attempt=20200101T000000.000Z")).await.0, StatusCode::NOT_FOUND);
    let (_, json) = world.json(&format!("/api/derivations/{id}")).await;
    assert_eq!(json["outcome"], "failed");
    assert_eq!(json["attempts"][0]["log_url"], format!("/api/logs/{id}/{time}"));
}

#[actix_web::test]
async fn a_long_log_opens_at_its_end_and_says_what_it_shows() {
    let world = World::new();
    let lines = (1..=5_000).map(|n| format!("line {n}")).collect::<Vec<_>>();
    let (id, ..) = attempt(&world, &lines.iter().map(String::as_str).collect::<Vec<_>>(), true).await;
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(page.contains("Lines 3,001–5,000 of 5,000") && page.contains(">line 5000<") && !page.contains(">line 3000<"));
    let (_, page) = world.get(&format!("/drv/{id}?from=1")).await;
    assert!(page.contains("Lines 1–2,000 of 5,000") && page.contains(">line 1<"));
    // a line is in the middle of what is around it, and near an end the page is full nevertheless
    for (line, shown) in
        [(2_700, "Lines 2,200–4,199"), (4_990, "Lines 3,001–5,000"), (3, "Lines 1–2,000"), (9_999, "Lines 3,001–5,000")]
    {
        let (_, page) = world.get(&format!("/drv/{id}?line={line}")).await;
        assert!(page.contains(shown), "{line}: {page}");
    }
    assert_eq!(world.get(&format!("/drv/{id}?line=x")).await.0, StatusCode::BAD_REQUEST);
    // the whole log is searched, not only the page
    let (_, page) = world.get(&format!("/drv/{id}?find=LINE+49")).await;
    assert!(
        page.contains("111 lines have “LINE 49”.") && page.contains("&amp;line=49&amp;find=LINE%2049#L49\">49</a>"),
        "{page}"
    );
    let (_, page) = world.get(&format!("/drv/{id}?find=line")).await;
    assert!(page.contains("200 lines have “line” among the first 200 of 5,000"), "{page}");
    assert_eq!(world.get(&format!("/drv/{id}?find={}", "x".repeat(201))).await.0, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn a_log_is_followed_while_it_grows_to_its_end() {
    let world = World::new();
    let (id, time, log) = attempt(&world, &["one", "two"], false).await;
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(page.contains(&format!("data-follow=\"/api/logs/{id}/{time}?offset=8\"")), "{page}");
    let ask =
        TestRequest::get().uri(&format!("/api/logs/{id}/{time}?offset=4")).insert_header((header::ACCEPT, "text/event-stream"));
    let answer = world.ask(ask).await;
    assert_eq!(answer.headers().get(header::CONTENT_TYPE).unwrap(), "text/event-stream");
    let mut log = log.unwrap();
    log.phase("installPhase");
    log.line(None, b"three");
    log.finish().unwrap();
    let events = until(answer.into_body(), "event: end").await;
    let phase = "event: phase\ndata: {\"name\":\"installPhase\",\"line\":3}\n\n";
    assert!(events.contains(phase), "{events}");
    let events = events.replace(phase, "");
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(page.contains("line=3#L3\">installPhase</a>"), "{page}");
    let phase = &page[page.find("<details class=\"phase\" open><summary><b>installPhase</b> ").expect("the phase")..];
    assert!(phase.contains("1 line<") && phase.contains("<li id=\"L3\">") && !phase.contains("id=\"L2\""), "{page}");
    let data = events.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    assert_eq!(data, ["two", "three", "{\"bytes\":14}"], "{events}");

    let again = TestRequest::get()
        .uri(&format!("/api/logs/{id}/{time}?offset=4"))
        .insert_header((header::ACCEPT, "text/event-stream"))
        .insert_header(("last-event-id", "8"));
    let events = until(world.ask(again).await.into_body(), "event: end").await;
    assert!(events.contains("data: three") && !events.contains("data: two"), "{events}");
}

#[actix_web::test]
async fn events_are_told_as_they_happen_and_streams_end_with_the_house() {
    let world = World::new();
    let of = |id: &str| Event::Evaluation { id: id.into(), side: crate::domain::Side::Head, done: 1, total: 2, errors: 0 };
    let all = world.ask(TestRequest::get().uri("/api/events")).await;
    let mine = world.ask(TestRequest::get().uri("/api/events?review=a")).await;
    world.house.events.send(of("b"));
    world.house.events.send(of("a"));
    let seen = until(all.into_body(), "\"id\":\"a\"").await;
    assert!(seen.contains("event: evaluation\ndata: {\"event\":\"evaluation\",\"id\":\"b\",\"side\":\"head\""), "{seen}");
    let mine_body = mine.into_body();
    world.house.closing.cancel();
    let mut body = Box::pin(mine_body);
    let mut rest = String::new();
    while let Some(bytes) = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
        rest.push_str(std::str::from_utf8(&bytes.map_err(|_| ()).unwrap()).unwrap());
    }
    assert!(!rest.contains("\"id\":\"b\""), "{rest}");
}

#[actix_web::test]
async fn the_server_serves_and_stops_in_order() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closing = world.house.closing.clone();
    let served = actix_web::rt::spawn(crate::web::serve(world.house.clone(), None, listener));
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        closing.cancel();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        String::from_utf8(first.to_vec()).unwrap()
    });
    assert_eq!(answer.await.unwrap(), "HTTP/1.1 200");
    served.await.unwrap().unwrap();
}
