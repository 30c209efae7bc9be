//! Places in a text as pages count them: UTF-16 units.

/// The byte at so many UTF-16 units, as pages count.
pub(super) fn byte_of_unit(text: &str, unit: usize) -> usize {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units >= unit {
            return at;
        }
        units += c.len_utf16();
    }
    text.len()
}

/// The UTF-16 units before a byte.
pub(super) fn unit_of_byte(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text[..at].chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_bytes_lead_to_one_another() {
        let text = "a = \"é😀x\"";
        for (at, _) in text.char_indices() {
            assert_eq!(byte_of_unit(text, unit_of_byte(text, at)), at);
        }
        assert_eq!((byte_of_unit(text, 99), unit_of_byte(text, 99)), (text.len(), 10));
        assert_eq!(unit_of_byte("é", 1), 0);
    }
}
