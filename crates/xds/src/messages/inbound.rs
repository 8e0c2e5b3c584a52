//! `samspill.v1.Inbound`: what a sidecar does with calls to its own instance.

use samspill_model::intent::AppProtocol;
use samspill_model::snapshot::{Inbound, InboundPort};

use super::{Problem, Profile};
use crate::kind::Kind;
use crate::proto::{self, Port, Protocol};

impl Profile for Inbound {
    type Message = proto::Inbound;
    const KIND: Kind = Kind::Inbound;

    fn render(&self, _name: &str) -> proto::Inbound {
        let port = |(&number, port): (&u16, &InboundPort)| (u32::from(number), render_port(*port));
        proto::Inbound { ports: self.ports.iter().map(port).collect() }
    }

    fn extract(message: &mut proto::Inbound) -> Result<Self, Problem> {
        let ports = message.ports.iter().map(|(number, port)| Ok((extract_number(*number)?, extract_port(port)?)));
        Ok(Self { ports: ports.collect::<Result<_, Problem>>()? })
    }
}

fn render_port(port: InboundPort) -> Port {
    let protocol = match port.protocol {
        AppProtocol::Http1 => Protocol::Http1,
        AppProtocol::Http2 => Protocol::Http2,
    };
    Port { app: port.app.to_string(), protocol: protocol.into() }
}

fn extract_number(number: u32) -> Result<u16, Problem> {
    u16::try_from(number).map_err(|_too_large| Problem::Malformed(format!("{number} is no port")))
}

fn extract_port(port: &Port) -> Result<InboundPort, Problem> {
    let app = port.app.parse().map_err(|_other| Problem::Malformed(format!("{:?} is no address", port.app)))?;
    let protocol = match port.protocol() {
        Protocol::Http1 => AppProtocol::Http1,
        Protocol::Http2 => AppProtocol::Http2,
        Protocol::Unspecified => return Err(Problem::Malformed(format!("no protocol for {app}"))),
    };
    Ok(InboundPort { app, protocol })
}
