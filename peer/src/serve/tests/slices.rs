//! Giving slices of large blocks.

use super::support::{Client, Sample, Server, request, wait_until};
use crate::clock;
use crate::metafile::MetafileOnDisk;
use crate::serve::Options;
use crate::store::slices::State;
use cascade_format::extension::metafile::METAFILE;
use cascade_format::extension::{EXTENDED, Item, Marker, NEWS, field, slices};
use cascade_format::{Block, CascadeHash, Have, Layout};
use cascade_hash::Sha256Stream;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The port that the clients say they listen on.
const PORT: u16 = 7001;

/// Blocks of four slices, and a shorter last one with two.
fn sample() -> Sample {
    Sample::new((3 << 18) + 70_000, 256 << 10)
}

/// The same without block 1.
fn incomplete() -> Sample {
    Sample::with_blocks((3 << 18) + 70_000, 256 << 10, |layout| {
        let mut have = Have::all(layout);
        assert!(have.remove(layout.block(1).unwrap()));
        have
    })
}

/// The end of a transfer of one sample's slices.
struct Slices {
    name: CascadeHash,
    layout: Layout,
}

impl Slices {
    fn of(sample: &Sample) -> Self {
        let layout = sample.shared.layout().sliced().unwrap();
        Self { name: slices::name(&sample.shared.cascade_hash()), layout }
    }

    fn request(&self, number: u64) -> [u8; 64] {
        marked(self.name, number)
    }

    fn slice(&self, number: u64) -> Block {
        self.layout.block(number).unwrap()
    }

    fn bytes<'a>(&self, sample: &'a Sample, number: u64) -> &'a [u8] {
        let range = self.layout.range(self.slice(number));
        &sample.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }

    /// The state in front of a slice.
    fn state(&self, sample: &Sample, number: u64) -> State {
        let slice = self.slice(number);
        let block = sample.block(self.layout.block_of(slice).number());
        let mut stream = Sha256Stream::new();
        stream.update(&block[..usize::try_from(self.layout.offset_in_block(slice)).unwrap()]);
        stream.state().unwrap()
    }

    /// Expects a right slice, and returns what was told besides its state.
    fn expect(&self, client: &mut Client, sample: &Sample, number: u64) -> Vec<Item> {
        let (status, mut items, body) = client.extended(&self.layout);
        assert_eq!(status, 0x80, "slice {number}: {}", String::from_utf8_lossy(&body));
        assert!(body == self.bytes(sample, number), "slice {number}: {} bytes, not the slice's", body.len());
        let Item::State(state) = items.remove(0) else { panic!("slice {number}: {items:?}") };
        let mut stream = Sha256Stream::resumed(state, self.layout.offset_in_block(self.slice(number)));
        let stream = stream.as_mut().unwrap();
        stream.update(&body);
        match self.layout.verified_before(self.slice(number)) {
            Some(behind) => assert_eq!(stream.state(), Some(self.state(sample, behind.number())), "{number}"),
            None => {
                let block = self.layout.block_of(self.slice(number)).number();
                assert_eq!(stream.clone().finish(), Sha256Stream::digest(sample.block(block)), "{number}");
            }
        }
        items
    }
}

fn marked(name: CascadeHash, number: u64) -> [u8; 64] {
    Marker { port: PORT, offers_seen: 0, progress: None }.request(name, number)
}

impl Client {
    /// The next answer: its status, the items in front of the body, and the body.
    fn extended(&mut self, layout: &Layout) -> (u8, Vec<Item>, Vec<u8>) {
        let (status, mut body) = self.answer().unwrap();
        if status & EXTENDED == 0 {
            return (status, Vec::new(), body);
        }
        let rest = body.split_off(2 + usize::from(u16::from_be_bytes([body[0], body[1]])));
        (status, field::parse(layout, &body[2..]).unwrap(), rest)
    }

