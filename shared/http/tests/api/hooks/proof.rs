//! How a call proves itself, and what strangers can do: nothing.

use super::*;

type Headers = Vec<(&'static str, String)>;

#[tokio::test]
async fn whatever_is_wrong_with_a_calls_proof_it_is_the_same_401() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let body = pushed(&code.commit("second")).to_string();
    let signature = hub(NEW, &body);
    let good = [
        ("x-github-delivery", "d-1"),
        ("x-github-event", "push"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let with = |name: &'static str, value: &str| {
        let value = value.to_owned();
        let mut headers: Headers = good.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        headers
    };
    let mut cases: Vec<(&str, &str, Headers, String)> = Vec::new();
    let owned = || good.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Headers>();
    cases.push(("unknown hook", "/hooks/prod/nosuch", owned(), body.clone()));
    cases.push(("unknown env", "/hooks/nowhere/github", owned(), body.clone()));
    cases.push(("another env's", "/hooks/dev/github", owned(), body.clone()));
    cases.push(("no name at all", "/hooks/prod/%FF", owned(), body.clone()));
    cases.push(("another kind", STANDARD_HOOK, owned(), body.clone()));
    cases.push(("a byte more", GITHUB, owned(), format!("{body} ")));
    cases.push(("a byte changed", GITHUB, owned(), body.replace("acme", "acne")));
    cases.push(("nothing signed", GITHUB, owned(), String::new()));
    cases.push(("no header", GITHUB, Vec::new(), body.clone()));
    cases.push(("rotated out", GITHUB, with("x-hub-signature-256", &hub(FORGOTTEN, &body)), body.clone()));
    cases.push(("an empty secret", GITHUB, with("x-hub-signature-256", &hub("", &body)), body.clone()));
    cases.push(("an empty signature", GITHUB, with("x-hub-signature-256", ""), body.clone()));
    let mut doubled = owned();
    doubled.push(("x-hub-signature-256", hub(FORGOTTEN, &body)));
    cases.push(("two signatures", GITHUB, doubled, body.clone()));
    let mut said = Vec::new();
    for (index, (what, path, headers, body)) in cases.iter().enumerate() {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // Each from an address of its own, so that none has to wait.
        let answer = from(&house, [198, 51, 100, u8::try_from(index).unwrap()], path, &headers, body).await;
        assert_eq!(answer.0, 401, "{what}: {}", answer.1);
        said.push(answer);
    }
    for ago in [301, -301, 86_400] {
        let answer = standard(&house, "msg_1", ago, &json!({"commit": "a".repeat(40)})).await;
        assert_eq!(answer.status, 401, "{ago}: {}", answer.text);
        said.push((answer.status, answer.text));
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:#?}");
    assert_eq!(shop(&house).await.version, 0, "nothing came of any of them");
    for ago in [0, 299, -299] {
        let answer = standard(&house, &format!("msg_{ago}"), ago, &json!({"commit": "a".repeat(40)})).await;
        assert_eq!(answer.status, 202, "{ago}: {}", answer.text);
    }
    assert_eq!(raw(&house, GITHUB, &good, &body).await.status, 202, "the good one still is");
    assert_eq!(
        github(&house, OLD, "d-9", "ping", &json!({})).await.status,
        202,
        "signed by the older secret"
    );
}

/// A call from this address.
async fn from(
    house: &House,
    address: [u8; 4],
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 4_711))));
    let response = house.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn who_fails_too_often_waits_and_who_proves_themselves_never_does() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let commit = code.commit("second");
    let bad = async || github(&house, FORGOTTEN, "d-0", "push", &pushed(&commit)).await;
    for _ in 0..10 {
        assert_eq!(bad().await.status, 401);
    }
    let waits = bad().await;
    assert_eq!(waits.status, 429, "{}", waits.text);
    assert!(waits.header("retry-after").parse::<u64>().unwrap() <= 61);
    let good = github(&house, NEW, "d-1", "push", &pushed(&commit)).await;
    assert_eq!(good.status, 202, "all of GitHub calls from the same few addresses: {}", good.text);
    assert_eq!(house.get(&format!("{E}/services")).await.status, 200);
    let newcomer = house.token("new", lamplighter_store::Scope::Read, None).await;
    let seen = house.call_as(&newcomer, Method::GET, &format!("{E}/services"), &[], None).await;
    assert_eq!(seen.status, 200, "hooks keep nobody from the API");
}

