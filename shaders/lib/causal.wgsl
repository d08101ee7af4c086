// Where attention of training finds things. HEAD4 texels a head; row t of kv holds K keys, then K
// values. Query row n is place p.tokens - p.queries + n mod p.queries of sequence n / p.queries.

const HEAD4: u32 = {{ HEAD4 }}u;

// Texel of the key of KV head `head` of row t; its value is p.keys4 further on.
fn key_at(t: u32, head: u32) -> u32 {
    return t * 2u * p.keys4 + head * HEAD4;
}
