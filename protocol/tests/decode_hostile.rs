//! Decoding input that means harm: no panic, and memory in proportion to the input.
//!
//! Every message in every version meets truncated, mutated, dense and random bytes and false counts, while an
//! allocator counts. The bound is [`allowed`]: 64 bytes for each byte of input and 1 KiB; and where that is
//! less, one and a half times the 4 bytes for each byte and 4 MiB that a `Reader` grants to arrays. The
//! dearest byte is that of an empty string in an array, which becomes a `String` of 24 bytes in a `Vec` that
//! doubles.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod sample;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sample::{Codec, codecs, for_each_body, put_length};
use sendlog_protocol::header::RequestHeader;
use sendlog_protocol::messages::{
    FetchPartition, FetchRequest, FetchTopic, MetadataRequest, MetadataRequestTopic, MetadataResponse,
    MetadataResponsePartition, MetadataResponseTopic,
};
use sendlog_protocol::schema::{Kind, Schema};
use sendlog_protocol::wire::{DecodeError, Reader, Writer};
use sendlog_protocol::{Message, decode_body, frame};

/// Most bytes that may be allocated at once while decoding.
fn allowed(input: usize) -> isize {
    let arrays = (4 << 20) + 4 * input;
    // What is not in arrays is strings, of which none is longer than its input.
    isize::try_from((64 * input).min(arrays + arrays / 2 + input) + 1024).expect("small inputs")
}

/// Counts what a thread has allocated. A reallocation counts old and new at once, as if it always moved.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more, and nothing to measure.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + change);
        PEAK.with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting does not allocate. The
// default `realloc` and `alloc_zeroed` go through `alloc` and `dealloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller upholds the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller upholds the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak of allocations during `work`, and what `work` returns.
fn measure<T>(work: impl FnOnce() -> T) -> (isize, T) {
    let before = NOW.get();
    PEAK.set(before);
    let result = work();
    (PEAK.get() - before, result)
}

fn decode(codec: &Codec, version: i16, input: Vec<u8>) -> Result<(), DecodeError> {
    let length = input.len();
    let (peak, result) = measure(|| (codec.decode)(Bytes::from(input), version));
    assert!(peak <= allowed(length), "{} v{version}: {peak} bytes for {length}", codec.name);
    result
}

#[test]
fn allocations_are_counted() {
    let (peak, vec) = measure(|| Vec::<u8>::with_capacity(5000));
    assert_eq!((peak, vec.capacity()), (5000, 5000));
}

#[test]
fn truncated_bodies_are_errors() {
    for_each_body(4, |codec, version, body, _| {
        for length in 0..body.len() {
            assert!(decode(codec, version, body[..length].to_vec()).is_err(), "cut to {length}");
        }
    });
}

#[test]
fn overwritten_bodies_do_not_panic() {
    const PATTERNS: [&[u8]; 8] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x80, 0x00, 0x00, 0x00],
        &[0x7f, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xfe, 0xff, 0xff, 0xff, 0x07],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0x00],
    ];
    for_each_body(4, |codec, version, body, _| {
        for position in 0..body.len() {
            for pattern in PATTERNS {
                let mut body = body.clone();
                let end = body.len().min(position + pattern.len());
                body.splice(position..end, pattern.iter().copied());
                let _ = decode(codec, version, body);
            }
        }
    });
}

#[test]
fn mutated_bodies_do_not_panic() {
    for_each_body(40, |codec, version, body, rng| {
        for _ in 0..20 {
            let mut body = body.clone();
            for _ in 0..rng.random_range(1..=4) {
                mutate(&mut body, rng);
            }
            let _ = decode(codec, version, body);
        }
    });
}

fn mutate(body: &mut Vec<u8>, rng: &mut SmallRng) {
    if body.is_empty() {
        return body.push(rng.random());
    }
    let position = rng.random_range(0..body.len());
    match rng.random_range(0..5) {
        0 => body[position] ^= 1 << rng.random_range(0..8),
        1 => body[position] = rng.random(),
        2 => body.insert(position, rng.random()),
        3 => drop(body.remove(position)),
        _ => body.extend_from_within(position..),
    }
}

#[test]
fn random_bytes_do_not_panic() {
    let mut rng = SmallRng::seed_from_u64(1);
    for codec in codecs() {
        for version in codec.versions.clone() {
            for length in 0..300 {
                // Small bytes make plausible counts and lengths, and get further.
                let byte_max = if rng.random() { 255 } else { 3 };
                let input = (0..length).map(|_| rng.random_range(0..=byte_max)).collect();
                let _ = decode(&codec, version, input);
            }
        }
    }
}

/// Arrays of the shortest elements there are, which have the most memory for each byte.
#[test]
fn dense_arrays_stay_in_proportion() {
    let mut dearest = 0;
    for_each_array(|codec, version, path| {
        for elements in [1, 2, 3, 5, 100, 1025, 5000] {
            let body =
                Dense { codec, version, target: path, count: elements, elements, out: Vec::new() }.body();
            let length = body.len().cast_signed();
            let (peak, result) = measure(|| (codec.decode)(Bytes::from(body), version));
            assert_eq!(result, Ok(()), "{} v{version} {path:?}", codec.name);
            assert!(peak <= allowed(length.cast_unsigned()), "{} v{version} {path:?}: {peak}", codec.name);
            dearest = dearest.max((peak - 1024) / length);
        }
    });
    // The bound is not an empty one.
    assert!(20 < dearest, "{dearest}");
}

