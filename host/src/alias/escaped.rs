//! Text as servers escape it: [`Escaping`] takes the escapes out, and says where in the text what was found without them stands. Pure.
//!
//! A server may escape as much or as little as it likes (RFC 3986 section 2.1, RFC 8259 section 7), so that no list of spellings is
//! complete: what is escaped is undone instead.

use std::ops::Range;

/// A way of escaping.
#[derive(Clone, Copy, Debug)]
pub struct Escaping {
    /// What every escape begins with.
    mark: u8,
    /// The escape at the beginning of a text: how many bytes it takes, and what it stands for.
    read: fn(&[u8]) -> Option<(usize, Meant)>,
}

/// What an escape stands for: a byte, or a character in UTF-8.
type Meant = ([u8; 4], usize);

/// `%2F`, in URLs and forms.
pub const PERCENT: Escaping = Escaping { mark: b'%', read: percent };
/// `\"`, `\/`, `\u002f`, in JSON.
pub const JSON: Escaping = Escaping { mark: b'\\', read: json };

/// `&#43;`, `&#x2f;`, `&amp;`, in HTML and XML.
pub const ENTITIES: Escaping = Escaping { mark: b'&', read: entity };
/// Named ones of what a credential may hold (HTML standard, section 13.5), those that stand for a hyphen of another kind included: whoever
/// reads them may take it for the usual one.
const NAMED: &[(&[u8], u8)] = &[
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"sol", b'/'),
    (b"plus", b'+'),
    (b"equals", b'='),
    (b"colon", b':'),
    (b"nbsp", b' '),
    (b"Tab", b'\t'),
    (b"NewLine", b'\n'),
    (b"excl", b'!'),
    (b"num", b'#'),
    (b"dollar", b'$'),
    (b"percnt", b'%'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"ast", b'*'),
    (b"comma", b','),
    (b"hyphen", b'-'),
    (b"dash", b'-'),
    (b"period", b'.'),
    (b"semi", b';'),
    (b"quest", b'?'),
    (b"commat", b'@'),
    (b"lsqb", b'['),
    (b"lbrack", b'['),
    (b"bsol", b'\\'),
    (b"rsqb", b']'),
    (b"rbrack", b']'),
    (b"Hat", b'^'),
    (b"lowbar", b'_'),
    (b"grave", b'`'),
    (b"lcub", b'{'),
    (b"lbrace", b'{'),
    (b"verbar", b'|'),
    (b"vert", b'|'),
    (b"rcub", b'}'),
    (b"rbrace", b'}'),
];
/// No name has more.
const NAME_CHARS_MAX: usize = 7;

/// A piece of escaped text.
enum Piece<'a> {
    Plain(&'a [u8]),
    Escape(usize, Meant),
}

impl Piece<'_> {
    /// How many bytes it takes, and how many it stands for.
    fn lengths(&self) -> (usize, usize) {
        match self {
            Self::Plain(run) => (run.len(), run.len()),
            Self::Escape(taken, (_, meant)) => (*taken, *meant),
        }
    }
}

impl Escaping {
    /// `text` without its escapes; none where it has none.
    pub fn undone(&self, text: &[u8]) -> Option<Vec<u8>> {
        if !text.contains(&self.mark) {
            return None;
        }
        let mut plain = Vec::with_capacity(text.len());
        for piece in self.pieces(text) {
            match piece {
                Piece::Plain(run) => plain.extend_from_slice(run),
                Piece::Escape(_, (bytes, length)) => plain.extend_from_slice(&bytes[..length]),
            }
        }
        Some(plain)
    }

    /// Where in `text` the parts `found` of what it is without escapes stand; these in their order and apart from each other.
    pub fn places(&self, text: &[u8], found: &[Range<usize>]) -> Vec<Range<usize>> {
        // The first and the last byte of each part; a part has one.
        let mut bytes = found.iter().flat_map(|part| [part.start, part.end - 1]).peekable();
        let mut ends = Vec::with_capacity(2 * found.len());
        let (mut place, mut meant) = (0, 0);
        for piece in self.pieces(text) {
            let (taken, stands_for) = piece.lengths();
            while let Some(byte) = bytes.next_if(|byte| *byte < meant + stands_for) {
                let is_last = ends.len() % 2 == 1;
                ends.push(match piece {
                    Piece::Plain(_) => place + (byte - meant) + usize::from(is_last),
                    Piece::Escape(..) => place + if is_last { taken } else { 0 },
                });
            }
            (place, meant) = (place + taken, meant + stands_for);
        }
        ends.chunks_exact(2).map(|ends| ends[0]..ends[1]).collect()
    }

    fn pieces<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Piece<'a>> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if let Some((taken, meant)) = (self.read)(rest) {
                rest = &rest[taken..];
                return Some(Piece::Escape(taken, meant));
            }
            // A mark that begins no escape is text like other.
            let length = rest.iter().skip(1).position(|byte| *byte == self.mark).map_or(rest.len(), |at| at + 1);
            let (run, behind) = rest.split_at(length);
            rest = behind;
            (!run.is_empty()).then_some(Piece::Plain(run))
        })
    }
}

