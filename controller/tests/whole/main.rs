//! The whole controller at its own doors: the runtime's line, the bootstrap socket, ADS over mutual TLS, and the API.

#![cfg(test)] // so that clippy knows that everything here is a test

mod mesh;

use samspill_controller::{OpenStoreError, RunError};
use samspill_identity::SigningRequest;
use samspill_model::identity::SpiffeId;
use samspill_model::inventory::Inventory;
use samspill_model::link::{ToController, ToRuntime};
use samspill_model::name::InstanceName;
use samspill_model::plan::{Generation, InstanceState, Plan};
use samspill_testkit::wait_until;
use samspill_xds::client::Wanted;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use mesh::{DOMAIN, GENEROUS, Mesh, Proxy, inventory, invoicing, invoicing_intent, token};

fn accountant() -> SpiffeId {
    SpiffeId::new(DOMAIN, "default", "accountant")
}

fn state(plan: &Plan, name: &str) -> Option<InstanceState> {
    plan.instances.iter().find(|instance| instance.name.as_str() == name).map(|instance| instance.state)
}

#[tokio::test]
async fn an_identity_is_attested_and_never_claimed() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let plan = runtime.up(invoicing_intent(2)).await;
    let mut inventory = inventory(&plan);
    inventory.instances[1].sidecar.as_mut().unwrap().pid = 1;
    runtime.say(&ToController::Inventory(inventory)).await;

    // By token, once.
    let request = SigningRequest::new();
    mesh.bootstrap_with(&token("invoicing-0"), &request.csr_der).await.unwrap();
    mesh.bootstrap_with(&token("invoicing-0"), &request.csr_der).await.expect("its answer may have been lost");
    let again = mesh.bootstrap(&token("invoicing-0")).await.unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (Code::PermissionDenied, "the token has been used before, for another key")
    );
    let stolen = mesh.bootstrap(&token("invoicing-1")).await.unwrap_err();
    assert_eq!((stolen.code(), stolen.message()), (Code::PermissionDenied, "the token belongs to another process"));
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    assert_eq!(edge.id, SpiffeId::edge(DOMAIN));

    // By certificate: the same identity again, with a new key.
    let renewed = mesh.renew(&edge).await.unwrap();
    assert_eq!(renewed.id, SpiffeId::edge(DOMAIN));
    assert!(renewed.not_after >= edge.not_after);

    let (status, answer) = mesh.ask("GET", "/v1/certificates", "").await;
    assert_eq!(status, 200);
    assert_eq!(answer["items"][0]["identity"], accountant().to_string());
    assert_eq!(answer["items"][0]["instances"], json!(["invoicing-0", "invoicing-1"]));
    assert_eq!(answer["items"][0]["issued"], 2);
    assert_eq!(answer["items"][1]["issued"], 2);
    assert!(answer["items"][1]["not_after"].is_string());
}

#[tokio::test]
async fn what_is_no_request_gets_no_certificate() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let plan = runtime.up(invoicing_intent(1)).await;
    runtime.runs(&plan).await;
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    let garbage = mesh.bootstrap_with(&token("invoicing-0"), b"not a request").await.unwrap_err();
    assert_eq!(garbage.code(), Code::InvalidArgument, "{garbage}");
    let huge = mesh.bootstrap_with(&token("invoicing-0"), &vec![0; 1 << 20]).await.unwrap_err();
    assert_eq!(huge.code(), Code::InvalidArgument, "{huge}");

    // Whoever has left the mesh gets no further one.
    runtime.say(&ToController::Inventory(Inventory::default())).await;
    wait_until("the controller knows", async || {
        mesh.renew(&edge).await.is_err_and(|error| error.message() == "nothing runs with this identity")
    })
    .await;
}

#[tokio::test]
async fn nothing_is_served_in_the_clear() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let plan = runtime.up(invoicing_intent(1)).await;
    runtime.runs(&plan).await;
    let mut stream = samspill_net::connect::tcp(mesh.ads_address(), GENEROUS).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset.
    let _ended = tokio::time::timeout(GENEROUS, stream.read_to_end(&mut answer)).await.unwrap();
    // A TLS alert (RFC 8446 §5.1, record type 21), and nothing else.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

#[tokio::test]
async fn a_proxy_may_only_be_itself() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let plan = runtime.up(invoicing_intent(1)).await;
    runtime.runs(&plan).await;
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    let accountant = mesh.bootstrap(&token("invoicing-0")).await.unwrap();
    let impostor = Proxy::start(&mesh, &edge, "invoicing-0", vec![Wanted::Service(invoicing())]);
    let mut honest = Proxy::start(&mesh, &accountant, "invoicing-0", vec![Wanted::Service(invoicing())]);
    honest.wait_for("the backend", |known| known.endpoints(&invoicing()).is_some()).await;
    assert_eq!(impostor.knowledge.borrow().updates, 0);
}

