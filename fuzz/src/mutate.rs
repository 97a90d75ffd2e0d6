//! Mutations without a fuzzer: the same ones each time, on stable.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// What parsers trip over.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\"",
    b"'",
    b"\\",
    b"\n",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b":",
    b": ",
    b",",
    b"- ",
    b"---\n",
    b"&a ",
    b"*a",
    b"!",
    b"!!str ",
    b"<<: ",
    b"|\n",
    b">\n",
    b"#",
    b"%",
    b"@",
    b"`",
    b"$",
    b"$(",
    b"${",
    b"$((",
    b"~",
    b"/",
    b"//",
    b"../",
    b"|",
    b"&&",
    b";",
    b"*",
    b"null",
    b"true",
    b"yes",
    b"0",
    b"-1",
    b"1e999",
    b"-0",
    b"0.1",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1e-400",
    b"0x10",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "é".as_bytes(),
    "\u{1F600}".as_bytes(),
    "\u{2028}".as_bytes(),
    b"Ei",
    b"Ki",
    b"m",
    b"n",
    b"E",
    b"e5",
    b" in (",
    b" notin (",
    b"!=",
    b"==",
    b"$patch",
    b"$setElementOrder/",
    b"$retainKeys",
    b"~1",
    b"-",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap_or(0)
    }
}

/// Runs the seeds of a target as they are, and `count` mutations of them; a panic names the input.
pub fn hold(target: &str, count: usize, run: impl Fn(&[u8])) {
    // Each crate has its own depth below the root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("fuzz/seeds").is_dir()).expect("the tree");
    let mut paths: Vec<_> =
        fs::read_dir(root.join("fuzz/seeds").join(target)).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a seed")).collect();
    let whole = |input: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
            panic!("{target} panicked at b\"{}\"", input.escape_ascii());
        }
    };
    seeds.iter().for_each(|seed| whole(seed));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..count {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            mutate(&mut input, &seeds, &mut random);
        }
        input.truncate(1 << 16);
        whole(&input);
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let (a, b) = (random.below(input.len() + 1), random.below(input.len() + 1));
    let (from, to) = (a.min(b), a.max(b));
    let short = to.min(from + 24);
    let word = WORDS[random.below(WORDS.len())];
    match random.below(9) {
        0 => drop(input.splice(from..from, word.iter().copied())),
        1 => drop(input.splice(from..short, word.iter().copied())),
        2 => drop(input.drain(from..short)),
        3 => {
            if let Some(byte) = input.get_mut(from) {
                *byte ^= 1 << random.below(8);
            }
        }
        4 => {
            let piece = input[from..short].to_vec();
            let at = random.below(input.len() + 1);
            input.splice(at..at, piece);
        }
        // Deep, or long.
        5 => {
            let times = 1 << random.below(11);
            let piece = if random.below(2) == 0 { word.to_vec() } else { input[from..short].to_vec() };
            input.splice(from..from, piece.repeat(times));
        }
        6 => {
            let other = &seeds[random.below(seeds.len())];
            let at = random.below(other.len() + 1);
            input.splice(from..short, other[at..other.len().min(at + 200)].iter().copied());
        }
        7 => {
            // One value in another's place.
            let at = random.below(input.len() + 1);
            let piece = input[from..short].to_vec();
            let end = input.len().min(at + piece.len());
            input.splice(at..end, piece);
        }
        _ => input.truncate(to),
    }
}
