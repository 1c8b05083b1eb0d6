//! The lengths of delta-of-delta and XOR coding, after Pelkonen et al., "Gorilla: A Fast, Scalable,
//! In-Memory Time Series Database" (VLDB 2015). In bits; only the lengths are worked out.

/// Returns the bits of times. The paper has seconds; for nanoseconds the ranges are wider, as in
/// Prometheus' chunks: 1, 14+2, 17+3, 20+4 and 64+4 bits.
pub fn times(times: &[u64]) -> usize {
    let (mut bits, mut delta) = (64, 0_i128);
    for pair in times.windows(2) {
        let next = i128::from(pair[1]) - i128::from(pair[0]);
        let change = next - delta;
        delta = next;
        let fits = |width: u32| (-(1_i128 << (width - 1))..1 << (width - 1)).contains(&change);
        bits += match () {
            () if change == 0 => 1,
            () if fits(14) => 16,
            () if fits(17) => 20,
            () if fits(20) => 24,
            () => 68,
        };
    }
    bits
}

/// Returns the bits of values.
pub fn values(values: &[f64]) -> usize {
    let (mut bits, mut window) = (64, None::<(u32, u32)>);
    for pair in values.windows(2) {
        let changed = pair[0].to_bits() ^ pair[1].to_bits();
        if changed == 0 {
            bits += 1;
            continue;
        }
        let (leading, trailing) = (changed.leading_zeros().min(31), changed.trailing_zeros());
        match window {
            Some((before, after)) if leading >= before && trailing >= after => {
                bits += 2 + (64 - before - after) as usize;
            }
            _ => {
                bits += 2 + 5 + 6 + (64 - leading - trailing) as usize;
                window = Some((leading, trailing));
            }
        }
    }
    bits
}
