//! Real peers that know nothing of us.

mod browser;
mod grpcio;
