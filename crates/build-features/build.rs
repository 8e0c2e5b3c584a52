//! Empty: cargo looks at the build dependencies only where there is a build script.

fn main() {}
