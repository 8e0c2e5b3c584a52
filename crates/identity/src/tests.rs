//! Handshakes, right and wrong.
