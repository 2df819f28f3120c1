//! The Huffman code of RFC 7541, Appendix B. It is canonical: symbols of one length are numbered in order, and
//! lengths follow one another, so that the lengths say it all.

/// The text is no code, or ends within a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Bits of each symbol; the last one ends a text, and never occurs in it.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
    8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
    13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
    28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
    22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
    22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The code by lengths.
struct Code {
    /// The first code of each length, and the place of its symbol.
    first: [u32; LONGEST + 1],
    place: [u16; LONGEST + 1],
    /// One more than the last code of each length; equal to the first if there is none.
    last: [u32; LONGEST + 1],
    /// All symbols, by length and number.
    symbols: [u16; 257],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        first: [0; LONGEST + 1],
        place: [0; LONGEST + 1],
        last: [0; LONGEST + 1],
        symbols: [0; 257],
    };
    let (mut next, mut placed, mut length) = (0, 0, SHORTEST);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.place[length] = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[placed as usize] = symbol as u16;
                placed += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.last[length] = next;
        length += 1;
    }
    code
}

/// Appends the text to `out`.
pub(crate) fn decode(packed: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    // The bits at hand are the upper ones.
    let (mut bits, mut count) = (0_u64, 0_usize);
    let mut rest = packed.iter();
    loop {
        while count <= 56
            && let Some(byte) = rest.next()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        match symbol(bits) {
            Some((symbol, length)) if length <= count => {
                // Only the end does not fit, and it must not occur.
                out.push(u8::try_from(symbol).map_err(|_end| Broken)?);
                bits <<= length;
                count -= length;
            }
            // Padding is the beginning of the end's code: ones, and less than a byte.
            _ if count < 8 && bits == !(u64::MAX >> count) => return Ok(()),
            _ => return Err(Broken),
        }
    }
}

/// The symbol that the upper bits begin with, and its length.
fn symbol(bits: u64) -> Option<(u16, usize)> {
    (SHORTEST..=LONGEST).find_map(|length| {
        let word = u32::try_from(bits >> (64 - length)).ok()?;
        if word >= CODE.last[length] {
            return None;
        }
        let place =
            usize::from(CODE.place[length]) + usize::try_from(word - CODE.first[length]).ok()?;
        Some((CODE.symbols[place], length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(packed: &[u8]) -> Result<String, Broken> {
        let mut out = Vec::new();
        decode(packed, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// RFC 7541, Appendix C.4 and C.6.
    #[test]
    fn the_standards_examples() {
        for (hex, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("6402", "302"),
            ("aec3771a4b", "private"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (
                "9d29ad171863c78f0b97c8e9ae82ae43d3",
                "https://www.example.com",
            ),
            ("", ""),
        ] {
            let packed: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(unpack(&packed).as_deref(), Ok(text), "{hex}");
        }
    }

    #[test]
    fn every_symbol_comes_back() {
        for wanted in 0..=255_u8 {
            let place = CODE
                .symbols
                .iter()
                .position(|&symbol| symbol == u16::from(wanted))
                .unwrap();
            let length = usize::from(LENGTHS[usize::from(wanted)]);
            let number =
                CODE.first[length] + u32::try_from(place).unwrap() - u32::from(CODE.place[length]);
            let padded = (u64::MAX >> length) | (u64::from(number) << (64 - length));
            let packed = padded.to_be_bytes();
            let mut out = Vec::new();
            decode(&packed[..length.div_ceil(8)], &mut out).unwrap();
            assert_eq!(out, [wanted]);
        }
    }

    #[test]
    fn what_is_no_text() {
        // The end itself, padding of a whole byte, padding of zeroes.
        for packed in [
            &[0xff, 0xff, 0xff, 0xff][..],
            &[0xff],
            &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf, 0xff],
            &[0x00],
        ] {
            assert_eq!(unpack(packed), Err(Broken), "{packed:x?}");
        }
    }
}
