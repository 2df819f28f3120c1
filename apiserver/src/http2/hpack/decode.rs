//! Unpacks blocks of headers. RFC 7541 §5 and §6.

use bytes::Bytes;

use super::huffman;
use super::table::{Field, SIZE, Table};

/// The block cannot be unpacked, nor any that follows it on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Unpacks the blocks of one connection, in their order.
#[derive(Debug, Default)]
pub struct Decoder {
    table: Table,
}

impl Decoder {
    /// Hands out the fields of a block in their order.
    ///
    /// # Errors
    /// When the block breaks the rules.
    pub fn decode(&mut self, mut block: &[u8], mut each: impl FnMut(&Field)) -> Result<(), Broken> {
        let mut is_first = true;
        while let Some(&byte) = block.first() {
            let rest = &mut block;
            match byte {
                0x80.. => each(self.known(number(rest, 7)?)?),
                0x40..0x80 => {
                    let field = self.literal(rest, 6)?;
                    each(&field);
                    self.table.enter(field);
                }
                0x20..0x40 if is_first => {
                    let size = number(rest, 5)?;
                    if size > SIZE {
                        return Err(Broken);
                    }
                    self.table.limit(size);
                    continue;
                }
                0x20..0x40 => return Err(Broken),
                0x00..0x20 => each(&self.literal(rest, 4)?),
            }
            is_first = false;
        }
        Ok(())
    }

    fn known(&self, number: usize) -> Result<&Field, Broken> {
        self.table.get(number).ok_or(Broken)
    }

    /// A field whose name is numbered or written, and whose value is written.
    fn literal(&self, rest: &mut &[u8], prefix: u32) -> Result<Field, Broken> {
        Ok(match number(rest, prefix)? {
            0 => {
                let name = text(rest)?;
                Field::new(&name, text(rest)?)
            }
            index => self.known(index)?.again(text(rest)?),
        })
    }
}

/// A number whose first bits are the last `prefix` of the next byte.
fn number(rest: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    let full = (1_usize << prefix) - 1;
    let mut found = usize::from(byte(rest)?) & full;
    if found < full {
        return Ok(found);
    }
    // Four bytes more hold all that a block can be long.
    for shift in [0, 7, 14, 21] {
        let byte = byte(rest)?;
        found += usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(found);
        }
    }
    Err(Broken)
}

fn byte(rest: &mut &[u8]) -> Result<u8, Broken> {
    let (&byte, after) = rest.split_first().ok_or(Broken)?;
    *rest = after;
    Ok(byte)
}

fn text(rest: &mut &[u8]) -> Result<Bytes, Broken> {
    let is_packed = rest.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = number(rest, 7)?;
    let (text, after) = rest.split_at_checked(length).ok_or(Broken)?;
    *rest = after;
    if !is_packed {
        return Ok(Bytes::copy_from_slice(text));
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 2);
    huffman::decode(text, &mut out).map_err(|huffman::Broken| Broken)?;
    // A boxed slice is as long as its text: it may stay in the table for as long as the connection.
    Ok(out.into_boxed_slice().into())
}

#[cfg(test)]
mod tests {
    use super::super::table::Name;
    use super::*;

    fn unhex(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn unpack(decoder: &mut Decoder, block: &[u8]) -> Result<String, Broken> {
        let mut lines = Vec::new();
        decoder.decode(block, |field| {
            let name = match &field.name {
                Name::Method => ":method".to_owned(),
                Name::Status => ":status".to_owned(),
                Name::Scheme => ":scheme".to_owned(),
                Name::Authority => ":authority".to_owned(),
                Name::Path => ":path".to_owned(),
                Name::Header(name) => name.to_string(),
                Name::Unlawful => "?".to_owned(),
            };
            lines.push(format!("{name} {}", field.value.to_str().unwrap()));
        })?;
        Ok(lines.join("; "))
    }

    /// RFC 7541, Appendix C.3 and C.4: three requests on one connection, plain and packed.
    #[test]
    fn the_standards_examples() {
        let get = ":method GET; :scheme http; :path /; :authority www.example.com";
        let expected = [
            get.to_owned(),
            format!("{get}; cache-control no-cache"),
            ":method GET; :scheme https; :path /index.html; :authority www.example.com; \
             custom-key custom-value"
                .to_owned(),
        ];
        for blocks in [
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ] {
            let mut decoder = Decoder::default();
            for (block, expected) in blocks.iter().zip(&expected) {
                let found = unpack(&mut decoder, &unhex(block));
                assert_eq!(found.as_ref(), Ok(expected), "{block}");
            }
        }
    }

    #[test]
    fn the_table_forgets_the_oldest() {
        let mut decoder = Decoder::default();
        // Room for two entries of 32 + 1 + 1 bytes.
        let block = unhex("3f25 40 0161 0131 40 0162 0132");
        assert_eq!(unpack(&mut decoder, &block).as_deref(), Ok("a 1; b 2"));
        assert_eq!(
            unpack(&mut decoder, &[0xbe, 0xbf]).as_deref(),
            Ok("b 2; a 1")
        );
        let third = unhex("40 0163 0133 be bf");
        assert_eq!(unpack(&mut decoder, &third).as_deref(), Ok("c 3; c 3; b 2"));
        assert_eq!(unpack(&mut decoder, &[0xc0]), Err(Broken), "a is gone");
        let mut large = unhex("40 0164 7f21");
        large.extend([b'x'; 0xa0]);
        unpack(&mut decoder, &large).unwrap();
        assert_eq!(
            unpack(&mut decoder, &[0xbe]),
            Err(Broken),
            "larger than all: it empties the table"
        );
    }

    #[test]
    fn what_cannot_be_unpacked() {
        for (what, hex) in [
            ("number zero", "80"),
            ("an entry that is not there", "be"),
            ("a table beyond what is allowed", "3fe2 1f"),
            ("a new size after a field", "82 20"),
            ("half a number", "ff"),
            ("an endless number", "ffffffffffffffff"),
            ("a text that is not all there", "00 0161 0562"),
            ("a broken code", "00 0161 81ff"),
        ] {
            assert_eq!(
                unpack(&mut Decoder::default(), &unhex(hex)),
                Err(Broken),
                "{what}"
            );
        }
        for unlawful in ["00 0141 0131", "00 00 0131", "00 0161 010a"] {
            let found = unpack(&mut Decoder::default(), &unhex(unlawful)).unwrap();
            assert!(found.starts_with('?'), "{unlawful}: {found}");
        }
    }
}
