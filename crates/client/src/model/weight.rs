//! What JSON takes in memory, told from its text.

/// What the values of a JSON text take in memory, at most and roughly: a map has room for eleven entries from the first
/// one on, and a list grows by doubling.
#[must_use]
pub fn weight(json: &[u8]) -> usize {
    const VALUE: usize = 64;
    const MAP: usize = 640;
    let (mut weight, mut is_text, mut is_escaped) = (json.len(), false, false);
    for byte in json {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b',' | b'[' | b':' => weight += VALUE,
            b'{' => weight += MAP,
            _ => {}
        }
    }
    weight
}
