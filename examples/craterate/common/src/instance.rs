//! Which copy of a service answered: shown on the web page, so that people see the mesh at work.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use samspill::contract::ApiRouter;

/// The response header that names the instances which took part in an answer, one value each.
pub const INSTANCE: HeaderName = HeaderName::from_static(INSTANCE_NAME);

/// The same as gRPC metadata.
pub const INSTANCE_NAME: &str = "x-craterate-instance";

/// Adds this instance's name to every answer of a router. Values that a handler has put there stay.
pub fn named(router: impl Into<ApiRouter>, instance: Option<&str>) -> ApiRouter {
    let router = router.into();
    let Some(value) = instance.and_then(|instance| HeaderValue::from_str(instance).ok()) else {
        return router;
    };
    router.layer(map_response(move |mut response: Response| {
        response.headers_mut().append(INSTANCE, value.clone());
        std::future::ready(response)
    }))
}

/// The instances that took part in an answer so far, each once, in the order in which they answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances(Vec<HeaderValue>);

impl Instances {
    /// Adds those that another service's answer names.
    pub fn add_all_of(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(INSTANCE) {
            if !self.0.contains(value) {
                self.0.push(value.clone());
            }
        }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|value| value.to_str().ok())
    }

    /// Names them in our own answer.
    pub fn into_headers(self) -> HeaderMap {
        self.0.into_iter().map(|value| (INSTANCE, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_is_named_once() {
        let headers = |names: &[&'static str]| -> HeaderMap {
            names.iter().map(|name| (INSTANCE, HeaderValue::from_static(name))).collect()
        };
        let mut instances = Instances::default();
        instances.add_all_of(&headers(&["invoicing-1", "parcel-tracking-0"]));
        instances.add_all_of(&headers(&["parcel-tracking-0", "statistics-0"]));
        instances.add_all_of(&HeaderMap::new());
        let names = ["invoicing-1", "parcel-tracking-0", "statistics-0"];
        assert!(instances.names().eq(names));
        assert_eq!(instances.into_headers(), headers(&names));
    }
}
