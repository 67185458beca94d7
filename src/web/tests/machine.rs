//! What programs ask: the queue, health, metrics, the description of the interface.

use super::*;

#[actix_web::test]
async fn the_queue_says_what_each_waits_for_and_whose_it_is() {
    let world = World::new().with_review(&samples::begun()).await;
    let (status, page) = world.get("/queue").await;
    assert_eq!(status, StatusCode::OK);
    for words in [
        "runs-1.0",
        "a free slot",
        "which is being built; 4 direct dependencies are not there yet",
        "it broke off 2 times with every builder: the daemon hung up &lt;twice&gt;",
        "href=\"/builders#far%20away\"",
        "href=\"/r/local/packages/pull/3?review=00c0ffee00c0ffee\">local/packages#3</a>",
        "2 of 7 derivations",
        "not known: its first build",
        "action=\"/api/reviews/00c0ffee00c0ffee/bump\"",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    assert!(world.get("/queue?waiting=1").await.1.contains("The first 1 of 4."));
    let (_, stats) = world.json("/api/queue/stats").await;
    let counts = ["ready", "blocked", "backing_off", "running"].map(|state| stats[state].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1, 1]);
    assert_eq!(stats["builders"]["local"], serde_json::json!({"running": 1, "slots": 2, "downloading": 0, "downloads": 2}));
    let (_, packages) = world.json("/api/queue/packages?limit=2").await;
    assert_eq!((packages["waiting"].as_array().unwrap().len(), &packages["waiting_total"]), (2, &4.into()));
    assert_eq!(packages["waiting"][0]["wait"], serde_json::json!({"for": "slot", "lane": "builds", "names": ["local"]}));
    assert_eq!((&packages["waiting"][1]["wait"]["state"], &packages["reviews"][0]["total"]), (&"running".into(), &7.into()));
    assert!(packages["running"][0]["log_url"].as_str().unwrap().ends_with("-runs-1.0.drv/20261120T124000.123Z"));
}

#[actix_web::test]
async fn what_runs_longer_than_usual_is_said() {
    let world = World::new();
    let usual = AttemptEnd {
        drv: samples::drv(30, "runs-0.9"),
        time: "20261120T114000.123Z".into(),
        outcome: Outcome::Succeeded,
        seconds: 90.0,
        message: None,
        usage: Usage::default(),
    };
    let new = NewAttempt { drv: usual.drv.clone(), time: usual.time.clone(), builder: "local".into(), review: None };
    world.house.db.start_attempt(new).await.unwrap();
    world.house.db.finish_attempt(usual).await.unwrap();
    let (_, page) = world.get("/queue").await;
    assert!(page.contains("longer than usual") && page.contains("instead of 1 min 30 s"), "{page}");
    assert_eq!(world.json("/api/queue/packages").await.1["running"][0]["usual_seconds"], 90.0);
}

