//! Rows of bytes for a processor that cannot sum products of bytes in 32 bits.
//!
//! There is an instruction that multiplies unsigned bytes by signed ones and adds pairs in 16 bits. Sums of `u w` do not fit
//! them; those of `|u - 128| w` do. Where `u - 128` is negative, `w` is inverted, which is `-w - 1`: the sums want as
//! many times 1 as the magnitude says, the same for all outputs, and 128 times the weights' sum, which the zero point has.

use super::int8::Affine;
use super::multiversion;
use super::tile::Sums;

/// Turns a row for a kernel that multiplies magnitudes: of the words twice the room, the first half has the row, and gets
/// `|u - 128|`, and the second half gets all ones for each byte whose `u` is less than 128.
pub fn split_signs(words: &mut [u32], affine: &mut Affine) {
    let (magnitudes, signs) = words.split_at_mut(words.len() / 2);
    let mut offset = 0;
    split_bytes(bytemuck::cast_slice_mut(magnitudes), bytemuck::cast_slice_mut(signs), &mut offset);
    affine.offset = offset;
    affine.zero -= 128;
}

multiversion! {
    fn split_bytes(magnitudes: &mut [u8], signs: &mut [u8], offset: &mut i32) {
        for (magnitude, sign) in magnitudes.iter_mut().zip(signs) {
            let is_negative = *magnitude < 128;
            *magnitude = magnitude.abs_diff(128);
            *sign = if is_negative { 0xff } else { 0 };
            *offset += i32::from(*magnitude & *sign);
        }
    }
}

multiversion! {
    /// Adds to the sums of each row what its magnitudes want.
    pub fn add_offsets(sums: &mut Sums<i32>, tokens: &[Affine]) {
        for (sums, token) in sums.0.iter_mut().zip(tokens) {
            for sum in sums {
                *sum += token.offset;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_its_magnitude_and_its_sign() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut words = vec![0u32; 128];
        bytemuck::cast_slice_mut(&mut words[..64]).copy_from_slice(&bytes);
        let mut affine = Affine { scale: 1.0, zero: 5, offset: 0 };
        split_signs(&mut words, &mut affine);
        let (magnitudes, signs) = bytemuck::cast_slice::<u32, u8>(&words).split_at(256);
        for ((u, magnitude), sign) in bytes.iter().zip(magnitudes).zip(signs) {
            let (x, magnitude) = (i32::from(*u) - 128, i32::from(*magnitude));
            assert_eq!(x, if *sign == 0xff { -magnitude } else { magnitude });
            assert!(*sign == 0 || *sign == 0xff);
        }
        assert_eq!((affine.zero, affine.offset), (5 - 128, (1..=128).sum::<i32>()));
    }
}