#[tokio::test]
async fn a_scale_down_goes_step_by_step() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let first = runtime.up(invoicing_intent(2)).await;
    assert!(first.edge);
    let mut running = runtime.runs(&first).await;
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    let accountant = mesh.bootstrap(&token("invoicing-0")).await.unwrap();
    let mut caller = Proxy::start(&mesh, &edge, "edge", vec![Wanted::Edge]);
    let inbound = Wanted::Inbound(InstanceName("invoicing-0".to_owned()));
    let mut sidecar = Proxy::start(&mesh, &accountant, "invoicing-0", vec![inbound]);
    let known =
        caller.wait_for("both endpoints", |known| known.endpoints(&invoicing()) == Some(vec![30_000, 30_001])).await;
    let backend = known.backends[&invoicing()].clone().unwrap();
    assert_eq!(backend.identities, [self::accountant()]);
    sidecar.wait_for("its ports", |known| known.inbounds == 1).await;

    let (status, answer) = mesh.ask("POST", "/v1/workloads/default%2Finvoicing/scale", r#"{"replicas":1}"#).await;
    assert_eq!(status, 200, "{answer}");
    let second = runtime.next_plan().await;
    assert_eq!(answer["generation"], second.generation.0);
    assert_eq!(state(&second, "invoicing-1"), Some(InstanceState::Withdraw { since: second.generation }));
    running.generation = second.generation;
    runtime.say(&ToController::Inventory(running.clone())).await;
    caller.wait_for("one endpoint", |known| known.endpoints(&invoicing()) == Some(vec![30_000])).await;

    // The sidecar of invoicing-1 is alive and has never been heard of, so nothing is stopped yet.
    let generation = json!(second.generation.0);
    wait_until("both proxies have acknowledged", async || {
        let (_status, proxies) = mesh.ask("GET", "/v1/proxies", "").await;
        let of = |node: &str| {
            let items = proxies["items"].as_array().unwrap();
            items.iter().find(|proxy| proxy["node"] == node).unwrap()["generation"].clone()
        };
        assert!(of("invoicing-1").is_null(), "{proxies}");
        of("edge") == generation && of("invoicing-0") == generation
    })
    .await;
    running.instances[1].sidecar = None;
    runtime.say(&ToController::Inventory(running.clone())).await;
    let third = runtime.next_plan().await;
    assert_eq!(state(&third, "invoicing-1"), Some(InstanceState::Stop));

    running.instances.truncate(1);
    running.generation = third.generation;
    runtime.say(&ToController::Inventory(running)).await;
    let fourth = runtime.next_plan().await;
    assert_eq!(state(&fourth, "invoicing-1"), None);
    assert_eq!(state(&fourth, "invoicing-0"), Some(InstanceState::Serve));
}

#[tokio::test]
async fn a_controller_that_returns_finishes_a_withdrawal() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let first = runtime.up(invoicing_intent(2)).await;
    let mut running = runtime.runs(&first).await;
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    let accountant = mesh.bootstrap(&token("invoicing-0")).await.unwrap();
    let mut caller = Proxy::start(&mesh, &edge, "edge", vec![Wanted::Edge]);
    caller.wait_for("both endpoints", |known| known.endpoints(&invoicing()) == Some(vec![30_000, 30_001])).await;

    // Killed when the step is durable and said, and nobody has taken it: the sidecars are not even connected.
    let (status, _answer) = mesh.ask("POST", "/v1/workloads/invoicing/scale", r#"{"replicas":1}"#).await;
    assert_eq!(status, 200);
    let second = runtime.next_plan().await;
    let withdrawn = Some(InstanceState::Withdraw { since: second.generation });
    assert_eq!(state(&second, "invoicing-1"), withdrawn);
    mesh.kill();

    // The runtime has not seen that plan; it is said again, and is no other.
    runtime = mesh.start();
    runtime.say(&ToController::Inventory(running.clone())).await;
    assert_eq!(runtime.next_plan().await, second);
    running.generation = second.generation;
    runtime.say(&ToController::Inventory(running.clone())).await;
    caller.wait_for("one endpoint", |known| known.endpoints(&invoicing()) == Some(vec![30_000])).await;

    // A sidecar that comes now is waited for as well; the other one ends.
    let inbound = Wanted::Inbound(InstanceName("invoicing-0".to_owned()));
    let _sidecar = Proxy::start(&mesh, &accountant, "invoicing-0", vec![inbound]);
    running.instances[1].sidecar = None;
    runtime.say(&ToController::Inventory(running.clone())).await;
    let third = runtime.next_plan().await;
    assert_eq!((third.parent, state(&third, "invoicing-1")), (second.generation, Some(InstanceState::Stop)));

    // Killed once more, when the stop is said and not yet carried out.
    mesh.kill();
    runtime = mesh.start();
    running.generation = third.generation;
    runtime.say(&ToController::Inventory(running.clone())).await;
    running.instances.truncate(1);
    runtime.say(&ToController::Inventory(running)).await;
    let fourth = runtime.next_plan().await;
    assert_eq!((fourth.parent, state(&fourth, "invoicing-1")), (third.generation, None));
    assert_eq!(state(&fourth, "invoicing-0"), Some(InstanceState::Serve));
}

