//! The Huffman code of header compression (RFC 7541 appendix B).
//!
//! The code is canonical, so that the lengths of the codes say everything; the tables are made from them when this is compiled.
//! Codes of up to eight bits, which are nearly all that occur, take one look; longer ones a short search.

use super::Wrong;

/// Bits of each symbol's code; the last symbol is the end of the string, which must not occur.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;
const END: u16 = 256;

struct Codes {
    /// The symbols in the order of their codes.
    symbols: [u16; 257],
    /// Per length: the first code, how many there are, and where their symbols begin.
    spans: [(u32, u32, u16); LONGEST + 1],
    /// By the next eight bits: the symbol and the length of its code, 0 where it is longer.
    short: [(u8, u8); 256],
}

static CODES: Codes = codes();

#[allow(clippy::indexing_slicing, reason = "runs when this is compiled, where a wrong index is an error")]
const fn codes() -> Codes {
    let mut codes = Codes { symbols: [0; 257], spans: [(0, 0, 0); LONGEST + 1], short: [(0, 0); 256] };
    let (mut code, mut next, mut length) = (0_u32, 0_usize, 1_usize);
    while length <= LONGEST {
        code <<= 1;
        codes.spans[length] = (code, 0, next as u16);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[next] = symbol as u16;
                next += 1;
                codes.spans[length].1 += 1;
                if length <= 8 {
                    let (mut at, end) = ((code << (8 - length)) as usize, ((code + 1) << (8 - length)) as usize);
                    while at < end {
                        codes.short[at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    codes
}

/// Adds the decoded string to `out`.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Wrong> {
    let (mut bits, mut count) = (0_u64, 0_u32);
    for byte in input {
        bits = bits << 8 | u64::from(*byte);
        count += 8;
        while count >= 8 {
            match symbol(bits, count) {
                Some((END, _)) => return Err(Wrong("the end symbol in a string")),
                Some((symbol, length)) => {
                    out.push(symbol as u8);
                    count -= length;
                }
                None => break,
            }
        }
    }
    // What is left is shorter than a byte: codes, and then padding with ones (section 5.2).
    while (1..8).contains(&count) {
        let padded = (bits << (8 - count)) as u8 | (0xff_u8 >> count);
        match CODES.short.get(usize::from(padded)) {
            Some((symbol, length @ 1..)) if u32::from(*length) <= count => {
                out.push(*symbol);
                count -= u32::from(*length);
            }
            _ if padded == 0xff => return Ok(()),
            _ => return Err(Wrong("padding that is not ones")),
        }
    }
    if count == 0 { Ok(()) } else { Err(Wrong("padding longer than seven bits")) }
}

/// The symbol at the front of the last `count` bits, and the length of its code. None: more bits are needed.
#[inline]
fn symbol(bits: u64, count: u32) -> Option<(u16, u32)> {
    let front = (bits >> (count - 8)) as u8;
    if let Some((symbol, length @ 1..)) = CODES.short.get(usize::from(front)) {
        return Some((u16::from(*symbol), u32::from(*length)));
    }
    for length in 9..=(LONGEST as u32).min(count) {
        let code = (bits >> (count - length)) as u32 & ((1 << length) - 1);
        let (first, many, start) = CODES.spans.get(length as usize).copied()?;
        if code >= first && code - first < many {
            let symbol = CODES.symbols.get(usize::from(start) + (code - first) as usize)?;
            return Some((*symbol, length));
        }
    }
    None
}
