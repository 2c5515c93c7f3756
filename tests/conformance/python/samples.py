"""The records that every client writes and must read back unchanged. The other languages make the same ones."""

from typing import NamedTuple, Optional

# 2023-11-14T22:13:20Z, in milliseconds.
FIRST_TIMESTAMP = 1_700_000_000_000
# Between two records.
TIMESTAMP_STEP = 1_000
COUNT = 60

ALL_BYTES = bytes(range(256))


class Sample(NamedTuple):
    key: Optional[bytes]
    value: Optional[bytes]
    headers: list
    timestamp: int


def samples(codec):
    return [sample(codec, i) for i in range(COUNT)]


def samples_without_null_headers(codec):
    """For clients that refuse to send a header without a value."""
    return [r._replace(headers=[(k, b"" if v is None else v) for k, v in r.headers]) for r in samples(codec)]


def sample(codec, i):
    return Sample(key(i), value(codec, i), headers(i), FIRST_TIMESTAMP + i * TIMESTAMP_STEP)


def key(i):
    return {3: None, 4: b"", 5: ALL_BYTES}.get(i % 10, f"key-{i}".encode())


def value(codec, i):
    special = {
        5: None,
        6: b"",
        7: ALL_BYTES,
        8: f"{codec} {i} grüße ".encode() * 200,
        9: noise(i, 20_000),
    }
    return special.get(i % 10, f"value {i} of {codec}".encode())


def headers(i):
    return [
        [],
        [("one", b"1")],
        [("twice", b"first"), ("other", b"x"), ("twice", b"second"), ("twice", b"first")],
        [("null", None), ("empty", b""), ("bytes", ALL_BYTES)],
        [("schlüssel", "wert é".encode())],
    ][i % 5]


def noise(seed, length):
    """Bytes that do not compress: a linear congruential generator, the same in every language."""
    state = seed + 1
    out = bytearray()
    for _ in range(length):
        state = (state * 1_103_515_245 + 12_345) % (1 << 31)
        out.append((state >> 16) & 0xFF)
    return bytes(out)
