//! G.711: eight bits for a sample of sound, by two laws (ITU-T G.711).
//!
//! Both laws cut the magnitude into segments that double in width, so that quiet sound keeps its detail. Samples are
//! 16 bits wide; µ-law keeps the top 14 of them, A-law the top 13.

/// What µ-law adds before it looks for the segment.
const BIAS: i32 = 0x84;
/// The largest magnitude that µ-law has a code for.
const CLIP: i32 = 32_635;

/// Encodes by µ-law.
pub fn to_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // The bias makes bit 7 the lowest that can be the highest one.
    let segment = 24 - magnitude.leading_zeros() as i32;
    let step = magnitude >> (segment + 3) & 0x0f;
    !(sign | (segment << 4 | step) as u8)
}

/// Decodes by µ-law.
pub fn from_ulaw(code: u8) -> i16 {
    let code = !code;
    let (segment, step) = (i32::from(code >> 4 & 7), i32::from(code & 0x0f));
    let magnitude = (((step << 3) + BIAS) << segment) - BIAS;
    (if code & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

/// Encodes by A-law.
pub fn to_alaw(sample: i16) -> u8 {
    // Below zero the scale is shifted by one, so that zero is not there twice.
    let (sign, magnitude) = if sample < 0 { (0, !i32::from(sample)) } else { (0x80, i32::from(sample)) };
    let segment = (24 - (magnitude | 0xff).leading_zeros() as i32).max(0);
    let step = magnitude >> (if segment == 0 { 4 } else { segment + 3 }) & 0x0f;
    (sign | (segment << 4 | step) as u8) ^ 0x55
}

/// Decodes by A-law.
pub fn from_alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, step) = (i32::from(code >> 4 & 7), i32::from(code & 0x0f));
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    (if code & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of known samples, as the tables of G.711 have them.
    #[test]
    fn known_samples_have_known_codes() {
        for (sample, ulaw) in
            [(0, 0xff), (-1, 0x7f), (32_767, 0x80), (-32_768, 0x00), (8, 0xfe), (1000, 0xce)]
        {
            assert_eq!(to_ulaw(sample), ulaw, "{sample}");
        }
        for (sample, alaw) in
            [(0, 0xd5), (-1, 0x55), (32_767, 0xaa), (-32_768, 0x2a), (16, 0xd4), (1000, 0xfa)]
        {
            assert_eq!(to_alaw(sample), alaw, "{sample}");
        }
    }

    #[test]
    fn every_code_comes_back_from_its_own_sample() {
        for code in 0..=255_u8 {
            assert_eq!(to_alaw(from_alaw(code)), code, "A-law {code:#x}");
            // µ-law has two zeros; the negative one decodes to the same.
            if code != 0x7f {
                assert_eq!(to_ulaw(from_ulaw(code)), code, "µ-law {code:#x}");
            }
        }
    }

    #[test]
    fn sound_is_never_more_than_a_step_away_and_never_turns_around() {
        type Law = (fn(i16) -> u8, fn(u8) -> i16);
        let laws: [Law; 2] = [(to_ulaw, from_ulaw), (to_alaw, from_alaw)];
        for (encode, decode) in laws {
            let mut last = i16::MIN;
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let heard = decode(encode(sample));
                let off = (i32::from(heard) - i32::from(sample)).abs();
                assert!(off <= 16 + i32::from(sample).abs() / 16, "{sample} {heard}");
                assert!(heard >= last, "{sample}");
                last = heard;
            }
        }
    }
}
