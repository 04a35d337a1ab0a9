//! Length limits of Salesforce text fields.

/// Cuts `text` to `units_max` UTF-16 code units, which is how Salesforce counts (an emoji is two). What is too long ends with
/// `…`; no character is cut in half, and no space is left before the `…`.
pub fn cut(text: &str, units_max: usize) -> String {
    if text.encode_utf16().count() <= units_max {
        return text.to_owned();
    }
    let mut units = 0;
    let kept = text.chars().take_while(|character| {
        units += character.len_utf16();
        units < units_max
    });
    let kept: String = kept.collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_long_ends_with_an_ellipsis_at_the_limit() {
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("abc def", 5), "abc…");
    }

    #[test]
    fn emoji_count_twice_and_are_never_cut_in_half() {
        assert_eq!(cut("😀😀😀", 6), "😀😀😀");
        assert_eq!(cut("😀😀😀", 5), "😀😀…");
        assert_eq!(cut("😀😀😀", 4), "😀…");
    }

    #[test]
    fn text_that_fits_stays_as_it_is() {
        assert_eq!(cut("abcde", 5), "abcde");
        assert_eq!(cut("abc ", 5), "abc ");
        assert_eq!(cut("", 5), "");
    }
}
