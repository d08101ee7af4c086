//! Block types against vectors made elsewhere, and the encoder against its own error bounds.

use kaiwu::format::blocks::{dequantise, quantise};
use kaiwu::format::dtype::DType;

/// Made by tests/data/make_blocks.py with the gguf package, which unpacks the blocks with numpy.
const VECTORS: &[u8] = include_bytes!("../data/blocks.bin");

fn take<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(n);
    *rest = left;
    taken
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

#[test]
fn dequantise_agrees_with_the_gguf_package_to_the_bit() {
    let mut rest = VECTORS;
    let mut seen = Vec::new();
    let mut failures = Vec::new();
    while !rest.is_empty() {
        let dtype = DType::from_ggml(u32_of(take(&mut rest, 4))).expect("a supported type");
        let count = u32_of(take(&mut rest, 4)) as usize;
        let blocks = take(&mut rest, count * dtype.block_bytes());
        let expected = take(&mut rest, count * dtype.block_len() * 4);
        let mut values = vec![f32::NAN; count * dtype.block_len()];
        dequantise(dtype, blocks, &mut values).expect("whole blocks");
        for (i, (value, expected)) in values.iter().zip(expected.chunks_exact(4)).enumerate() {
            let expected = f32::from_bits(u32_of(expected));
            if value.to_bits() != expected.to_bits() {
                failures.push(format!("{dtype} weight {i}: {value:e}, expected {expected:e}"));
                break; // the first of a type says enough
            }
        }
        seen.push(dtype);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(seen, DType::ALL, "each type has its vectors");
}

/// Blocks written out by hand from the layouts, small enough to check by eye.
#[test]
fn dequantise_by_hand() {
    const ONE: [u8; 2] = [0x00, 0x3c]; // 1.0 as f16
    const HALF: [u8; 2] = [0x00, 0x38];
    let block = |parts: &[&[u8]]| parts.concat();
    type Case = (DType, Vec<u8>, &'static [(usize, f32)]); // the pairs: which weight, its value
    let cases: [Case; 14] = [
        (DType::F32, vec![0, 0, 0xc0, 0xbf], &[(0, -1.5)]),
        (DType::F16, vec![0x00, 0xc2], &[(0, -3.0)]),
        (DType::BF16, vec![0xc0, 0x3f], &[(0, 1.5)]),
        (
            DType::Q4_0,
            block(&[&HALF, &[0x9f], &[0x88; 15]]),
            &[(0, 3.5), (16, 0.5), (1, 0.0), (31, 0.0)],
        ),
        (
            DType::Q4_1,
            block(&[&HALF, &ONE, &[0xf2], &[0; 15]]),
            &[(0, 2.0), (16, 8.5), (1, 1.0), (31, 1.0)],
        ),
        // The fifth bits of weights 0 and 31 are set.
        (
            DType::Q5_0,
            block(&[&ONE, &[1, 0, 0, 0x80], &[0x21], &[0; 15]]),
            &[(0, 1.0), (16, -14.0), (31, 0.0), (1, -16.0)],
        ),
        (
            DType::Q5_1,
            block(&[&ONE, &HALF, &[1, 0, 0, 0x80], &[0x21], &[0; 15]]),
            &[(0, 17.5), (16, 2.5), (31, 16.5), (1, 0.5)],
        ),
        (DType::Q8_0, block(&[&HALF, &[0x80, 0x7f], &[0; 30]]), &[(0, -64.0), (1, 63.5), (2, 0.0)]),
        // Group 0: scale 3, min 2. Group 5: scale 0x12 (low 2, high 1), min 0x31 (low 1, high 3).
        (
            DType::Q4K,
            block(&[
                &ONE,
                &HALF,
                &[3, 0x40, 0, 0, 2, 0xc0, 0, 0, 0, 0x12, 0, 0],
                &[0x05],
                &[0; 63],
                &[0x40],
                &[0; 63],
            ]),
            &[(0, 14.0), (1, -1.0), (32, 0.0), (160, 47.5), (161, -24.5), (255, 0.0)],
        ),
        // As above; bit 0 of byte 0 lifts weight 0, bit 5 lifts weight 160.
        (
            DType::Q5K,
            block(&[
                &ONE,
                &HALF,
                &[3, 0x40, 0, 0, 2, 0xc0, 0, 0, 0, 0x12, 0, 0],
                &[0x21],
                &[0; 31],
                &[0x05],
                &[0; 63],
                &[0x40],
                &[0; 63],
            ]),
            &[(0, 62.0), (1, -1.0), (160, 335.5), (161, -24.5)],
        ),
        // Weight 0: low 5, high 3: 53 - 32. Weight 64: low 9, high 2: 41 - 32. Group 0 has scale 2,
        // group 4 has -1.
        (
            DType::Q6K,
            block(&[&[0x95], &[0; 127], &[0x23], &[0; 63], &[2, 0, 0, 0, 0xff], &[0; 11], &HALF]),
            &[(0, 21.0), (1, -32.0), (64, -4.5), (65, 16.0), (128, 0.0)],
        ),
        // Group 0: scale 3, min 2. Weight 0 has 2, weight 32 has 1 in the same byte, but no scale.
        (
            DType::Q2K,
            block(&[&[0x23], &[0; 15], &[0x06], &[0; 63], &ONE, &HALF]),
            &[(0, 5.0), (1, -1.0), (15, -1.0), (16, 0.0), (32, 0.0)],
        ),
        // Group 0: scale 5 + 32 - 32. Weight 0 has low 1 and its third bit; weight 1 has nothing.
        // Group 4: scale -32.
        (
            DType::Q3K,
            block(&[&[1], &[0; 31], &[1], &[0; 63], &[5], &[0; 7], &[2], &[0; 3], &HALF]),
            &[(0, 2.5), (1, -10.0), (64, 64.0), (255, 64.0)],
        ),
        (
            DType::IQ4NL,
            block(&[&HALF, &[0x9f], &[0x80; 15]]),
            &[(0, 56.5), (16, 6.5), (1, -63.5), (31, 0.5)],
        ),
    ];
    for (dtype, block, expected) in cases {
        let mut values = vec![f32::NAN; dtype.block_len()];
        dequantise(dtype, &block, &mut values).expect("one block");
        for (weight, value) in expected {
            assert_eq!(values[*weight], *value, "{dtype} weight {weight} of {block:02x?}");
        }
    }
}

/// Numbers in -1..1 that look random and are the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn quantise_stays_within_the_step_of_each_type() {
    // The bound on |error| as a share of the largest magnitude of the 32 or 256 weights of a block
    // (of the weight itself for floats): half a step, or a whole one where the positive extreme
    // saturates, and 1 % for f16 factors.
    let cases = [
        (DType::F32, 0.0),
        (DType::F16, 1.0 / 2048.0),
        (DType::BF16, 1.0 / 256.0),
        (DType::Q4_0, 1.01 / 8.0),
        (DType::Q4_1, 1.01 / 15.0),
        (DType::Q5_0, 1.01 / 16.0),
        (DType::Q5_1, 1.01 / 31.0),
        (DType::Q8_0, 0.51 / 127.0),
        // A step of at most 2/15, and scale and min rounded to 6 bits of the largest in the block.
        (DType::Q4K, 1.0 / 15.0 + 2.0 / 126.0 + 1.0 / 126.0),
        (DType::Q5K, 1.0 / 31.0 + 2.0 / 126.0 + 1.0 / 126.0),
        // A whole step, and a scale rounded to 7 bits of the largest in the block.
        (DType::Q6K, 1.01 / 32.0 + 1.0 / 254.0),
        // A step of at most 2/3, and scale and min rounded to 4 bits of the largest in the block.
        (DType::Q2K, 1.0 / 3.0 + 2.0 / 30.0 + 1.0 / 30.0),
        // A whole step, and a scale rounded to 5 bits and a sign.
        (DType::Q3K, 1.01 / 4.0 + 1.0 / 62.0),
        // Beyond the last level on the side of the smaller ones.
        (DType::IQ4NL, 1.01 * 14.0 / 127.0),
    ];
    assert_eq!(cases.map(|(dtype, _)| dtype), DType::ALL);
    let mixed = noise(2048);
    let inputs = [
        ("noise", mixed.clone()),
        ("small noise", mixed.iter().map(|w| w * 0.02).collect()),
        ("positive", mixed.iter().map(|w| w.abs() + 0.5).collect()),
        ("negative", mixed.iter().map(|w| -w.abs() - 0.5).collect()),
        ("zero", vec![0.0; 2048]),
        ("constant", vec![-0.75; 2048]),
        ("one spike", (0..2048).map(|i| if i % 256 == 37 { 2.0 } else { 0.0 }).collect()),
    ];
    let mut failures = Vec::new();
    for (dtype, bound) in cases {
        for (input, weights) in &inputs {
            let bytes = quantise(dtype, weights);
            assert_eq!(Some(bytes.len() as u64), dtype.bytes_for(2048));
            let mut back = vec![f32::NAN; weights.len()];
            dequantise(dtype, &bytes, &mut back).expect("whole blocks");
            let blocks = weights.chunks(dtype.block_len()).zip(back.chunks(dtype.block_len()));
            for (i, (block, back)) in blocks.enumerate() {
                let most = block.iter().fold(0f32, |most, w| most.max(w.abs()));
                let bound = bound * most + 0.5f32.powi(25); // half the smallest f16
                let within = |(w, b): (&f32, &f32)| (w - b).abs() <= bound; // NaN is not
                if let Some(worst) = block.iter().zip(back).position(|pair| !within(pair)) {
                    let (w, b) = (block[worst], back[worst]);
                    failures
                        .push(format!("{dtype} {input}, block {i}: {w} became {b}, bound {bound}"));
                    break;
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn dequantise_refuses_sizes_that_do_not_match() {
    let cases = [
        (DType::Q4_0, 18, 31, "31 weights are not whole Q4_0 blocks of 32"),
        (DType::Q4_0, 17, 32, "32 weights of type Q4_0 take 18 bytes, but there are 17"),
        (DType::F16, 3, 1, "1 weights of type F16 take 2 bytes, but there are 3"),
    ];
    for (dtype, bytes, weights, message) in cases {
        let result = dequantise(dtype, &vec![0; bytes], &mut vec![0.0; weights]);
        assert_eq!(result.as_ref().err().map(String::as_str), Some(message));
    }
}
