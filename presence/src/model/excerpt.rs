/// As much of a text from the network as a message, a log line or a status can
/// carry: a value in etcd may be a megabyte long.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 256;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST);
    format!("{}… ({} bytes)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_whole_and_a_long_one_says_how_long() {
        assert_eq!(excerpt("é"), "é");
        let long = "é".repeat(1000);
        assert_eq!(excerpt(&long), format!("{}… (2000 bytes)", "é".repeat(128)));
        let odd = format!("x{long}");
        assert_eq!(excerpt(&odd), format!("x{}… (2001 bytes)", "é".repeat(127)));
    }
}