/// A frame as large as a broker may accept becomes no more than a few times its size.
#[test]
fn large_dense_arrays_are_refused() {
    let mut refused = 0;
    for_each_array(|codec, version, path| {
        if version != *codec.versions.end() {
            return;
        }
        let elements = 400_000;
        let body = Dense { codec, version, target: path, count: elements, elements, out: Vec::new() }.body();
        match decode(codec, version, body) {
            Err(DecodeError::ArraysTooLarge { .. }) => refused += 1,
            result => assert_eq!(result, Ok(()), "{} v{version} {path:?}", codec.name),
        }
    });
    assert!(20 < refused, "{refused}");
}

#[test]
fn large_honest_messages_are_read() {
    let topic = |index| MetadataRequestTopic { name: Some(format!("topic{index}")), ..Default::default() };
    let request = MetadataRequest { topics: Some((0..100_000).map(topic).collect()), ..Default::default() };
    for version in MetadataRequest::VERSIONS {
        assert_eq!(again(&request, version), request);
    }
    let partition = |partition_index| MetadataResponsePartition {
        partition_index,
        replica_nodes: vec![1],
        isr_nodes: vec![1],
        ..Default::default()
    };
    let topic = |index| MetadataResponseTopic {
        name: Some(format!("topic{index}")),
        partitions: (0..40).map(partition).collect(),
        ..Default::default()
    };
    let response = MetadataResponse { topics: (0..5_000).map(topic).collect(), ..Default::default() };
    for version in MetadataResponse::VERSIONS {
        assert_eq!(again(&response, version).topics.len(), 5_000);
    }
    let topic = |index| FetchTopic {
        topic: format!("topic{index}"),
        partitions: vec![FetchPartition::default()],
        ..Default::default()
    };
    let request = FetchRequest { topics: (0..100_000).map(topic).collect(), ..Default::default() };
    for version in FetchRequest::VERSIONS {
        assert_eq!(again(&request, version).topics.len(), 100_000);
    }
}

fn again<M: Message>(message: &M, version: i16) -> M {
    let mut out = Writer::new();
    message.encode(&mut out, version).expect("encodes");
    decode_body(out.into_bytes().freeze(), version).expect("decodes")
}

#[test]
fn false_counts_cost_nothing() {
    for_each_array(|codec, version, path| {
        for elements in [0, 1, 7] {
            for count in [elements + 100_000, 0x7fff_fffd, 0x7fff_fffe] {
                let body = Dense { codec, version, target: path, count, elements, out: Vec::new() }.body();
                let result = decode(codec, version, body);
                assert!(
                    matches!(result, Err(DecodeError::CountTooLarge { .. })),
                    "{} v{version} {path:?}: {result:?}",
                    codec.name
                );
            }
        }
    });
}

type Path = [&'static str];

fn for_each_array(mut check: impl FnMut(&Codec, i16, &Path)) {
    fn walk(schema: &Schema, version: i16, path: &mut Vec<&'static str>, check: &mut dyn FnMut(&Path)) {
        for field in schema.fields.iter().filter(|field| (field.is_in)(version)) {
            path.push(field.name);
            let element = match field.kind {
                Kind::Array(element) => {
                    check(path);
                    *element
                }
                other => other,
            };
            if let Kind::Struct(schema) | Kind::NullableStruct(schema) = element {
                walk(schema, version, path, check);
            }
            path.pop();
        }
    }
    let mut arrays = 0;
    for codec in codecs() {
        for version in codec.versions.clone() {
            walk(codec.schema, version, &mut Vec::new(), &mut |path| {
                arrays += 1;
                check(&codec, version, path);
            });
        }
    }
    assert!(200 < arrays, "{arrays}");
}

/// A body of zeros and empties, but for one array, which announces `count` elements and has `elements`.
struct Dense<'a> {
    codec: &'a Codec,
    version: i16,
    target: &'a Path,
    count: usize,
    elements: usize,
    out: Vec<u8>,
}

