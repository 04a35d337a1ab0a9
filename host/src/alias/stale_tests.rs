//! When a kept answer stands in, and when it must not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::alias::scripted::ScriptedUpstream;
use crate::alias::test_support::{SECRET, START, TableSecrets, alias_at, basic, get};
use crate::alias::upstream::{UpstreamError, UpstreamResponse};
use crate::alias::{Alias, Aliases, Auth, EgressError, EgressRequest, EgressResponse, Environment, ExpiredWhen, Hold, Holds, RateLimit};
use crate::clock::ManualClock;
use crate::random::SeededRandom;

const MINUTE: Duration = Duration::from_secs(60);

type Said = Result<UpstreamResponse, UpstreamError>;

/// `crm`, which keeps answers for an hour, and whose target says what the test wants.
struct Scene {
    aliases: Aliases,
    clock: Arc<ManualClock>,
    secrets: Arc<TableSecrets>,
    upstream: Arc<ScriptedUpstream>,
    says: Arc<Mutex<Said>>,
}

fn status(status: u16) -> Said {
    Ok(UpstreamResponse::new(StatusCode::from_u16(status).unwrap(), format!("said {status}")))
}

fn refused() -> Said {
    Err(UpstreamError::Unreachable("refused".into()))
}

fn environment(alias: Alias) -> Environment {
    Environment { name: "dev".into(), values: BTreeMap::new(), aliases: BTreeMap::from([("crm".into(), alias)]) }
}

fn keeping(base: &str, auth: Auth) -> Alias {
    Alias { stale_if_error: Some(60 * MINUTE), ..alias_at(base, auth) }
}

fn scene(auth: Auth) -> Scene {
    let says = Arc::new(Mutex::new(status(200)));
    let now = Arc::clone(&says);
    let upstream = Arc::new(ScriptedUpstream::new(move |_| now.lock().unwrap().clone()));
    let (clock, secrets) = (Arc::new(ManualClock::at(START)), Arc::new(TableSecrets::default()));
    secrets.set("file secrets/crm", SECRET);
    let environment = environment(keeping("http://crm.example/", auth));
    let aliases = Aliases::in_memory(&environment, secrets.clone(), upstream.clone(), clock.clone(), Arc::new(SeededRandom::new(1)));
    Scene { aliases, clock, secrets, upstream, says }
}

impl Scene {
    fn says(&self, said: Said) {
        *self.says.lock().unwrap() = said;
    }

    async fn send(&self, request: EgressRequest) -> Result<EgressResponse, EgressError> {
        self.aliases.send("crm", &[], request).await
    }

    async fn is_kept(&self) -> bool {
        self.send(get("/a")).await.is_ok_and(|answer| answer.stale.is_some())
    }

    fn asked(&self) -> usize {
        self.upstream.requests().len()
    }
}

fn post(path: &str) -> EgressRequest {
    EgressRequest { method: "POST".into(), body: Bytes::from_static(b"{}"), ..get(path) }
}

#[tokio::test]
async fn an_answer_that_asks_to_wait_refuses_or_denies_is_the_answer() {
    let mut throttles = status(503);
    throttles.as_mut().unwrap().headers.insert("retry-after", HeaderValue::from_static("60"));
    for said in [throttles, status(429), status(401), status(403), status(404), status(501)] {
        let scene = scene(Auth::None);
        scene.send(get("/a")).await.unwrap();
        scene.says(said.clone());
        let answer = scene.send(get("/a")).await.unwrap();
        assert_eq!((answer.status, answer.stale), (said.unwrap().status.as_u16(), None));
    }
    let scene = scene(basic());
    scene.send(get("/a")).await.unwrap();
    scene.says(status(401));
    assert!(matches!(scene.send(get("/a")).await, Err(EgressError::CredentialRefused(_))));
    assert!(matches!(scene.send(get("/a")).await, Err(EgressError::Held { kind: Hold::CredentialRefused, .. })));
}

#[tokio::test]
async fn a_paused_alias_gives_nothing() {
    let scene = scene(Auth::None);
    scene.send(get("/a")).await.unwrap();
    scene.aliases.pause("crm", START, "moving house");
    assert!(matches!(scene.send(get("/a")).await, Err(EgressError::Held { kind: Hold::Paused, .. })));
}

