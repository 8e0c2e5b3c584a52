//! The contestants of `cargo xtask bench framework`, which starts them: the same answer by bare axum, bare tonic and us.
//!
//! Without arguments it is the contestant that `BENCH_CONTESTANT` names (axum, tonic, samspill, collector), on `PORT`;
//! `bench load ADDRESS MILLISECONDS TRACEPARENT` sends gRPC.

use std::convert::Infallible;
use std::error::Error;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use futures_util::future::{BoxFuture, Ready, ready};
use garde::Validate;
use http::uri::PathAndQuery;
use samspill::extract::{Json, Valid};
use samspill::{Call, Problem, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// gRPC calls at once, on one connection.
const CALLS: usize = 16;

#[samspill::api(name = "bench", versions = 1..=1)]
trait Calculator {
    /// A price.
    #[post("/quotes")]
    async fn quote(&self, call: &Call, parcel: Valid<Json<Parcel>>) -> Result<Json<Quote>, Problem>;
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate)]
struct Parcel {
    #[garde(length(equal = 2))]
    from: String,
    #[garde(length(equal = 2))]
    to: String,
    #[garde(range(min = 1, max = 31_500))]
    grams: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Quote {
    cents: u64,
    currency: String,
    valid_seconds: u32,
}

fn price(parcel: &Parcel) -> Quote {
    Quote { cents: 9900 + parcel.grams / 10, currency: "NOK".to_owned(), valid_seconds: 900 }
}

struct Ours;

impl Calculator for Ours {
    async fn quote(&self, _call: &Call, Valid(Json(parcel)): Valid<Json<Parcel>>) -> Result<Json<Quote>, Problem> {
        Ok(Json(price(&parcel)))
    }
}

/// What tonic would generate for a service with one method.
#[derive(Clone)]
struct Unary<M, T>(M, PhantomData<fn(T)>);

impl<M: NamedService, T> NamedService for Unary<M, T> {
    const NAME: &'static str = M::NAME;
}

impl<M, T> tower::Service<http::Request<Body>> for Unary<M, T>
where
    M: UnaryService<T, Response: prost::Message + 'static, Future: Send> + Clone + Send + 'static,
    T: prost::Message + Default + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.0.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(method, request).await) })
    }
}

#[derive(Clone)]
struct Greet;

impl NamedService for Greet {
    const NAME: &'static str = "bench.v1.Greeter";
}

impl UnaryService<String> for Greet {
    type Response = String;
    type Future = Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(Ok(Response::new(format!("Hello, {}!", request.into_inner()))))
    }
}

/// A collector that takes everything and reads nothing: it shares its core with the load, which it must not slow down.
#[derive(Clone)]
struct Take;

impl NamedService for Take {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl UnaryService<()> for Take {
    type Response = ();
    type Future = Ready<Result<Response<()>, Status>>;

    fn call(&mut self, _spans: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

fn main() -> ExitCode {
    let contestant = variable("BENCH_CONTESTANT");
    if contestant == "samspill" {
        return Service::new("bench").run(async |service: Service| -> Result<(), samspill::Error> {
            service.grpc(Unary(Greet, PhantomData)).serve(CalculatorApi::router(Ours)).await
        });
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(&contestant, &arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error.as_ref()),
    }
}

#[expect(clippy::disallowed_methods, reason = "no service of ours reads this")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "a program for the command line")]
fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run(contestant: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    match *arguments {
        [] => serve(contestant, SocketAddr::from((Ipv4Addr::LOCALHOST, variable("PORT").parse()?))).await,
        ["load", address, milliseconds, traceparent] => {
            load(address, Duration::from_millis(milliseconds.parse()?), traceparent).await
        }
        _ => Err("it is started by `cargo xtask bench framework`".into()),
    }
}

async fn serve(who: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    match who {
        "axum" => {
            let quote = async |axum::Json(parcel): axum::Json<Parcel>| axum::Json(price(&parcel));
            let router = Router::new().route("/v1/quotes", post(quote));
            Ok(axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await?)
        }
        "tonic" => {
            drop(listener);
            Ok(tonic::transport::Server::builder().add_service(Unary(Greet, PhantomData)).serve(address).await?)
        }
        "collector" => {
            drop(listener);
            Ok(tonic::transport::Server::builder().add_service(Unary(Take, PhantomData)).serve(address).await?)
        }
        _ => Err(format!("`{who}` is no contestant").into()),
    }
}

/// Calls for the given time, and prints how often it was answered.
#[expect(clippy::print_stdout, reason = "a program for the command line")]
async fn load(address: &str, time: Duration, traceparent: &str) -> Result<(), Box<dyn Error>> {
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let traceparent: tonic::metadata::AsciiMetadataValue = traceparent.parse()?;
    let answered = AtomicU64::new(0);
    let calls = (0..CALLS).map(|_| call_on(channel.clone(), &traceparent, &answered));
    let calls = futures_util::future::try_join_all(calls);
    match tokio::time::timeout(time, calls).await {
        Err(_time_is_over) => {}
        Ok(Ok(never)) => drop(never),
        Ok(Err(status)) => return Err(status.into()),
    }
    println!("{}", answered.load(Ordering::Relaxed));
    Ok(())
}

/// Calls again and again.
async fn call_on(
    channel: tonic::transport::Channel,
    traceparent: &tonic::metadata::AsciiMetadataValue,
    answered: &AtomicU64,
) -> Result<Infallible, Status> {
    let mut caller = tonic::client::Grpc::new(channel);
    loop {
        caller.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new("Ada".to_owned());
        request.metadata_mut().insert("traceparent", traceparent.clone());
        let path = PathAndQuery::from_static("/bench.v1.Greeter/Greet");
        let _answer: Response<String> = caller.unary(request, path, ProstCodec::default()).await?;
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
