//! What the compiler says of a contract that is wrong. The texts are beside the mistakes, in `tests/compile_fail`;
//! `TRYBUILD=overwrite` writes them again.

#[test]
fn a_mistake_is_told_where_it_is() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