impl Dense<'_> {
    fn body(mut self) -> Vec<u8> {
        self.fields(self.codec.schema, Some(self.target));
        self.out
    }

    fn is_flexible(&self) -> bool {
        self.codec.flexible_from <= self.version
    }

    /// `path` leads on from here to the array in question, if this struct is on the way.
    fn fields(&mut self, schema: &'static Schema, path: Option<&Path>) {
        let version = self.version;
        let fields = schema.fields.iter().filter(|field| (field.is_in)(version));
        let step = |name| {
            path.and_then(<[_]>::split_first).filter(|(first, _)| **first == name).map(|(_, rest)| rest)
        };
        for field in fields.clone().filter(|field| field.tag.is_none()) {
            self.value(field.kind, step(field.name));
        }
        if !self.is_flexible() {
            return;
        }
        let tagged =
            fields.filter(|field| field.tag.is_some()).find_map(|field| Some((field, step(field.name)?)));
        let Some((field, rest)) = tagged else { return self.out.push(0) };
        let outer = std::mem::take(&mut self.out);
        self.value(field.kind, Some(rest));
        let inner = std::mem::replace(&mut self.out, outer);
        self.out.extend([1, u8::try_from(field.tag.expect("tagged")).expect("small")]);
        put_length(&mut self.out, true, false, Some(inner.len() - 1));
        self.out.extend(inner);
    }

    fn value(&mut self, kind: Kind, path: Option<&Path>) {
        let flexible = self.is_flexible();
        match (kind, path) {
            (Kind::Bool | Kind::I8, _) => self.out.extend([0; 1]),
            (Kind::I16, _) => self.out.extend([0; 2]),
            (Kind::I32, _) => self.out.extend([0; 4]),
            (Kind::I64 | Kind::F64, _) => self.out.extend([0; 8]),
            (Kind::Uuid, _) => self.out.extend([0; 16]),
            (Kind::String, _) => put_length(&mut self.out, flexible, true, Some(0)),
            (Kind::Bytes, _) | (Kind::Array(_), None) => put_length(&mut self.out, flexible, false, Some(0)),
            (Kind::Array(element), Some([])) => {
                put_length(&mut self.out, flexible, false, Some(self.count));
                for _ in 0..self.elements {
                    self.value(*element, None);
                }
            }
            (Kind::Array(element), Some(rest)) => {
                put_length(&mut self.out, flexible, false, Some(1));
                self.value(*element, Some(rest));
            }
            (Kind::Struct(schema), path) => self.fields(schema, path),
            (Kind::NullableStruct(schema), path) => {
                self.out.push(1);
                self.fields(schema, path);
            }
        }
    }
}

/// The request that aborts brokers which reserve what a count says: 18 bytes, 2,147,483,647 topics.
#[test]
fn metadata_request_of_18_bytes() {
    let classic = b"\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\x7f\xff\xff\xff";
    refuse_metadata(classic, DecodeError::CountTooLarge { count: 0x7fff_ffff, remaining: 0 });
    // Compact, and the largest count that a varint of five bytes can say.
    let compact = b"\x00\x00\x00\x10\x00\x03\x00\x0c\x00\x00\x00\x07\xff\xff\x00\xff\xff\xff\xff\x0f";
    refuse_metadata(compact, DecodeError::InvalidLength { length: 0xffff_fffe });
    let compact = b"\x00\x00\x00\x10\x00\x03\x00\x0c\x00\x00\x00\x07\xff\xff\x00\x80\x80\x80\x80\x08";
    refuse_metadata(compact, DecodeError::CountTooLarge { count: 0x7fff_ffff, remaining: 0 });
    let negative = b"\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\x80\x00\x00\x00";
    refuse_metadata(negative, DecodeError::InvalidLength { length: -0x8000_0000 });
}

fn refuse_metadata(frame: &[u8], expected: DecodeError) {
    let mut buffer = BytesMut::from(frame);
    let (peak, ()) = measure(|| {
        let frame = frame::take(&mut buffer, 1 << 20).expect("within the limit").expect("complete");
        let mut input = Reader::new(frame);
        let header = RequestHeader::decode(&mut input).expect("a header");
        let body = input.into_remaining();
        assert_eq!(decode_body::<MetadataRequest>(body, header.api_version), Err(expected));
    });
    assert!(peak <= 1024, "{peak}");
}

#[test]
fn headers_and_frames_do_not_panic() {
    let mut rng = SmallRng::seed_from_u64(2);
    for round in 0..200_000 {
        let mut input: Vec<u8> = (0..rng.random_range(0..40)).map(|_| rng.random()).collect();
        if round % 2 == 0 && 4 <= input.len() {
            // A key and version that are known.
            input[..4].copy_from_slice(&[0, rng.random_range(0..70), 0, rng.random_range(0..15)]);
        }
        let length = input.len();
        let mut buffer = BytesMut::from(&input[..]);
        let (peak, ()) = measure(|| {
            let _ = RequestHeader::decode(&mut Reader::new(Bytes::from(input)));
            let _ = frame::take(&mut buffer, 100);
        });
        assert!(peak <= allowed(length));
    }
}

/// Tagged fields that stand for nothing and claim much.
#[test]
fn tag_counts_and_sizes_cost_nothing() {
    for codec in codecs() {
        for version in codec.versions.clone().filter(|version| codec.flexible_from <= *version) {
            let codec = &codec;
            let mut body =
                Dense { codec, version, target: &[], count: 0, elements: 0, out: Vec::new() }.body();
            assert_eq!(body.pop(), Some(0), "a body without tagged fields ends in their count");
            for tags in
                [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[1, 99, 0xff, 0xff, 0xff, 0xff, 0x0f], &[1, 0x80]]
            {
                assert!(decode(codec, version, [&body[..], tags].concat()).is_err());
            }
        }
    }
}