#[tokio::test]
async fn no_answer_shows_a_secret() {
    let house = hooked().await;
    github(&house, NEW, "d-1", "ping", &json!({})).await;
    let settings = house.get(&format!("{E}/settings")).await;
    assert_eq!(settings.body["hooks"]["github"]["secret"], json!(["file:old", "file:new"]));
    let inline =
        json!({"hooks": {"x": {"kind": "github", "secret": NEW, "app": "shop", "repository": "a/b"}}});
    let refused = house.call(Method::PUT, &format!("{E}/settings"), &[], Some(inline)).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    for text in [refused.text, settings.text, house.get(&format!("{E}/audit")).await.text] {
        assert!(!text.contains(NEW) && !text.contains(OLD), "{text}");
    }
    write_secret(house.folder(), "new", "short");
    let problems = house.home.unusable_secrets(&house.env).await.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("hook `github`") && problems[0].contains("too short"), "{problems:?}");
    assert_eq!(
        github(&house, "short", "d-2", "ping", &json!({})).await.status,
        401,
        "no secret at all proves more"
    );
    assert_eq!(github(&house, OLD, "d-3", "ping", &json!({})).await.status, 202, "the other goes on working");
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_end_use_up_neither_the_api_nor_for_long_the_hooks() {
    let house = hooked().await;
    let slow = (0..64).map(|_| {
        let body =
            Body::from_stream(futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>());
        let request = Request::post(GITHUB).body(body).unwrap();
        tokio::spawn(house.router.clone().oneshot(request))
    });
    let slow: Vec<_> = slow.collect();
    // The runtime gives so many turns at once, and fewer than there are calls.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    let crowded = github(&house, NEW, "d-1", "ping", &json!({})).await;
    assert_eq!((crowded.status, crowded.header("retry-after")), (503, "1"), "{}", crowded.text);
    assert_eq!(house.get(&format!("{E}/services")).await.status, 200);
    for call in slow {
        assert_eq!(call.await.unwrap().unwrap().status(), 504);
    }
    assert_eq!(github(&house, NEW, "d-1", "ping", &json!({})).await.status, 202);
}

#[tokio::test]
async fn a_secret_in_the_vault_proves_calls_and_strangers_cannot_have_it_read_again() {
    let mut house = House::new().await;
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let home = Home::new([Arc::clone(&house.env)], house.now(), "0.1.0").with_vault(move |name| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match name.as_str() {
                "/hooks/github" => Ok(Zeroizing::new(format!("{NEW}\n"))),
                _ => Err("ParameterNotFound".to_owned()),
            }
        }
    });
    house.home = Arc::new(home.with_secrets_in(house.folder()));
    house.router = router(Arc::clone(&house.home));
    write_secret(house.folder(), "old", OLD);
    let settings = json!({"hooks": {
        "github": {"kind": "github", "secret": ["file:old", "ssm:/hooks/github"], "app": "shop", "repository": "acme/shop"},
        "standard": {"kind": "standard", "secret": "ssm:/hooks/missing", "app": "shop"},
    }});
    let said = house.call(Method::PUT, &format!("{E}/settings"), &[], Some(settings)).await;
    assert_eq!(said.status, 200, "{}", said.text);
    let nowhere = house.send(Method::POST, "/hooks/prod/nosuch", &[], Body::empty()).await;
    assert_eq!(nowhere.status, 401);
    assert_eq!(reads.load(Ordering::Relaxed), 2, "whichever hook is called, the secrets of all are read");
    for (id, secret, status) in
        [("d-1", NEW, 202), ("d-2", OLD, 202), ("d-3", FORGOTTEN, 401), ("d-4", FORGOTTEN, 401)]
    {
        assert_eq!(github(&house, secret, id, "ping", &json!({})).await.status, status, "{secret}");
    }
    assert_eq!(standard(&house, "m-1", 0, &json!({})).await.status, 401);
    let problems = house.home.unusable_secrets(&house.env).await.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0]
            .starts_with("hook `standard`: secret `ssm:/hooks/missing` cannot be read: ParameterNotFound"),
        "{problems:?}"
    );
    assert_eq!(reads.load(Ordering::Relaxed), 2, "neither proved nor unproved calls read again");
}
