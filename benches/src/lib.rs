//! Benches of slipring; see `benches/`.
