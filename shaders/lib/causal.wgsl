// Addresses in attention for training. A head takes HEAD4 texels; row t of kv holds K keys followed
// by K values. Query row n is position p.tokens - p.queries + n mod p.queries of sequence n /
// p.queries.

const HEAD4: u32 = {{ HEAD4 }}u;

// Texel of the key of KV head `head` in row t; its value is p.keys4 texels further.
fn key_at(t: u32, head: u32) -> u32 {
    return t * 2u * p.keys4 + head * HEAD4;
}
