"""Makes blocks.bin: random blocks of each type with their values, as the gguf package (numpy) dequantises them.

    pip install gguf==0.19.0 && python make_blocks.py

For each type, in the order of TYPES: its ggml number, the number of blocks, the bytes of the blocks, and their weights
as f32, all little-endian (u32, u32, u8..., f32...). Every bit of a block is random except that the exponents of its
f16 factors stay below 32, so that all values are finite; the first block of each type has a zero and a subnormal
factor.
"""

import pathlib
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# Type, and where its block has f16 factors.
TYPES = [
    (T.F32, []), (T.F16, [0]), (T.BF16, []), (T.Q4_0, [0]), (T.Q4_1, [0, 2]), (T.Q5_0, [0]), (T.Q5_1, [0, 2]),
    (T.Q8_0, [0]), (T.Q4_K, [0, 2]), (T.Q5_K, [0, 2]), (T.Q6_K, [208]),
    (T.Q2_K, [80, 82]), (T.Q3_K, [108]), (T.IQ4_NL, [0]),
]

random = np.random.default_rng(20240817)
out = bytearray()
for dtype, factors in TYPES:
    weights, size = GGML_QUANT_SIZES[dtype]
    count = 64 if weights == 1 else 8 if weights == 32 else 3
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in factors:
        blocks[:, at + 1] &= 0xBF  # exponents 0..15: below 2
        blocks[0, at : at + 2] = 0 if at == 2 else [0x01, 0x80]  # 0, or the smallest negative subnormal
    if dtype in (T.F32, T.BF16):
        blocks[:, -1] &= 0xBF  # no infinities
    values = dequantize(blocks, dtype).astype(np.float32).reshape(count, weights)
    assert np.isfinite(values).all(), dtype
    out += np.array([dtype.value, count], "<u4").tobytes() + blocks.tobytes() + values.astype("<f4").tobytes()
pathlib.Path(__file__).with_name("blocks.bin").write_bytes(out)
print(len(out), "bytes")