#[tokio::test]
async fn what_fails_is_learned_from_and_answered_with_what_is_kept_marked_as_such() {
    let silent = Err(UpstreamError::TimedOut(MINUTE));
    let cases = [
        (status(500), "500"),
        (status(502), "502"),
        (status(503), "503"),
        (status(504), "504"),
        (silent, "timed-out"),
        (refused(), "unreachable"),
    ];
    for (said, word) in cases {
        let scene = scene(Auth::None);
        scene.send(get("/a")).await.unwrap();
        scene.clock.advance(5 * MINUTE);
        scene.says(said);
        let answer = scene.send(get("/a")).await.unwrap();
        let stale = answer.stale.unwrap();
        assert_eq!((answer.status, &answer.body[..], stale.age_s, stale.instead_of.as_str()), (200, &b"said 200"[..], 300, word));
        let header = |name: &str| answer.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!((header("age"), header("lockgate-stale")), (Some("300"), Some(word)));
        assert!(scene.send(get("/b")).await.map_or(true, |answer| answer.stale.is_none()), "of that nothing is kept");
        scene.clock.advance(56 * MINUTE);
        assert!(!scene.is_kept().await, "it is too old");
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_only_its_tries_go_out() {
    let scene = scene(Auth::None);
    scene.send(get("/a")).await.unwrap();
    scene.says(refused());
    while scene.aliases.states()[0].state != "open" {
        assert!(scene.is_kept().await);
        scene.clock.advance(Duration::from_millis(300));
    }
    let asked = scene.asked();
    for _ in 0..100 {
        assert!(scene.is_kept().await);
    }
    assert!(scene.asked() <= asked + 1, "{} then {}", asked, scene.asked());
    assert!(matches!(scene.send(post("/a")).await, Err(EgressError::NotKept { until: Some(_) })));
    scene.says(status(200));
    scene.clock.advance(MINUTE);
    assert_eq!(scene.send(get("/a")).await.unwrap().stale, None, "it is back");
    assert_eq!(scene.aliases.states()[0].state, "healthy");
}

#[tokio::test]
async fn what_a_plugin_has_changed_is_not_answered_as_it_was() {
    let scene = scene(Auth::None);
    for (said, is_kept) in [(status(409), true), (status(204), false)] {
        scene.says(status(200));
        scene.send(get("/a")).await.unwrap();
        scene.says(said);
        scene.send(post("/a")).await.unwrap();
        scene.says(refused());
        assert_eq!(scene.is_kept().await, is_kept);
    }
}

#[tokio::test]
async fn another_credential_or_target_is_not_answered_for() {
    let same = scene(basic());
    same.send(get("/a")).await.unwrap();
    let rate = vec![RateLimit { requests: 9, period: MINUTE }];
    same.aliases.replace(&environment(Alias { rate, ..keeping("http://crm.example/", basic()) }));
    same.says(refused());
    assert!(same.is_kept().await, "another rate changes nothing of it");
    for changed in
        [keeping("http://other.example/", basic()), keeping("http://crm.example/", Auth::None), alias_at("http://crm.example/", basic())]
    {
        let scene = scene(basic());
        scene.send(get("/a")).await.unwrap();
        scene.aliases.replace(&environment(changed));
        scene.says(refused());
        assert!(!scene.is_kept().await);
    }
    let rule = ExpiredWhen { status: 200, holds: Holds::Text("said 200".into()) };
    let same = || keeping("http://crm.example/", basic());
    for steps in [
        // What it would now take for "your credential has expired" is no answer.
        vec![Alias { expired_when: Some(rule), ..same() }],
        // Nobody noted what was changed meanwhile.
        vec![Alias { stale_if_error: None, ..same() }, same()],
    ] {
        let scene = scene(basic());
        scene.send(get("/a")).await.unwrap();
        steps.into_iter().for_each(|step| scene.aliases.replace(&environment(step)));
        scene.says(refused());
        assert!(!scene.is_kept().await);
    }
    let scene = scene(basic());
    scene.send(get("/a")).await.unwrap();
    scene.says(status(401));
    assert!(scene.send(get("/b")).await.is_err());
    scene.secrets.set("file secrets/crm", "another");
    scene.aliases.secrets_changed().await;
    scene.says(refused());
    assert!(!scene.is_kept().await);
}

#[tokio::test]
async fn what_was_answered_to_another_secret_is_forgotten_when_it_is_set_though_none_was_refused() {
    let scene = scene(basic());
    scene.send(get("/a")).await.unwrap();
    scene.says(refused());
    assert_eq!(scene.aliases.secrets_changed().await, [""; 0], "another alias's");
    assert!(scene.is_kept().await);
    scene.secrets.set("file secrets/crm", "another");
    assert_eq!(scene.aliases.secrets_changed().await, [""; 0], "it was not refused");
    assert!(!scene.is_kept().await);
}
