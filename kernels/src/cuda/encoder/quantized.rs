//! Weights in 8 bits: a scale for each row.

use super::super::functions::EightBits;

/// Appends a row, and gives its scale: `weight ≈ value · scale`. A row of zeros has the scale 0.
pub fn push(kind: EightBits, row: &[f32], bytes: &mut Vec<u8>) -> f32 {
    let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let most = match kind {
        EightBits::Int8 => 127.0,
        EightBits::E4m3 => E4M3_MOST,
    };
    let inverse = if largest > 0.0 { most / largest } else { 0.0 };
    bytes.extend(row.iter().map(|x| match kind {
        EightBits::Int8 => ((x * inverse).round_ties_even() as i8).cast_unsigned(),
        EightBits::E4m3 => e4m3(x * inverse),
    }));
    largest / most
}

/// The largest value of e4m3.
const E4M3_MOST: f32 = 448.0;

/// The nearest e4m3, ties to even: a sign, 4 bits of exponent with a bias of 7, and 3 of mantissa.
fn e4m3(x: f32) -> u8 {
    /// Bits of f32's mantissa beyond e4m3's.
    const LOST: u32 = 23 - 3;
    /// What f32's exponent has more.
    const BIAS: u32 = (127 - 7) << 3;
    let sign = if x.is_sign_negative() { 0x80 } else { 0 };
    let magnitude = x.abs().min(E4M3_MOST);
    let bits = if magnitude < 0.015_625 {
        // Below 2⁻⁶ values are steps of 2⁻⁹.
        (magnitude * 512.0).round_ties_even() as u8
    } else {
        let bits = magnitude.to_bits();
        ((bits + (1 << (LOST - 1)) - 1 + ((bits >> LOST) & 1)) >> LOST).wrapping_sub(BIAS) as u8
    };
    sign | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bits: u8) -> f32 {
        let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
        let magnitude =
            if exponent == 0 { mantissa / 512.0 } else { (1.0 + mantissa / 8.0) * (exponent as f32 - 7.0).exp2() };
        if bits & 0x80 == 0 { magnitude } else { -magnitude }
    }

    #[test]
    fn e4m3_is_the_nearest_value() {
        let all: Vec<u8> = (0..=255).filter(|bits| bits & 0x7f != 0x7f).collect();
        for bits in &all {
            assert_eq!(e4m3(value(*bits)), *bits);
        }
        for i in 0..20_000_u16 {
            let x = (f32::from(i) - 10_000.0) * 0.0448 * if i % 3 == 0 { 1.0 } else { 1e-3 };
            let nearest = all.iter().map(|bits| (value(*bits) - x).abs()).fold(f32::INFINITY, f32::min);
            assert_eq!((value(e4m3(x)) - x).abs(), nearest, "{x}");
        }
        // Halfway between 16 and 18, and between 18 and 20: to the even one.
        assert_eq!([e4m3(17.0), e4m3(19.0)].map(value), [16.0, 20.0]);
        assert_eq!([e4m3(1e9), e4m3(-1e9)].map(value), [448.0, -448.0]);
    }

    #[test]
    fn a_row_keeps_its_largest_value_and_its_zeros() {
        for (kind, most) in [(EightBits::Int8, 127), (EightBits::E4m3, 0x7e)] {
            let mut bytes = Vec::new();
            let scale = push(kind, &[0.5, -1.0, 0.0, 2.0], &mut bytes);
            assert_eq!((bytes[3], bytes[2]), (most, 0));
            assert!((scale * if most == 127 { 127.0 } else { 448.0 } - 2.0).abs() < 1e-6);
            assert_eq!(push(kind, &[0.0; 4], &mut bytes), 0.0);
            assert_eq!(bytes[4..], [0; 4]);
        }
    }
}
