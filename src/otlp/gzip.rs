//! Unpacking, with a bound.

use flate2::read::MultiGzDecoder;
use std::io::Read;
use thiserror::Error;

/// Why something was not unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GunzipError {
    /// It is no gzip, or damaged.
    #[error("this is no gzip, or damaged: {0}")]
    Damaged(String),
    /// It would take more bytes than allowed.
    #[error("unpacked, this takes more than {most} bytes; send smaller batches")]
    TooLarge {
        /// What was allowed.
        most: usize,
    },
}

/// Unpacks what gzip has packed, of several members if need be; into at most so many bytes.
///
/// # Errors
/// [`GunzipError`]. It allocates at most twice what was allowed, whatever the input says.
pub fn gunzip(packed: &[u8], most: usize) -> Result<Vec<u8>, GunzipError> {
    let mut unpacked = Vec::new();
    let mut decoder = MultiGzDecoder::new(packed).take((most as u64).saturating_add(1));
    decoder.read_to_end(&mut unpacked).map_err(|error| GunzipError::Damaged(error.to_string()))?;
    if unpacked.len() > most { Err(GunzipError::TooLarge { most }) } else { Ok(unpacked) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_packed_comes_back_within_bounds() {
        let (one, other) = (packed(b"one"), packed(b"other"));
        assert_eq!(gunzip(&one, 3).unwrap(), b"one");
        assert_eq!(gunzip(&[one.clone(), other].concat(), 100).unwrap(), b"oneother");
        assert_eq!(gunzip(&one, 2).unwrap_err(), GunzipError::TooLarge { most: 2 });
        let bomb = packed(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(gunzip(&bomb, 1 << 20).unwrap_err(), GunzipError::TooLarge { most: 1 << 20 });
        assert!(matches!(gunzip(&one[..one.len() - 1], 100).unwrap_err(), GunzipError::Damaged(_)));
        assert!(matches!(gunzip(b"plain", 100).unwrap_err(), GunzipError::Damaged(_)));
        assert!(gunzip(b"", 100).is_err_and(|error| matches!(error, GunzipError::Damaged(_))));
    }
}