#[tokio::test]
async fn a_controller_that_returns_says_the_same() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let first = runtime.up(invoicing_intent(2)).await;
    let running = runtime.runs(&first).await;
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    let mut caller = Proxy::start(&mesh, &edge, "edge", vec![Wanted::Edge]);
    let before =
        caller.wait_for("both endpoints", |known| known.endpoints(&invoicing()) == Some(vec![30_000, 30_001])).await;

    mesh.kill();
    runtime = mesh.start();
    runtime.say(&ToController::Inventory(running.clone())).await;
    wait_until("the proxy is back", async || {
        let (_status, proxies) = mesh.ask("GET", "/v1/proxies", "").await;
        proxies["items"][0]["node"] == "edge" && proxies["items"][0]["generation"] == first.generation.0
    })
    .await;
    assert_eq!(caller.knowledge.borrow().updates, before.updates, "what it knew was said again");
    let renewed = mesh.renew(&edge).await.expect("the authority is the same");
    assert_eq!(renewed.id, edge.id);

    let (_status, certificates) = mesh.ask("GET", "/v1/certificates", "").await;
    assert!(certificates["items"][1]["not_after"].is_string(), "it was shown one: {certificates}");

    // And the next plan follows the last one.
    let (status, _answer) = mesh.ask("POST", "/v1/workloads/invoicing/scale", r#"{"replicas":3}"#).await;
    assert_eq!(status, 200);
    let next = runtime.next_plan().await;
    assert_eq!((next.generation, next.parent), (first.generation.next(), first.generation));
}

#[tokio::test]
async fn nothing_is_said_before_the_inventory_is_known() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let first = runtime.up(invoicing_intent(2)).await;
    let mut running = runtime.runs(&first).await;
    let edge = mesh.bootstrap(&token("edge")).await.unwrap();
    mesh.kill();

    // While nobody looked, one instance has become unready. A proxy that asks first must not hear of a mesh without endpoints.
    runtime = mesh.start();
    let mut caller = Proxy::start(&mesh, &edge, "edge", vec![Wanted::Edge]);
    assert_eq!(mesh.ask("GET", "/v1/services", "").await, (200, json!({ "items": [], "next": null })));
    assert_eq!(caller.knowledge.borrow().updates, 0);
    running.instances[0].ready = false;
    runtime.say(&ToController::Inventory(running)).await;
    let known = caller.wait_for("the backend", |known| known.backends.contains_key(&invoicing())).await;
    assert_eq!(known.endpoints(&invoicing()), Some(vec![30_001]), "the first that it heard");
}

#[tokio::test]
async fn the_files_win_over_a_scale() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let first = runtime.up(invoicing_intent(1)).await;
    runtime.runs(&first).await;
    let (status, _answer) = mesh.ask("POST", "/v1/workloads/invoicing/scale", r#"{"replicas":2}"#).await;
    assert_eq!(status, 200);
    let second = runtime.next_plan().await;
    assert_eq!(second.instances.len(), 2);

    runtime.say(&ToController::Apply(Box::new(invoicing_intent(1)))).await;
    let third = runtime.next_plan().await;
    assert!(matches!(state(&third, "invoicing-1"), Some(InstanceState::Withdraw { .. })), "{third:?}");
    let said = runtime.next().await;
    let expected = "default/invoicing was scaled to 2 by hand and has 1 replica again, as the files say".to_owned();
    assert_eq!(said, ToRuntime::Applied(vec![expected]));
}

