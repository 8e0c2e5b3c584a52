//! What `#[samspill::function]` writes, beside the example that is run as a process.

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use samspill::extract::{Json, Query};
use samspill::test::TestMesh;
use samspill::{Call, Problem, Service};
use serde::{Deserialize, Serialize};

/// Its own tests are run.
#[path = "../../examples/function.rs"]
mod example;

mod whole_request {
    use axum::extract::Request;

    use super::IntoResponse;

    #[samspill::function(name = "mirror")]
    async fn handle_request(request: Request) -> impl IntoResponse {
        (http::StatusCode::ACCEPTED, request.method().to_string())
    }

    pub(super) fn served(_service: super::Service) -> axum::Router {
        axum::Router::new().route("/", samspill::function::of_request(handle_request))
    }
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Ask {
    id: u64,
}

/// Without a name: it is called as its package.
mod caller {
    use super::{Ask, Call, Json, Problem, Query, Service};

    #[samspill::function]
    async fn handle_request(service: &Service, call: &Call, ask: Query<Ask>) -> Result<Json<String>, Problem> {
        let answer = service.client("mirror").put(call, format!("/?id={}", ask.0.id)).send().await?;
        Ok(Json(answer.text().await?))
    }

    pub(super) async fn called(service: &Service, call: &Call) -> Result<Json<String>, Problem> {
        handle_request(service, call, Query(Ask { id: 7 })).await
    }
}

#[samspill::test(start_paused = true)]
async fn a_function_of_the_request_answers_any_method() {
    let mesh = TestMesh::new().with("mirror", whole_request::served);
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = mesh.client("mirror").request(&mesh.call(), method.clone(), "/").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.text().await.unwrap(), method.as_str());
    }
}

#[samspill::test(start_paused = true)]
async fn a_function_that_calls_others_is_called_by_a_test() {
    let mesh = TestMesh::new().with("mirror", whole_request::served);
    let Json(answer) = caller::called(&mesh.service("caller"), &mesh.call()).await.unwrap();
    assert_eq!(answer, "PUT");
}

#[test]
fn a_plain_test_is_one_too() {
    mod inner {
        use samspill::test;

        #[test]
        pub(super) fn plain() -> Result<(), std::num::ParseIntError> {
            "80".parse::<u16>().map(drop)
        }
    }
    inner::plain().unwrap();
}
