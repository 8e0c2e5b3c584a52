//! Nothing but dependencies: it makes the build of the command and that of the services choose the same features
//! (`docs/decisions/features-crate.md`).