#[tokio::test]
async fn a_new_up_starts_nothing_of_the_last_one() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let first = runtime.up(invoicing_intent(3)).await;
    runtime.runs(&first).await;
    drop(runtime);
    mesh.ended().await.unwrap();

    runtime = mesh.start();
    runtime.say(&ToController::Inventory(Inventory::default())).await;
    // Time for the loop to do something wrong. The wish itself does not last, because the files win.
    assert_eq!(mesh.ask("POST", "/v1/workloads/invoicing/scale", r#"{"replicas":5}"#).await.0, 200);
    runtime.say(&ToController::Apply(Box::new(invoicing_intent(2)))).await;
    let next = runtime.next_plan().await;
    assert!(next.generation > first.generation);
    let serving = next.instances.iter().filter(|instance| instance.state == InstanceState::Serve);
    assert_eq!(serving.count(), 2);
}

#[tokio::test]
async fn the_api_answers_in_words() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let plan = runtime.up(invoicing_intent(1)).await;
    runtime.runs(&plan).await;
    wait_until("the instance is an endpoint", async || {
        mesh.ask("GET", "/v1/services", "").await.1["items"][0]["endpoints"] == json!(["127.0.0.1:30000"])
    })
    .await;
    let (_status, services) = mesh.ask("GET", "/v1/services", "").await;
    assert_eq!(services["items"][0]["identities"], json!([accountant().to_string()]));
    let (_status, routes) = mesh.ask("GET", "/v1/routes", "").await;
    assert_eq!(routes["items"][0]["path"], "/api/invoicing");
    assert_eq!(routes["items"][0]["backends"], json!([{ "service": "invoicing.default:80", "weight": 1 }]));

    let scale = async |name: &str, body: &str| {
        let (status, problem) = mesh.ask("POST", &format!("/v1/workloads/{name}/scale"), body).await;
        (status, problem["detail"].as_str().unwrap_or_default().to_owned())
    };
    let unknown = "there is no workload `tracking`; there are default/invoicing".to_owned();
    assert_eq!(scale("tracking", r#"{"replicas":1}"#).await, (404, unknown));
    assert_eq!(scale("invoicing", r#"{"replicas":-1}"#).await.0, 422);
    assert_eq!(scale("invoicing", r#"{"replicas":251}"#).await.0, 422);
    assert_eq!(scale("invoicing", "replicas").await.0, 400);
}

#[tokio::test]
async fn certificates_that_live_for_seconds_are_renewed() {
    let mut mesh = Mesh::with_leaf_ttl(std::time::Duration::from_secs(4));
    let mut runtime = mesh.start();
    let plan = runtime.up(invoicing_intent(1)).await;
    runtime.runs(&plan).await;
    let first = mesh.bootstrap(&token("edge")).await.unwrap();
    let mut current = std::sync::Arc::clone(&first);
    // Past the end of the controller's own first certificate, too: it must have renewed that one itself.
    wait_until("the first certificate has ended", async || {
        current = mesh.renew(&current).await.expect("the one before is still valid");
        samspill_net::clock::now() > first.not_after
    })
    .await;
    mesh.renew(&current).await.unwrap();
}

#[tokio::test]
async fn it_ends_with_the_runtime() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    let _plan = runtime.up(invoicing_intent(1)).await;
    drop(runtime);
    mesh.ended().await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_stops_it_before_anything_else() {
    let mut mesh = Mesh::new();
    let store = mesh.folder.path().join("controller.redb");
    std::fs::write(&store, "something else").unwrap();
    let _runtime = mesh.start();
    let error = mesh.ended().await.unwrap_err();
    assert!(matches!(error, RunError::Store(OpenStoreError::Corrupt { .. })), "{error}");
    assert!(error.is_lasting());
    assert_eq!(std::fs::read(&store).unwrap(), b"something else");
}

#[tokio::test]
async fn another_trust_domain_is_another_state_folder() {
    let mut mesh = Mesh::new();
    drop(mesh.start());
    mesh.ended().await.unwrap();
    let _runtime = mesh.start_in("elsewhere.local");
    let error = mesh.ended().await.unwrap_err();
    assert!(error.to_string().contains("belongs to the trust domain `samspill.local`"), "{error}");
    assert!(error.is_lasting());
}

#[tokio::test]
async fn generations_never_go_back() {
    let mut mesh = Mesh::new();
    let mut runtime = mesh.start();
    // The runtime has seen more than this store has: it was lost.
    let seen = Inventory { generation: Generation(41), ..Default::default() };
    runtime.say(&ToController::Inventory(seen)).await;
    runtime.say(&ToController::Apply(Box::new(invoicing_intent(1)))).await;
    assert_eq!(runtime.next_plan().await.generation, Generation(42));
}
