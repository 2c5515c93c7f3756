// The records that every client writes and must read back unchanged. The other languages make the same ones.

// 2023-11-14T22:13:20Z, in milliseconds.
export const FIRST_TIMESTAMP = 1_700_000_000_000
// Between two records.
export const TIMESTAMP_STEP = 1_000
export const COUNT = 60

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

export function samples (codec) {
  return Array.from({ length: COUNT }, (_, i) => ({
    key: key(i),
    value: value(codec, i),
    headers: headers(i),
    timestamp: FIRST_TIMESTAMP + i * TIMESTAMP_STEP
  }))
}

// For clients that cannot write a header without a value.
export function samplesWithoutNullHeaders (codec) {
  const filled = headers => headers.map(([key, value]) => [key, value ?? Buffer.alloc(0)])
  return samples(codec).map(record => ({ ...record, headers: filled(record.headers) }))
}

function key (i) {
  switch (i % 10) {
    case 3: return null
    case 4: return Buffer.alloc(0)
    case 5: return ALL_BYTES
    default: return Buffer.from(`key-${i}`)
  }
}

function value (codec, i) {
  switch (i % 10) {
    case 5: return null
    case 6: return Buffer.alloc(0)
    case 7: return ALL_BYTES
    case 8: return Buffer.from(`${codec} ${i} grüße `.repeat(200))
    case 9: return noise(i, 20_000)
    default: return Buffer.from(`value ${i} of ${codec}`)
  }
}

function headers (i) {
  switch (i % 5) {
    case 1: return [['one', Buffer.from('1')]]
    case 2: return [['twice', Buffer.from('first')], ['other', Buffer.from('x')], ['twice', Buffer.from('second')], ['twice', Buffer.from('first')]]
    case 3: return [['null', null], ['empty', Buffer.alloc(0)], ['bytes', ALL_BYTES]]
    case 4: return [['schlüssel', Buffer.from('wert é')]]
    default: return []
  }
}

// Bytes that do not compress: a linear congruential generator, the same in every language.
function noise (seed, length) {
  let state = BigInt(seed) + 1n
  const out = Buffer.alloc(length)
  for (let i = 0; i < length; i++) {
    state = (state * 1_103_515_245n + 12_345n) % (1n << 31n)
    out[i] = Number((state >> 16n) & 0xffn)
  }
  return out
}
