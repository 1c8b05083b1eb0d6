//! Decompresses requests with a size limit at each step.
//!
//! tower-http's layer is not used for this: it decompresses on the threads that serve all other
//! requests, without a limit on how many at once, and zstd may ask for a window of 128 MiB each.

use super::refusal::Refusal;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use slipring::otlp::{GunzipError, gunzip};
use std::io::Read;

/// A compression of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// The zlib format, or raw deflate, which some senders mean by the name.
    Deflate,
    Zstd,
}

/// The supported codings, as told to a sender that uses another one.
pub const CODINGS: &str = "gzip, deflate, zstd";

/// Maximum number of codings of a request. A longer list is not meant well.
const MOST: usize = 2;

/// The base-2 logarithm of the window that zstd may use: 8 MiB, as for all of HTTP (RFC 9659).
const WINDOW: u32 = 23;

/// Parses a `content-encoding` list, in the order in which the codings were applied.
pub fn codings(list: &str) -> Result<Vec<Coding>, Refusal> {
    let mut codings = Vec::new();
    for coding in list.split(',') {
        match coding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" => codings.push(Coding::Gzip),
            "deflate" => codings.push(Coding::Deflate),
            "zstd" => codings.push(Coding::Zstd),
            _ => {
                return Err(Refusal::Unsupported(format!(
                    "content-encoding {list:?}; send {CODINGS}, or none"
                )));
            }
        }
    }
    if codings.len() > MOST {
        return Err(Refusal::Unsupported(format!(
            "content-encoding {list:?}; pack it once, or {MOST} times at most"
        )));
    }
    Ok(codings)
}

/// Undoes the codings, the last one first. No step may yield more than `most` bytes.
pub fn unpack(packed: &[u8], codings: &[Coding], most: usize) -> Result<Vec<u8>, Refusal> {
    let Some((last, before)) = codings.split_last() else { return Ok(packed.to_vec()) };
    let mut unpacked = once(packed, *last, most)?;
    for coding in before.iter().rev() {
        unpacked = once(&unpacked, *coding, most)?;
    }
    Ok(unpacked)
}

fn once(packed: &[u8], coding: Coding, most: usize) -> Result<Vec<u8>, Refusal> {
    match coding {
        Coding::Gzip => gunzip(packed, most).map_err(|error| match error {
            GunzipError::TooLarge { .. } => Refusal::TooLarge(error.to_string()),
            error => Refusal::Malformed(error.to_string()),
        }),
        // A zlib header names method 8, and its first two bytes are a multiple of 31 (RFC 1950).
        Coding::Deflate => match packed {
            [first, second, ..]
                if first & 0xf == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31) =>
            {
                read("deflate", ZlibDecoder::new(packed), most)
            }
            _ => read("deflate", DeflateDecoder::new(packed), most),
        },
        Coding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed)
                .map_err(|error| Refusal::Failed(error.to_string()))?;
            decoder.window_log_max(WINDOW).map_err(|error| Refusal::Failed(error.to_string()))?;
            read("zstd", decoder, most)
        }
    }
}

fn read(name: &str, decoder: impl Read, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::new();
    let read = decoder.take((most as u64).saturating_add(1)).read_to_end(&mut unpacked);
    read.map_err(|error| Refusal::Malformed(format!("this is no {name}, or damaged: {error}")))?;
    if unpacked.len() > most {
        let error = GunzipError::TooLarge { most };
        return Err(Refusal::TooLarge(error.to_string()));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    const TEXT: &[u8] = b"what is packed comes out again, again, again";

    fn packed(coding: Coding, text: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(text, 3).unwrap(),
        }
    }

    #[test]
    fn each_coding_is_unpacked_within_its_bound() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
            let some = packed(coding, TEXT);
            assert_eq!(unpack(&some, &[coding], 100).unwrap(), TEXT, "{coding:?}");
            assert!(
                matches!(unpack(&some, &[coding], TEXT.len() - 1), Err(Refusal::TooLarge(_))),
                "{coding:?}"
            );
            assert!(
                matches!(
                    unpack(&some[..some.len() / 2], &[coding], 100),
                    Err(Refusal::Malformed(_))
                ),
                "{coding:?}"
            );
            assert!(
                matches!(unpack(b"\xff plain", &[coding], 100), Err(Refusal::Malformed(_))),
                "{coding:?}"
            );
            let bomb = packed(coding, &vec![0; 50 << 20]);
            assert!(
                matches!(unpack(&bomb, &[coding], 1 << 20), Err(Refusal::TooLarge(_))),
                "{coding:?}"
            );
        }
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(TEXT).unwrap();
        assert_eq!(unpack(&raw.finish().unwrap(), &[Coding::Deflate], 100).unwrap(), TEXT);
        let twice = packed(Coding::Zstd, &packed(Coding::Gzip, TEXT));
        assert_eq!(unpack(&twice, &[Coding::Gzip, Coding::Zstd], 1_000).unwrap(), TEXT);
    }

    #[test]
    fn lists_are_read_and_what_is_not_known_is_refused() {
        for (list, expected) in [
            ("", vec![]),
            ("identity", vec![]),
            ("x-gzip", vec![Coding::Gzip]),
            ("gzip, identity", vec![Coding::Gzip]),
            ("GZIP , zstd", vec![Coding::Gzip, Coding::Zstd]),
            ("deflate", vec![Coding::Deflate]),
        ] {
            assert_eq!(codings(list), Ok(expected), "{list}");
        }
        for list in ["br", "gzip, br", "gzip,gzip,gzip"] {
            assert!(matches!(codings(list), Err(Refusal::Unsupported(_))), "{list}");
        }
    }
}
