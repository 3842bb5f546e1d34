//! A scripted client that knows the swarm extension.

use crate::cascade_file::TestFile;
use crate::extension::{EXTENDED, Item, Marker, NEWS, split};
use crate::foreign_client::{ForeignClient, Response};
use std::net::SocketAddr;
use std::time::Duration;

/// One connection to a peer, on which every request carries a marker.
#[derive(Debug)]
pub struct ExtendedClient {
    client: ForeignClient,
    /// What is asked for: a file, or its slices.
    name: [u8; 32],
    marker: Marker,
    /// A question of [`ExtendedClient::news_within`] is not answered yet.
    waits: bool,
}

impl ExtendedClient {
    /// Connects; the markers tell `port`.
    #[must_use]
    #[track_caller]
    pub fn connect(addr: SocketAddr, file: &TestFile, port: u16) -> Self {
        let client = ForeignClient::connect(addr);
        Self { client, name: file.hash, marker: Marker::new(port), waits: false }
    }

    /// Tells from now on how much of the file it has: 1 for nothing, 255 for all.
    #[must_use]
    pub fn having(mut self, has: u8) -> Self {
        self.marker.has = has;
        self
    }

    /// Asks by this name from now on; what it was offered by the other one is not counted.
    pub fn ask_by(&mut self, name: [u8; 32]) {
        self.name = name;
        self.marker.offers_seen = 0;
    }

    /// Sends requests for these blocks, or for [`NEWS`], with one call.
    ///
    /// # Panics
    /// The connection has ended.
    #[track_caller]
    pub fn send(&mut self, blocks: &[u64]) {
        let bytes: Vec<u8> =
            blocks.iter().flat_map(|block| self.marker.request(&self.name, *block)).collect();
        self.client.send(&bytes).expect("the peer takes requests");
    }

    /// Reads an answer: its status without bit 7, the items, and the ordinary body.
    ///
    /// # Panics
    /// None comes, or its field is wrong.
    #[track_caller]
    pub fn receive(&mut self) -> (Option<Vec<Item>>, Response) {
        let Response { status, body } =
            self.client.receive().unwrap_or_else(|error| panic!("no answer: {error}"));
        if status & EXTENDED == 0 {
            return (None, Response { status, body });
        }
        let (items, body) = split(&body);
        let offers = items.iter().filter(|item| matches!(item, Item::Offer(_)));
        let offered = offers.flat_map(Item::blocks).count();
        self.marker.offers_seen += u32::try_from(offered).expect("a few offers");
        (Some(items), Response { status: status & !EXTENDED, body })
    }

    /// Asks for a block.
    #[track_caller]
    pub fn ask(&mut self, block: u64) -> (Option<Vec<Item>>, Response) {
        self.send(&[block]);
        self.receive()
    }

    /// Reads the answer to a question for news.
    ///
    /// # Panics
    /// It is not one.
    #[track_caller]
    pub fn receive_news(&mut self) -> Vec<Item> {
        let (items, response) = self.receive();
        assert_eq!((response.status, response.body.len()), (2, 0), "an answer to a question for news");
        items.expect("an answer to a question for news is extended")
    }

    /// Asks for news and waits for them.
    #[track_caller]
    pub fn ask_news(&mut self) -> Vec<Item> {
        self.send(&[NEWS]);
        self.receive_news()
    }

    /// Asks for news, unless such a question waits already, and waits for them for `time` at most.
    #[track_caller]
    pub fn news_within(&mut self, time: Duration) -> Option<Vec<Item>> {
        if !std::mem::replace(&mut self.waits, true) {
            self.send(&[NEWS]);
        }
        self.client.hears_within(time).then(|| {
            self.waits = false;
            self.receive_news()
        })
    }

    /// Fails if anything comes within `time`.
    #[track_caller]
    pub fn assert_silence(&self, time: Duration) {
        assert!(!self.client.hears_within(time), "something came");
    }

    /// Fails unless the peer has closed, or closes soon.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        self.client.assert_closed();
    }
}