    /// The items of the next answer, which is one to a question for news.
    fn news(&mut self, layout: &Layout) -> Vec<Item> {
        let (status, items, body) = self.extended(layout);
        assert_eq!((status, body.len()), (0x82, 0), "{}", String::from_utf8_lossy(&body));
        items
    }

    /// Lets a seeder that chooses tell what it offers: it is asked for that first.
    fn greet(&mut self, name: CascadeHash, layout: &Layout) -> Vec<Item> {
        self.send(&marked(name, NEWS));
        self.news(layout)
    }
}

#[test]
fn each_slice_comes_with_the_state_in_front_of_it() {
    for (copy, block_size) in
        [(false, 256 << 10), (true, 256 << 10), (false, 192 << 10), (true, 1 << 20), (false, 1 << 20)]
    {
        let sample = Sample::new(block_size * 3 + 70_000, block_size);
        let server = Server::with(&[&sample], Options { copy, workers: 1, ..Options::default() });
        let (slices, mut client) = (Slices::of(&sample), server.connect());
        client.greet(slices.name, &slices.layout);
        let numbers = 0..slices.layout.blocks();
        client.send(&numbers.clone().flat_map(|number| slices.request(number)).collect::<Vec<_>>());
        numbers.for_each(|number| drop(slices.expect(&mut client, &sample, number)));
        // The client may have the bytes before the server has counted them.
        let len = sample.bytes.len() as u64;
        wait_until("each byte is counted", || sample.shared.given().bytes() >= len);
        assert_eq!(sample.shared.given().bytes(), len);
    }
}

#[test]
fn a_client_that_asks_for_slices_is_offered_no_blocks() {
    let is_offered = |items: &[Item]| items.iter().any(|item| matches!(item, Item::Offer(_)));
    for asks_for_slices in [false, true] {
        let sample = sample();
        let server = Server::start(&[&sample]);
        let (slices, blocks) = (Slices::of(&sample), sample.shared.cascade_hash());
        let layout = sample.shared.layout();
        let (mut one, mut two) = (server.connect(), server.connect());
        one.greet(blocks, layout);
        if asks_for_slices {
            one.greet(slices.name, &slices.layout);
        }
        assert!(is_offered(&two.greet(blocks, layout)), "there are two clients");
        let told = one.greet(blocks, layout);
        assert!(told.contains(&Item::Choosing), "{told:?}");
        assert_eq!(is_offered(&told), !asks_for_slices, "{told:?}");
        one.send(&slices.request(0));
        slices.expect(&mut one, &sample, 0);
    }
}

#[test]
fn slices_that_are_taken_slowly_are_whole() {
    for copy in [false, true] {
        let sample = Sample::new(8 << 20, 4 << 20);
        let server = Server::with(&[&sample], Options { copy, workers: 1, ..Options::default() });
        let (slices, mut client) = (Slices::of(&sample), server.connect());
        client.greet(slices.name, &slices.layout);
        let numbers = 0..slices.layout.blocks();
        client.send(&numbers.clone().flat_map(|number| slices.request(number)).collect::<Vec<_>>());
        for number in numbers {
            let mut header = [0; 9];
            client.0.read_exact(&mut header).unwrap();
            assert_eq!(header[0], 0x80);
            let mut body =
                vec![0; usize::try_from(u64::from_be_bytes(header[1..].try_into().unwrap())).unwrap()];
            body.chunks_mut(5000).for_each(|piece| client.0.read_exact(piece).unwrap());
            assert!(body.ends_with(slices.bytes(&sample, number)), "slice {number}");
        }
    }
}