#[actix_web::test]
async fn builders_say_how_they_are_and_what_they_built() {
    let world = World::new();
    let (id, ..) = attempt(&world, &["one"], true).await;
    let (_, page) = world.get("/builders").await;
    for words in [
        "x86_64-linux",
        "1 of 2",
        "left alone",
        "No route to host",
        "3 failures in a row; tried again",
        "2.5 times as fast",
        "8.0 GiB",
        "only builds that need kvm",
        "takes nothing new; what runs comes to its end",
        "action=\"/api/builders/far%20away/drain\"",
        "action=\"/api/builders/spare/undrain\"",
        &format!("/drv/{id}"),
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    let (_, builders) = world.json("/api/builders").await;
    assert_eq!((&builders[0]["state"], &builders[0]["until"]), (&"ready".into(), &Value::Null));
    assert_eq!((&builders[1]["state"], &builders[1]["failures"]), (&"backing_off".into(), &3.into()));
    assert!(builders[1]["until"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let (_, metrics) = world.get("/metrics").await;
    assert!(metrics.contains("snowgate_builder_failures{builder=\"far away\"} 3\n"), "{metrics}");
    assert!(metrics.contains("snowgate_build_cpu_seconds_total 1.5\n"), "{metrics}");
    assert!(metrics.contains("snowgate_build_io_bytes_total{direction=\"read\"} 4096\n"), "{metrics}");
}

#[actix_web::test]
async fn an_actor_that_is_away_makes_the_house_unwell_but_not_silent() {
    let well = World::new();
    let (status, health) = well.json("/healthz").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &"ok".into()));
    assert_eq!(health["actors"][0]["state"], "running");
    let world = World::with(Crew { away: true, ..Crew::default() });
    let (status, health) = world.json("/healthz").await;
    assert_eq!((status, &health["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"degraded".into()));
    assert_eq!(health["actors"][0]["state"], "restarting");
    assert_eq!(world.get("/queue").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.json("/api/queue/stats").await.1["error"]["code"], "unavailable");
    assert!(world.get("/metrics").await.1.contains("snowgate_actor_up{actor=\"scheduler\"} 0\n"));
    let (_, metrics) = well.get("/metrics").await;
    assert!(metrics.contains("snowgate_queue_derivations{state=\"ready\"} 2\n"));
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()), "{line}");
    }
}

#[actix_web::test]
async fn an_alarm_is_found_with_both_its_sides() {
    let world = World::new().with_review(&samples::blocked()).await;
    let id = alarm(&world).await;
    let (_, alarms) = world.json("/api/alarms").await;
    assert_eq!((alarms[0]["id"].as_i64(), &alarms[0]["acknowledged_at"]), (Some(id), &Value::Null));
    for side in ["full", "incremental"] {
        assert_eq!(world.get(&format!("/api/alarms/{id}/{side}")).await, (StatusCode::OK, format!("[\"{side}\"]")));
    }
    for address in [format!("/api/alarms/{id}/both"), format!("/api/alarms/{}/full", id + 1), "/api/alarms/x/full".into()] {
        assert_eq!(world.get(&address).await.0, StatusCode::NOT_FOUND, "{address}");
    }
    assert!(world.get("/settings").await.1.contains(&format!("action=\"/api/alarms/{id}/acknowledge\"")));
    // on the page of the review that it concerns, and on no other
    let review = "00c0ffee00c0ffee".into();
    assert!(!world.get("/r/local/packages/pull/3").await.1.contains("from recordings was wrong"));
    world.house.db.alarm_review(&review, id).await.unwrap();
    world.house.db.alarm_review(&review, id).await.unwrap();
    assert!(world.get("/r/local/packages/pull/3").await.1.contains("from recordings was wrong"));
}

#[actix_web::test]
async fn the_openapi_document_is_true() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (id, time, _) = attempt(&world, &["one"], true).await;
    let alarm = alarm(&world).await;
    let (_, document) = world.json("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.match_indices("\"$ref\":\"#").map(|(at, start)| &text[at + start.len()..]) {
        let pointer = &reference[..reference.find('"').unwrap()];
        assert!(document.pointer(pointer).is_some(), "{pointer} is not in the document");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        let own = if path.contains("/logs/") || path.contains("/derivations/") { id.as_str() } else { "00c0ffee00c0ffee" };
        let own = if path.contains("/alarms/") { &alarm.to_string() } else { own };
        let address = path.replace("{id}", own).replace("{timestamp}", &time).replace("{side}", "full");
        if item.get("get").is_some() {
            let answer = world.ask(TestRequest::get().uri(&address)).await;
            if path == "/sessions" || path.starts_with("/auth/") {
                // nobody signs in here; what they answer where people do, `people` tells
                assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{address}");
                continue;
            }
            assert_eq!(answer.status(), StatusCode::OK, "{address}");
            let media =
                answer.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
            assert!(item["get"]["responses"]["200"]["content"].get(&media).is_some(), "{address} answers {media}");
        }
        if item.get("post").is_some() {
            let answer = world.ask(TestRequest::post().uri(&address)).await;
            assert!(item["post"]["responses"].get(answer.status().as_str()).is_some(), "{address} answers {}", answer.status());
        }
    }
}
