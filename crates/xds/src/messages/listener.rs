//! `Listener`: a service exists, and its routes have its name.

use envoy_types::pb::envoy::config::listener::v3::{ApiListener, Listener};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds,
};

use super::{Problem, Profile, ads, any, same, unpack};
use crate::kind::Kind;

/// All that a listener says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exists;

impl Profile for Exists {
    type Message = Listener;
    const KIND: Kind = Kind::Listener;

    fn render(&self, name: &str) -> Listener {
        let api_listener = ApiListener { api_listener: Some(any(&manager(name))) };
        Listener { name: name.to_owned(), api_listener: Some(api_listener), ..Listener::default() }
    }

    fn extract(message: &mut Listener) -> Result<Self, Problem> {
        let payload = message.api_listener.as_mut().and_then(|listener| listener.api_listener.as_mut());
        let found: HttpConnectionManager = unpack(payload)?;
        same(&found, &manager(&message.name))?;
        Ok(Self)
    }
}

fn manager(name: &str) -> HttpConnectionManager {
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(any(&Router::default()))),
        ..HttpFilter::default()
    };
    let rds = Rds { config_source: Some(ads()), route_config_name: name.to_owned() };
    HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(rds)),
        http_filters: vec![router],
        ..HttpConnectionManager::default()
    }
}
