//! Quantities: each line is one; sums and differences with the one before.

use machinery::quantity::Quantity;

pub fn run(input: &[u8]) {
    let mut before = Quantity::ZERO;
    for line in String::from_utf8_lossy(input).lines() {
        let Ok(quantity) = Quantity::parse(line) else { continue };
        let canonical = Quantity::canonical(line).expect("what is parsed has a canonical form");
        let again = Quantity::parse(&canonical).unwrap_or_else(|error| panic!("{line:?} is written as {canonical:?}: {error}"));
        assert!(again.compare(&quantity).is_eq(), "{line:?} is written as {canonical:?}, which is something else");
        for other in [before.plus(&quantity), before.minus(&quantity), quantity.minus(&before)] {
            let _ = (other.to_string(), other.value(), other.milli(), other.is_whole(), other.compare(&before));
        }
        before = quantity;
    }
}
