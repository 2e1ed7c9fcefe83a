//! Requests that mean harm, or make no sense.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::house::{E, House, spec};

#[tokio::test]
async fn a_body_of_a_megabyte_is_refused_however_it_comes() {
    let house = House::new().await;
    let path = format!("{E}/services/vps-001");
    let bearer = format!("Bearer {}", house.admin);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let whole = house.send(Method::PUT, &path, &headers, Body::from(vec![b' '; 1_000_000])).await;
    assert_eq!(whole.status, 413);
    let chunks = futures_util::stream::iter((0..1_000).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1_000])));
    let streamed = house.send(Method::PUT, &path, &headers, Body::from_stream(chunks)).await;
    assert_eq!(streamed.status, 413);
}

#[tokio::test]
async fn ten_thousand_headers_are_refused() {
    let house = House::new().await;
    let names: Vec<String> = (0..10_000).map(|number| format!("x-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(house.send(Method::GET, "/livez", &headers, Body::empty()).await.status, 431);
    let long = "x".repeat(20_000);
    assert_eq!(house.send(Method::GET, "/livez", &[("x-long", &long)], Body::empty()).await.status, 431);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = house.router.clone().into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let lines: String = names.iter().map(|name| format!("{name}: x\r\n")).collect();
    // The server may close while this is still being sent.
    let _ = socket.write_all(format!("GET /livez HTTP/1.1\r\nhost: x\r\n{lines}\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    serving.abort();
}

#[tokio::test]
async fn a_token_in_the_address_is_refused_even_if_it_is_good() {
    let house = House::new().await;
    let path = format!("{E}/services");
    for query in [
        format!("token={}", house.admin),
        format!("access_token={}", house.admin),
        format!("q={}", house.admin),
        "Authorization=Bearer".to_owned(),
    ] {
        let said = house.get(&format!("{path}?{query}")).await;
        assert_eq!(said.status, 400, "{query}");
        assert!(said.body["hint"].as_str().unwrap().contains("revoke"), "{}", said.text);
        assert!(!said.text.contains(&house.admin));
    }
}

/// Method, path, headers and body; the status of the answer, and what its detail names.
type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn every_error_is_a_problem_with_a_hint() {
    let house = House::new().await;
    let put = format!("{E}/services/vps-001");
    let bearer = format!("Bearer {}", house.admin);
    let json = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let plain = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    let cases: [Case<'_>; 9] = [
        (Method::GET, "/nowhere", &[], "", 404, "nothing at this path"),
        (Method::GET, "/v1/envs/prod/services/", &json, "", 404, "nothing at this path"),
        (Method::DELETE, "/livez", &[], "", 405, "DELETE"),
        (Method::PUT, &put, &json, "{\"id\": ", 400, "line 1"),
        (Method::PUT, &put, &json, "{\"id\": 5}", 400, "`id`: invalid type: integer `5`"),
        (Method::PUT, &put, &json, "", 400, "empty"),
        (Method::PUT, &put, &json, "[1] [2]", 400, "line 1"),
        (Method::PUT, &put, &plain, "{}", 415, "Content-Type"),
        (Method::PUT, &put, &json, "\u{0}\u{1b}[31m", 400, "line 1"),
    ];
    for (method, path, headers, body, status, named) in cases {
        let said = house.send(method.clone(), path, headers, Body::from(body.to_owned())).await;
        assert_eq!(said.status, status, "{method} {path} {body}: {}", said.text);
        assert!(
            said.body["detail"].as_str().unwrap().contains(named),
            "{method} {path} {body}: {}",
            said.text
        );
    }
    let not_allowed = house.send(Method::DELETE, "/livez", &[], Body::empty()).await;
    assert!(not_allowed.header("allow").contains("GET"), "{:?}", not_allowed.headers);
    let deep = format!("{{\"id\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(house.send(Method::PUT, &put, &json, Body::from(deep)).await.status, 400);
}

#[tokio::test]
async fn what_hosts_and_people_wrote_comes_back_as_json_only() {
    let house = House::new().await;
    let bad = "</script><script>alert(1)</script>";
    house.service("vps-001", "true", None).await;
    house.post(&format!("{E}/services/vps-001/hold"), json!({"reason": bad})).await;
    for path in ["services", "services/vps-001", "services/vps-001/why", "services/vps-001/events", "audit"] {
        let said = house.get(&format!("{E}/{path}")).await;
        assert!(said.text.contains("alert(1)"), "{path}: {}", said.text);
        assert_eq!(said.header("content-type"), "application/json");
        assert!(said.header("content-security-policy").contains("default-src 'none'"));
    }
    let mut body = spec("vps-001", "true");
    body[bad] = Value::Null;
    let said = house.call(Method::PUT, &format!("{E}/services/vps-001"), &[], Some(body)).await;
    assert_eq!((said.status, said.header("content-type")), (400, "application/problem+json"));
    let docs = house.send(Method::GET, "/docs", &[], Body::empty()).await;
    assert!(docs.header("content-security-policy").contains("script-src 'self'"));
    assert!(!docs.header("content-security-policy").contains("unsafe"));
    assert!(!docs.text.contains(" onclick") && !docs.text.contains("style=") && !docs.text.contains("://"));
}
