//! Text in a fixed buffer.

use std::fmt;

/// Up to `N` bytes of text; what does not fit is cut off between characters.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Text {
            bytes: [0; N],
            len: 0,
            cut: false,
        }
    }

    /// The formatted text.
    pub(crate) fn of(text: fmt::Arguments<'_>) -> Self {
        let mut this = Text::new();
        // Cutting off is not an error, and a failing `Display` leaves what it wrote.
        let _ = fmt::Write::write_fmt(&mut this, text);
        this
    }

    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether something was cut off.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Ok(());
        }
        let room = N - self.len;
        let taken = text.floor_char_boundary(room);
        let end = self.len + taken;
        if let (Some(to), Some(from)) = (
            self.bytes.get_mut(self.len..end),
            text.as_bytes().get(..taken),
        ) {
            to.copy_from_slice(from);
            self.len = end;
        }
        self.cut = taken < text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_between_characters() {
        let text: Text<8> = Text::of(format_args!("{}-{}", "abc", "äöü"));
        assert_eq!((text.as_str(), text.is_cut()), ("abc-äö", true));
        let text: Text<7> = Text::of(format_args!("abc-{}{}", "äöü", "x"));
        assert_eq!((text.as_str(), text.is_cut()), ("abc-ä", true));
        let text: Text<8> = Text::of(format_args!("12345678"));
        assert_eq!((text.as_str(), text.is_cut()), ("12345678", false));
        assert_eq!(Text::<0>::of(format_args!("a")).as_str(), "");
    }
}