#[test]
fn slices_and_blocks_mix_on_one_connection() {
    let (sample, other) = (incomplete(), Sample::new(1000, 10));
    let server = Server::with(&[&sample, &other], Options { workers: 1, ..Options::default() });
    let (slices, mut client) = (Slices::of(&sample), server.connect());
    let (hash, layout) = (sample.shared.cascade_hash(), *sample.shared.layout());
    // What a peer has is told each client once by each name.
    let has_map = |items: &[Item]| items.iter().any(|item| matches!(item, Item::Map { .. }));
    assert!(has_map(&client.greet(hash, &layout)));
    assert!(has_map(&client.greet(slices.name, &slices.layout)));
    let mixed = || {
        [
            marked(hash, 0),
            slices.request(0),
            marked(hash, 2),
            slices.request(9),
            slices.request(8),
            sample.request(3),
        ]
        .concat()
    };
    let expect = |client: &mut Client| {
        let mut told = Vec::new();
        for (is_slice, number) in [(false, 0), (true, 0), (false, 2), (true, 9), (true, 8), (false, 3)] {
            if is_slice {
                told.push(slices.expect(client, &sample, number));
            } else {
                let (status, items, body) = client.extended(&layout);
                assert_eq!(status & !EXTENDED, 0);
                assert!(body == sample.block(number), "block {number}");
                told.push(items);
            }
        }
        told.iter().filter(|items| has_map(items)).count()
    };
    client.send(&mixed());
    client.send(&mixed());
    assert_eq!((expect(&mut client), expect(&mut client)), (0, 0), "both conversations go on");
    client.send(&other.request(5));
    client.expect_block(&other, 5);
    client.send(&mixed());
    assert_eq!(expect(&mut client), 2, "both have begun anew");
}

#[test]
fn only_marked_requests_for_slices_are_answered() {
    let (sample, small) = (sample(), Sample::new(1000, 10));
    let proven = sample_with_proof();
    let server = Server::start(&[&sample, &small, &proven]);
    let plain = Server::with(&[&sample], Options { extension: false, ..Options::default() });
    let slices = Slices::of(&sample);
    let of_small = slices::name(&small.shared.cascade_hash());
    for (server, bytes) in [
        (&server, request(slices.name, 0)),
        (&plain, request(slices.name, 0)),
        (&plain, slices.request(0)),
        (&plain, slices.request(NEWS)),
        (&server, marked(of_small, 0)),
        (&server, Slices::of(&proven).request(0)),
        (&server, Slices::of(&proven).request(NEWS)),
    ] {
        let mut client = server.connect();
        client.send(&bytes);
        client.expect_message(1);
        client.expect_end();
    }
    for number in [slices.layout.blocks(), u64::MAX / 2, METAFILE] {
        let mut client = server.connect();
        client.send(&slices.request(number));
        client.expect_message(3);
        client.expect_end();
    }
}

fn sample_with_proof() -> Sample {
    Sample::new(3 << 18, 256 << 10).with_proof()
}

#[test]
fn each_subscriber_of_the_file_is_told_that_slices_are_given() {
    let sample = sample();
    let server = Server::start(&[&sample]);
    let mut client = server.connect();
    let items = client.greet(sample.shared.cascade_hash(), sample.shared.layout());
    assert_eq!(items.iter().filter(|item| **item == Item::Slices).count(), 1, "{items:?}");
    let (slices, mut client) = (Slices::of(&sample), server.connect());
    let items = client.greet(slices.name, &slices.layout);
    assert!(!items.contains(&Item::Slices), "{items:?}");
}

#[test]
fn where_no_slices_are_given_they_are_not_told_of() {
    let (proven, small) = (sample_with_proof(), Sample::new(1000, 10));
    let server = Server::start(&[&proven, &small]);
    for sample in [&proven, &small] {
        let mut client = server.connect();
        let items = client.greet(sample.shared.cascade_hash(), sample.shared.layout());
        assert!(!items.is_empty() && !items.contains(&Item::Slices), "{items:?}");
    }
}

