//! Whatever an expression and a document hold, a search returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/jmespath.rs"]
mod jmespath;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

#[test]
fn no_expression_breaks_a_search() {
    mutate::hold("jmespath", 4000, jmespath::run);
}
