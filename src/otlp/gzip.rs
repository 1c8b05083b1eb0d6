//! Decompression with a bound on the output.

use flate2::read::MultiGzDecoder;
use std::io::Read;
use thiserror::Error;

/// An error from decompressing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GunzipError {
    /// The input is not in the gzip format, or it is damaged.
    #[error("this is no gzip, or damaged: {0}")]
    Damaged(String),
    /// The output would take more bytes than allowed.
    #[error("decompressed, the data takes more than {most} bytes; send smaller batches")]
    TooLarge {
        /// The number of bytes that were allowed.
        most: usize,
    },
}

/// Decompresses gzip data, which may consist of several members, into at most `most` bytes.
///
/// [`GunzipError`] if the input is damaged or the output is too large. It allocates at most twice
/// `most` bytes, whatever the input claims.
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
    fn gunzip_restores_the_data_within_the_bound() {
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