#[test]
fn a_leecher_gives_the_slices_that_it_has_of_a_block() {
    let sample = incomplete();
    let server = Server::start(&[&sample]);
    let (slices, mut client) = (Slices::of(&sample), server.connect());
    client.greet(slices.name, &slices.layout);
    client.send(&slices.request(4));
    assert_eq!(client.extended(&slices.layout).0 & !EXTENDED, 2);
    let publish = |number: u64| {
        let state = slices.state(&sample, number);
        sample.shared.publish_slice(slices.slice(number), state)
    };
    // A question for news waits meanwhile, or is about to.
    client.send(&slices.request(NEWS));
    assert_eq!(publish(4), None);
    let first = [Item::Have(vec![field::Run::of(slices.slice(4))])];
    while !client.news(&slices.layout).iter().any(|item| first.contains(item)) {
        client.send(&slices.request(NEWS));
    }
    client.send(&[slices.request(4), slices.request(5)].concat());
    slices.expect(&mut client, &sample, 4);
    assert_eq!(client.extended(&slices.layout).0 & !EXTENDED, 2);
    client.send(&sample.request(1));
    client.expect_message(2);
    assert_eq!((publish(5), publish(6)), (None, None));
    assert_eq!(publish(7), sample.shared.layout().block(1));
    client.send(&[slices.request(7), sample.request(1)].concat());
    slices.expect(&mut client, &sample, 7);
    client.expect_block(&sample, 1);
}

#[test]
fn a_file_that_has_changed_gives_no_slices() {
    let sample = sample();
    let server = Server::start(&[&sample]);
    let (slices, mut client) = (Slices::of(&sample), server.connect());
    client.greet(slices.name, &slices.layout);
    client.send(&slices.request(0));
    slices.expect(&mut client, &sample, 0);
    sample.file().write_all_at(b"changed", 5).unwrap();
    sample.file().set_len(300_000).unwrap();
    client.send(&slices.request(1));
    assert_eq!(client.extended(&slices.layout).0 & !EXTENDED, 2);
    assert!(!sample.shared.is_unchanged());
}

/// Only the hash of the block shows the change.
#[test]
fn a_block_that_is_not_what_was_verified_gives_no_slice() {
    let sample = sample();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), sample.metafile_bytes()).unwrap();
    sample.shared.describe_with(Arc::new(MetafileOnDisk::open(path.path()).unwrap()));
    sample.shared.set_stamp(None);
    sample.file().write_all_at(&[!sample.bytes[5]], 5).unwrap();
    let server = Server::start(&[&sample]);
    let (slices, mut client) = (Slices::of(&sample), server.connect());
    client.greet(slices.name, &slices.layout);
    client.send(&slices.request(4));
    slices.expect(&mut client, &sample, 4);
    client.send(&slices.request(0));
    assert_eq!(client.extended(&slices.layout).0 & !EXTENDED, 2);
    assert_eq!(sample.shared.have().count(), 0, "everything is withdrawn");
    client.send(&slices.request(5));
    assert_eq!(client.extended(&slices.layout).0 & !EXTENDED, 2);
}

#[test]
fn a_client_is_one_receiver_of_blocks_and_of_slices() {
    let sample = sample();
    let server = Server::start(&[&sample]);
    let (slices, mut client) = (Slices::of(&sample), server.connect());
    let (hash, layout, given) =
        (sample.shared.cascade_hash(), *sample.shared.layout(), sample.shared.given());
    client.greet(hash, &layout);
    client.greet(slices.name, &slices.layout);
    client.send(&[marked(hash, 1), slices.request(0), marked(hash, 2)].concat());
    assert_eq!(client.extended(&layout).2.len(), 256 << 10);
    slices.expect(&mut client, &sample, 0);
    assert_eq!(client.extended(&layout).2.len(), 256 << 10);
    let sum = (2 << 18) + (64 << 10);
    wait_until("all is counted", || given.bytes() == sum && given.receivers() == 1);
    let look = given.look(clock::now());
    assert_eq!((look.known, look.seen[0].bytes, look.seen[0].port), (1, sum, Some(PORT)));
    assert!(look.seen[0].active && look.seen[0].extension);
    drop(client);
    wait_until("its connection has ended", || !given.look(clock::now()).seen[0].active);
    assert_eq!(server.stats.blocks_sent(), 2);
    assert!(sample.served.asked() >= 5, "requests by both names count");
}
