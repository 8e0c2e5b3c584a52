//! The macros of `samspill`.