fn percent(text: &[u8]) -> Option<(usize, Meant)> {
    let [b'%', high, low, ..] = text else { return None };
    Some((3, byte(hex(*high)? * 16 + hex(*low)?)))
}

fn json(text: &[u8]) -> Option<(usize, Meant)> {
    let [b'\\', kind, rest @ ..] = text else { return None };
    let plain = match kind {
        b'"' | b'\\' | b'/' => *kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(rest),
        _ => return None,
    };
    Some((2, byte(plain)))
}

/// What comes behind `\u`: four hex digits, or a pair of surrogates.
fn unicode(rest: &[u8]) -> Option<(usize, Meant)> {
    let unit = |digits: &[u8]| digits.get(..4)?.iter().try_fold(0, |unit, digit| Some(unit * 16 + u32::from(hex(*digit)?)));
    let first = unit(rest)?;
    if let Some(character) = char::from_u32(first) {
        return Some((6, encoded(character)));
    }
    let second = unit(rest.get(4..)?.strip_prefix(b"\\u")?)?;
    let pair = (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second);
    let character = char::from_u32(0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff)).filter(|_| pair)?;
    Some((12, encoded(character)))
}

fn entity(text: &[u8]) -> Option<(usize, Meant)> {
    let rest = text.strip_prefix(b"&")?;
    if let Some(number) = rest.strip_prefix(b"#") {
        return numeric(number);
    }
    let end = rest.iter().take(NAME_CHARS_MAX + 1).position(|byte| *byte == b';')?;
    let (_, meant) = NAMED.iter().find(|(named, _)| Some(*named) == rest.get(..end))?;
    Some((end + 2, byte(*meant)))
}

/// What comes behind `&#`: digits, as many zeros before them as one likes, and a semicolon, which readers do not insist on.
fn numeric(text: &[u8]) -> Option<(usize, Meant)> {
    let (radix, digits) = match text {
        [b'x' | b'X', digits @ ..] => (16, digits),
        digits => (10, digits),
    };
    let values = digits.iter().map_while(|digit| char::from(*digit).to_digit(radix));
    let (length, number) =
        values.fold((0, 0_u32), |(length, number), digit| (length + 1, number.saturating_mul(radix).saturating_add(digit)));
    let character = char::from_u32(number).filter(|_| length > 0)?;
    let before = 2 + text.len() - digits.len();
    Some((before + length + usize::from(digits.get(length) == Some(&b';')), encoded(character)))
}

fn encoded(character: char) -> Meant {
    let mut bytes = [0; 4];
    let length = character.encode_utf8(&mut bytes).len();
    (bytes, length)
}

fn byte(byte: u8) -> Meant {
    ([byte, 0, 0, 0], 1)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_every_escape_and_leaves_what_is_none() {
        for (escaping, text, plain) in [
            (PERCENT, "a%2Fb%2fc", "a/bc".replace("bc", "b/c")),
            (PERCENT, "100%, %zz %2", "100%, %zz %2".to_owned()),
            (PERCENT, "%%41", "%A".to_owned()),
            (PERCENT, "%C3%BC", "ü".to_owned()),
            (JSON, r#"a\/b\"\\c\u00fc\ud83d\ude80"#, "a/b\"\\cü🚀".to_owned()),
            (JSON, r"\ud83d \u12 \x \", r"\ud83d \u12 \x \".to_owned()),
            (ENTITIES, "sec&#x2F;ret&#43;token&#x3D;&#061;xyz&amp;&plus;", "sec/ret+token==xyz&+".to_owned()),
            (ENTITIES, "&#99;&#00000000000000000099;&#x00000000000063;&#99&#x63 &#99c", "ccccc cc".to_owned()),
            (ENTITIES, "&lowbar;&hyphen;&period;&lcub;&bsol;", "_-.{\\".to_owned()),
            (ENTITIES, "&#; &#x; &#xffffffff; &unknown; & &amp", "&#; &#x; &#xffffffff; &unknown; & &amp".to_owned()),
        ] {
            assert_eq!(String::from_utf8(escaping.undone(text.as_bytes()).unwrap()).unwrap(), plain, "{text}");
        }
        assert_eq!(PERCENT.undone(b"plain"), None);
    }

    proptest::proptest! {
        #[test]
        fn finds_each_byte_where_its_escape_stands(parts in proptest::collection::vec((0..256_u16, 0..3_u8), 1..40), at in 0..40_usize) {
            // Each byte as it is (where that is no mark), or escaped with small or large digits.
            let mut text = Vec::new();
            let mut places = Vec::new();
            for (value, way) in &parts {
                let value = u8::try_from(*value).unwrap();
                let start = text.len();
                match way {
                    0 if value != b'%' => text.push(value),
                    1 => text.extend_from_slice(format!("%{value:02x}").as_bytes()),
                    _ => text.extend_from_slice(format!("%{value:02X}").as_bytes()),
                }
                places.push(start..text.len());
            }
            let at = at % parts.len();
            for (part, place) in [(at..at + 1, places[at].clone()), (0..parts.len(), 0..text.len())] {
                proptest::prop_assert_eq!(PERCENT.places(&text, std::slice::from_ref(&part)), std::slice::from_ref(&place));
            }
        }
    }
}
