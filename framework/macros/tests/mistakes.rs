//! What the macros say of a contract that is wrong. The texts are beside the mistakes; `TRYBUILD=overwrite` writes them
//! again.
//!
//! What the compiler says of types that do not fit is tested in `samspill`, which these files do not need: trybuild
//! compiles all dependencies anew, twice.

#[test]
fn a_mistake_is_told_where_it_is() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
