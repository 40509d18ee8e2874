//! What must not compile, and what the compiler then says.

#[test]
fn mistakes_do_not_compile_and_the_messages_help() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}
