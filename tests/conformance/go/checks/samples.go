package checks

import (
	"bytes"
	"fmt"
)

// The records that every client writes and must read back unchanged. The other languages make the same ones.
const (
	// FirstTimestamp is 2023-11-14T22:13:20Z, in milliseconds.
	FirstTimestamp int64 = 1_700_000_000_000
	// TimestampStep lies between two records.
	TimestampStep int64 = 1_000
	// Count is how many there are.
	Count = 60
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Sample is one record.
type Sample struct {
	Key       []byte
	Value     []byte
	Headers   []Header
	Timestamp int64
}

// Samples are the records for a codec.
func Samples(codec string) []Sample {
	samples := make([]Sample, Count)
	for i := range samples {
		samples[i] = Sample{key(i), value(codec, i), headers(i), FirstTimestamp + int64(i)*TimestampStep}
	}
	return samples
}

// Same fails the check when a record read back differs.
func (expected Sample) Same(actual Sample, what string) {
	SameBytes(actual.Key, expected.Key, "key of "+what)
	SameBytes(actual.Value, expected.Value, "value of "+what)
	Equal(actual.Timestamp, expected.Timestamp, "timestamp of "+what)
	Equal(len(actual.Headers), len(expected.Headers), "number of headers of "+what)
	for i, header := range expected.Headers {
		Equal(actual.Headers[i].Key, header.Key, "header key of "+what)
		SameBytes(actual.Headers[i].Value, header.Value, "header "+header.Key+" of "+what)
	}
}

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func key(i int) []byte {
	switch i % 10 {
	case 3:
		return nil
	case 4:
		return []byte{}
	case 5:
		return allBytes()
	}
	return fmt.Appendf(nil, "key-%d", i)
}

func value(codec string, i int) []byte {
	switch i % 10 {
	case 5:
		return nil
	case 6:
		return []byte{}
	case 7:
		return allBytes()
	case 8:
		return bytes.Repeat(fmt.Appendf(nil, "%s %d grüße ", codec, i), 200)
	case 9:
		return noise(i, 20_000)
	}
	return fmt.Appendf(nil, "value %d of %s", i, codec)
}

func headers(i int) []Header {
	switch i % 5 {
	case 1:
		return []Header{{"one", []byte("1")}}
	case 2:
		return []Header{{"twice", []byte("first")}, {"other", []byte("x")}, {"twice", []byte("second")}, {"twice", []byte("first")}}
	case 3:
		return []Header{{"null", nil}, {"empty", []byte{}}, {"bytes", allBytes()}}
	case 4:
		return []Header{{"schlüssel", []byte("wert é")}}
	}
	return nil
}

// Bytes that do not compress: a linear congruential generator, the same in every language.
func noise(seed, length int) []byte {
	state := uint64(seed) + 1
	out := make([]byte, length)
	for i := range out {
		state = (state*1_103_515_245 + 12_345) % (1 << 31)
		out[i] = byte(state >> 16)
	}
	return out
}
