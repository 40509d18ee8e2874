//! First messages, control messages and reasons as bytes; and who may take part in a run.

use proptest::prelude::*;
use sim_core::Tick;
use std::net::SocketAddr;
use tidelock_net_runtime::proto::control::{BODY_BYTES, Control, ControlDecoder, ControlError, encode};
use tidelock_net_runtime::proto::hello::{HELLO_BYTES, Hello, PREFIX_BYTES, PROTOCOL, Refusal, message_length};
use tidelock_net_runtime::proto::rendezvous::{Gathering, Join, Member, Secret, Side, Trust};
use tidelock_net_runtime::proto::{Cause, ShardId, Stop};

fn hello() -> Hello {
    Hello {
        run: [1; 16],
        shard: ShardId(2),
        shards: 4,
        build: [2; 32],
        configuration: [3; 32],
        calendars: [4; 32],
        seed: 5,
        start: Tick(0),
    }
}

/// Shard 1 reads what shard 2 says.
fn greet(bytes: &[u8]) -> Result<Hello, Refusal> {
    Hello { shard: ShardId(1), ..hello() }.check(bytes, ShardId(2))
}

#[test]
fn a_hello_is_understood() {
    assert_eq!(greet(&hello().encode()), Ok(hello()));
}

/// Every field that differs is named, with both values.
#[test]
fn differences_are_named() {
    type Change = fn(&mut Hello);
    let changes: [(&str, Change); 7] = [
        ("run id", |hello| hello.run[0] ^= 1),
        ("number of shards", |hello| hello.shards = 5),
        ("build", |hello| hello.build[3] ^= 128),
        ("configuration", |hello| hello.configuration[0] ^= 1),
        ("calendars", |hello| hello.calendars[0] ^= 1),
        ("seed", |hello| hello.seed += 1),
        ("first tick", |hello| hello.start = Tick(7)),
    ];
    for (name, change) in changes {
        let mut theirs = hello();
        change(&mut theirs);
        match greet(&theirs.encode()) {
            Err(Refusal::Differs { field, ours, theirs }) => {
                assert_eq!(field, name);
                assert_ne!(ours, theirs);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let claimed = ShardId(3);
    let other = Hello { shard: claimed, ..hello() };
    assert_eq!(greet(&other.encode()), Err(Refusal::NotWhoItSays { pinned: ShardId(2), claimed }));
}

/// A HELLO that is changed, cut, or lengthened.
#[test]
fn malformed_hellos_are_refused() {
    let bytes = hello().encode();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        greet(&bytes)
    };
    let malformed = |result: Result<Hello, Refusal>| matches!(result, Err(Refusal::Malformed { .. }));
    assert_eq!(greet(b""), Err(Refusal::NotTidelock));
    assert_eq!(greet(b"GET / HTTP/1.1\r\n"), Err(Refusal::NotTidelock));
    assert_eq!(changed(&|bytes| bytes[0] = b'T'), Err(Refusal::NotTidelock));
    for theirs in [0, PROTOCOL + 1, u16::MAX] {
        let result = changed(&|bytes| bytes[8..10].copy_from_slice(&theirs.to_le_bytes()));
        assert_eq!(result, Err(Refusal::Version { ours: PROTOCOL, theirs }));
    }
    assert!(malformed(changed(&|bytes| bytes.truncate(9))));
    assert!(malformed(changed(&|bytes| bytes.truncate(bytes.len() - 1))));
    assert!(malformed(changed(&|bytes| bytes.push(0))), "bytes behind it");
    assert!(malformed(changed(&|bytes| bytes.extend(hello().encode()))), "twice");
    assert!(malformed(changed(&|bytes| bytes[10..12].copy_from_slice(&u16::MAX.to_le_bytes()))));
    assert!(malformed(changed(&|bytes| bytes[10..12].copy_from_slice(&[0, 0]))));
    // The shard's number, 2, as a number of two bytes.
    assert!(malformed(changed(&|bytes| {
        bytes[10] += 1;
        bytes.splice(PREFIX_BYTES + 16..=PREFIX_BYTES + 16, [0x82, 0x00]);
    })));
    let mut prefix = *bytes.first_chunk::<PREFIX_BYTES>().unwrap();
    assert_eq!(message_length(&prefix), Ok(bytes.len()));
    prefix[10..12].copy_from_slice(&(HELLO_BYTES as u16).to_le_bytes());
    assert_eq!(message_length(&prefix), Err(Refusal::Malformed { bytes: HELLO_BYTES + PREFIX_BYTES }));
}

fn decode(bytes: &[u8]) -> Result<Vec<Control>, ControlError> {
    let mut messages = Vec::new();
    ControlDecoder::default().push(bytes, &mut messages).map(|()| messages)
}

#[test]
fn malformed_control_messages_are_refused() {
    let paused = Control::Paused { position: Tick(1) };
    assert_eq!(decode(&[encode(&Control::Ready), encode(&paused)].concat()), Ok(vec![Control::Ready, paused.clone()]));
    for bytes in [0, BODY_BYTES + 1, u32::MAX as usize] {
        assert_eq!(decode(&(bytes as u32).to_le_bytes()), Err(ControlError::Length { bytes }));
    }
    let body = |body: &[u8]| decode(&[&(body.len() as u32).to_le_bytes(), body].concat());
    assert_eq!(body(&[99]), Err(ControlError::Body { bytes: 1 }), "no such message");
    assert_eq!(body(&[0, 0]), Err(ControlError::Body { bytes: 2 }), "a byte behind it");
    assert_eq!(body(&[7]), Err(ControlError::Body { bytes: 1 }), "a position is missing");
    assert_eq!(body(&[7, 0x82, 0x00]), Err(ControlError::Body { bytes: 3 }), "a number with a leading zero");
    assert_eq!(body(&[2, 0xFF, 0xFF, 0xFF, 0x7F, 1]), Err(ControlError::Body { bytes: 6 }), "bytes that are not there");
    assert_eq!(body(&[2, 1, 5, 2]), Err(ControlError::Body { bytes: 4 }), "neither true nor false");
    let mut decoder = ControlDecoder::default();
    decoder.push(&encode(&paused)[..5], &mut Vec::<Control>::new()).unwrap();
    assert_eq!(decoder.finish(), Err(ControlError::EndedEarly { bytes: 5 }));
}

#[test]
fn reasons_survive_the_wire() {
    let stop = Stop { cause: Cause::Lost, shard: ShardId(3), tick: Tick(99), message: "it does not answer".to_owned() };
    assert_eq!(Stop::decode(&stop.encode()), Some(stop.clone()));
    assert_eq!(Stop::decode(&[stop.encode(), vec![0]].concat()), None);
    assert_eq!(Stop::decode(b""), None);
    let long = Stop { message: "ü".repeat(3000), ..stop };
    let short = Stop::decode(&long.encode()).unwrap();
    assert!(long.message.starts_with(&short.message) && short.message.len() > 900);
}

/// Shard 0 with the secret `s`, waiting for shards 1 and 2.
fn gathering() -> Gathering {
    let address = "127.0.0.1:4000".parse().unwrap();
    Gathering::new(Trust::Secret(Secret::new(b"s\n")), 3, [7; 32], Member { address, pin: [0; 32] })
}

/// A shard that does everything right, over a connection with keying material `[9; 32]`.
fn join(shard: u32) -> Join {
    let proof = Secret::new(b"s").proof(Side::Member, &[9; 32]);
    Join { shard: ShardId(shard), shards: 3, build: [7; 32], port: 5000 + shard as u16, proof }
}

fn seen() -> SocketAddr {
    "10.0.0.9:61234".parse().unwrap()
}

#[test]
fn all_that_know_the_secret_come_together() {
    let mut gathering = gathering();
    for shard in [2, 1] {
        assert_eq!(gathering.manifest(), None);
        let bytes = join(shard).encode();
        gathering.join(&Join::decode(&bytes).unwrap(), &[9; 32], seen(), [shard as u8; 32]).unwrap();
    }
    let manifest = gathering.manifest().unwrap();
    assert_eq!(manifest.members.len(), 3);
    assert_eq!(manifest.members[ShardId(2)].address, "10.0.0.9:5002".parse().unwrap());
    assert_eq!(manifest.shard_of(&[1; 32]), Some(ShardId(1)));
    assert_eq!(manifest.shard_of(&[3; 32]), None);
}

#[test]
fn others_are_kept_out() {
    let mut gathering = gathering();
    gathering.join(&join(1), &[9; 32], seen(), [1; 32]).unwrap();
    let mut refused = |join: Join, keying: [u8; 32]| gathering.join(&join, &keying, seen(), [8; 32]).unwrap_err();
    assert_eq!(refused(join(1), [9; 32]), Refusal::Duplicate { shard: ShardId(1) });
    assert_eq!(refused(join(0), [9; 32]), Refusal::Duplicate { shard: ShardId(0) });
    assert_eq!(refused(join(3), [9; 32]), Refusal::NoSuchShard { shard: ShardId(3), shards: 3 });
    assert_eq!(refused(Join { proof: [0; 32], ..join(2) }, [9; 32]), Refusal::WrongSecret);
    // A proof that was made for another connection, and shard 0's own.
    assert_eq!(refused(join(2), [1; 32]), Refusal::WrongSecret);
    let reflected = Secret::new(b"s").proof(Side::Host, &[9; 32]);
    assert_eq!(refused(Join { proof: reflected, ..join(2) }, [9; 32]), Refusal::WrongSecret);
    let differs = |refusal: Refusal| match refusal {
        Refusal::Differs { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(differs(refused(Join { shards: 4, ..join(2) }, [9; 32])), "number of shards");
    assert_eq!(differs(refused(Join { build: [0; 32], ..join(2) }, [9; 32])), "build");
    assert_eq!(gathering.missing().collect::<Vec<_>>(), [ShardId(2)]);
    gathering.leave(ShardId(1));
    gathering.leave(ShardId(0));
    assert_eq!(gathering.missing().collect::<Vec<_>>(), [ShardId(1), ShardId(2)]);
}

proptest! {
    /// Any bytes, and any change to bytes that are right, give a message or an error.
    #[test]
    fn any_bytes_are_survived(noise in proptest::collection::vec(any::<u8>(), 0..120), at in 0_usize..120, change in any::<u8>()) {
        let mut right = hello().encode();
        let at = at.min(right.len() - 1);
        right[at] ^= change;
        let part = Control::Part { bytes: vec![1, 2, 3], last: true };
        let mut control = [encode(&Control::Paused { position: Tick(300) }), encode(&part)].concat();
        let at = at.min(control.len() - 1);
        control[at] ^= change;
        for bytes in [noise, right, control] {
            let _ = greet(&bytes);
            let _ = decode(&bytes);
            let _ = Join::decode(&bytes);
            let _ = Stop::decode(&bytes);
        }
    }

    /// However the bytes are cut, the same messages come out.
    #[test]
    fn cuts_do_not_matter(size in 1_usize..9) {
        let part = Control::Part { bytes: vec![5; 40], last: false };
        let bytes = [encode(&Control::Start), encode(&part), encode(&Control::Done)].concat();
        let (mut decoder, mut messages) = (ControlDecoder::default(), Vec::<Control>::new());
        for bytes in bytes.chunks(size) {
            decoder.push(bytes, &mut messages).unwrap();
        }
        prop_assert_eq!(messages, vec![Control::Start, part, Control::Done]);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }
}
