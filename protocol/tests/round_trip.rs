//! Every message in every version survives decoding and encoding, bit for bit.

mod sample;

use bytes::Bytes;
use sample::{Sampler, codecs, for_each_body};
use sendlog_protocol::wire::{DecodeError, EncodeError};

#[test]
fn every_version_round_trips() {
    for_each_body(60, |codec, version, body, _| {
        let body = Bytes::from(body);
        let again = (codec.convert)(body.clone(), version, version).expect("decodes").expect("encodes");
        assert_eq!(Bytes::from(again), body);
    });
}

/// What a version lacks is left out when writing and has its default when reading.
#[test]
fn other_versions_keep_what_they_have() {
    for_each_body(10, |codec, version, body, _| {
        for to in codec.versions.clone() {
            let converted = match (codec.convert)(Bytes::from(body.clone()), version, to).expect("decodes") {
                // A null that this version does not know has no form in it.
                Err(EncodeError::UnexpectedNull { .. }) => continue,
                converted => Bytes::from(converted.expect("encodes")),
            };
            let again = (codec.convert)(converted.clone(), to, to).expect("decodes").expect("encodes");
            assert_eq!(again, converted, "in version {to}");
        }
    });
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    for_each_body(20, |codec, version, _, rng| {
        if version < codec.flexible_from {
            return;
        }
        let mut sampler = Sampler::new(codec, version, rng);
        sampler.unknown_tags = true;
        let body = Bytes::from(sampler.body());
        let written = (codec.convert)(body.clone(), version, version).expect("decodes").expect("encodes");
        assert!(written.len() < body.len());
        assert_eq!((codec.show)(written.into(), version), (codec.show)(body, version));
    });
}

#[test]
fn trailing_bytes_are_an_error() {
    for_each_body(3, |codec, version, mut body, _| {
        body.push(0);
        assert_eq!((codec.decode)(body.into(), version), Err(DecodeError::TrailingBytes { bytes: 1 }));
    });
}

#[test]
fn unknown_versions_are_an_error() {
    for codec in codecs() {
        for version in [codec.versions.start() - 1, codec.versions.end() + 1, i16::MIN, i16::MAX] {
            let expected = DecodeError::UnsupportedVersion { message: codec.name, version };
            assert_eq!((codec.decode)(Bytes::from_static(&[0; 64]), version), Err(expected));
        }
    }
}
