//! `Cluster`: what a backend speaks, and which identities may stand for it.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig};
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, TransportSocket};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SdsSecretConfig, SubjectAltNameMatcher, TlsParameters,
    UpstreamTlsContext,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use samspill_model::identity::SpiffeId;
use samspill_model::intent::AppProtocol;

use super::{Problem, Profile, ads, any, same, unpack};
use crate::kind::Kind;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Stands for "no identity at all": to Envoy an empty list means anyone. No certificate of a mesh has this name.
const NOBODY: &str = "urn:samspill:nobody";

/// A backend without its endpoints.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) protocol: AppProtocol,
    /// Ordered, each once.
    pub(crate) identities: Vec<SpiffeId>,
}

impl Profile for Target {
    type Message = Cluster;
    const KIND: Kind = Kind::Cluster;

    fn render(&self, name: &str) -> Cluster {
        let eds = EdsClusterConfig { eds_config: Some(ads()), ..EdsClusterConfig::default() };
        let transport_socket = TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(ConfigType::TypedConfig(any(&tls(&self.identities)))),
        };
        Cluster {
            name: name.to_owned(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
            eds_cluster_config: Some(eds),
            typed_extension_protocol_options: [(HTTP_OPTIONS.to_owned(), any(&http(self.protocol)))].into(),
            transport_socket: Some(transport_socket),
            ..Cluster::default()
        }
    }

    fn extract(message: &mut Cluster) -> Result<Self, Problem> {
        let options: HttpProtocolOptions = unpack(message.typed_extension_protocol_options.get_mut(HTTP_OPTIONS))?;
        let protocol = extract_protocol(&options)?;
        same(&options, &http(protocol))?;

        let socket = message.transport_socket.as_mut().and_then(|socket| socket.config_type.as_mut());
        let context: UpstreamTlsContext = unpack(socket.map(|ConfigType::TypedConfig(config)| config))?;
        let identities = extract_identities(&context)?;
        same(&context, &tls(&identities))?;
        Ok(Self { protocol, identities })
    }
}

fn http(protocol: AppProtocol) -> HttpProtocolOptions {
    let protocol = match protocol {
        AppProtocol::Http1 => ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()),
        AppProtocol::Http2 => ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default()),
    };
    let explicit = ExplicitHttpConfig { protocol_config: Some(protocol) };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..HttpProtocolOptions::default()
    }
}

fn extract_protocol(options: &HttpProtocolOptions) -> Result<AppProtocol, Problem> {
    let protocol = match &options.upstream_protocol_options {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => explicit.protocol_config.as_ref(),
        _ => None,
    };
    match protocol {
        Some(ProtocolConfig::HttpProtocolOptions(_)) => Ok(AppProtocol::Http1),
        Some(ProtocolConfig::Http2ProtocolOptions(_)) => Ok(AppProtocol::Http2),
        _ => Err(Problem::Malformed("the protocol is neither HTTP/1 nor HTTP/2".to_owned())),
    }
}

fn tls(identities: &[SpiffeId]) -> UpstreamTlsContext {
    let mut names: Vec<String> = identities.iter().map(SpiffeId::to_string).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push(NOBODY.to_owned());
    }
    // Without a source, Envoy takes these secrets from its own static ones.
    let secret = |name: &str| SdsSecretConfig { name: name.to_owned(), ..SdsSecretConfig::default() };
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: names.into_iter().map(uri).collect(),
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(secret("ROOTCA")),
        ..CombinedCertificateValidationContext::default()
    };
    // Envoy, as a client, would stop at 1.2.
    let version = TlsProtocol::TlSv13.into();
    let tls_params = TlsParameters {
        tls_minimum_protocol_version: version,
        tls_maximum_protocol_version: version,
        ..TlsParameters::default()
    };
    let common = CommonTlsContext {
        tls_params: Some(tls_params),
        tls_certificate_sds_secret_configs: vec![secret("default")],
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
        ..CommonTlsContext::default()
    };
    UpstreamTlsContext { common_tls_context: Some(common), ..UpstreamTlsContext::default() }
}

fn uri(name: String) -> SubjectAltNameMatcher {
    let matcher = StringMatcher { match_pattern: Some(MatchPattern::Exact(name)), ..StringMatcher::default() };
    SubjectAltNameMatcher { san_type: SanType::Uri.into(), matcher: Some(matcher), ..SubjectAltNameMatcher::default() }
}

/// The expected identities. The comparison afterwards refuses an empty list, and anything but exact URIs.
fn extract_identities(context: &UpstreamTlsContext) -> Result<Vec<SpiffeId>, Problem> {
    let validation = context.common_tls_context.as_ref().and_then(|common| match &common.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.default_validation_context.as_ref()
        }
        _ => None,
    });
    let validation = validation.ok_or_else(|| {
        Problem::Malformed("there is no combined_validation_context.default_validation_context".to_owned())
    })?;
    let patterns = validation
        .match_typed_subject_alt_names
        .iter()
        .filter_map(|name| name.matcher.as_ref()?.match_pattern.as_ref());
    let mut identities = Vec::new();
    for pattern in patterns {
        match pattern {
            MatchPattern::Exact(text) if text == NOBODY => {}
            MatchPattern::Exact(text) => {
                identities.push(text.parse().map_err(|error| Problem::Malformed(format!("{error}")))?);
            }
            other => return Err(Problem::Malformed(format!("an identity is not matched by `exact`: {other:?}"))),
        }
    }
    identities.sort();
    Ok(identities)
}
