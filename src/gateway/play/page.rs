//! The page itself, as `build.rs` has packed it from `deploy/playground/page`.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    packed: &'static [u8],
}

macro_rules! packed {
    ($name:literal, $kind:literal) => {
        File { name: $name, kind: $kind, packed: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")) }
    };
}

const FILES: [File; 3] = [
    packed!("index.html", "text/html; charset=utf-8"),
    packed!("play.js", "text/javascript; charset=utf-8"),
    packed!("play.css", "text/css; charset=utf-8"),
];

/// A file of the page by its name, with its type; packed for a browser that can unpack it.
pub(super) fn file(name: &str, packed: bool) -> Option<(&'static str, Bytes)> {
    let name = if name.is_empty() { "index.html" } else { name };
    let file = FILES.iter().find(|file| file.name == name)?;
    if packed {
        return Some((file.kind, Bytes::from_static(file.packed)));
    }
    let mut plain = Vec::new();
    // The build packed it, and a test unpacks it.
    GzDecoder::new(file.packed).read_to_end(&mut plain).ok()?;
    Some((file.kind, plain.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_small() {
        let mut size = 0;
        for file in &FILES {
            let (_, packed) = super::file(file.name, true).expect("it is there");
            let (_, plain) = super::file(file.name, false).expect("it can be unpacked");
            assert!(plain.len() > packed.len());
            size += packed.len();
        }
        assert!(size < 200 * 1024, "{size} bytes");
        assert!(file("../index.html", false).is_none());
    }
}
