//! From a connection's bytes to requests. They may arrive split anywhere and many at once.

use cascade_format::metafile::MAGIC;
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN, RequestMagicError};

/// The begun request of one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    /// There while a request is begun: most clients that idle do so between two.
    partial: Option<Box<[u8; REQUEST_LEN]>>,
    filled: u8,
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self { partial: None, filled: 0 }
    }

    /// Bytes of the begun request that have arrived, below [`REQUEST_LEN`].
    pub(super) fn begun(&self) -> usize {
        usize::from(self.filled)
    }

    /// Takes the next bytes and gives every request that they complete to `push`. A wrong magic is
    /// found as soon as a byte of it is wrong, so that a client that speaks something else (a web
    /// browser, say) need not send 64 bytes to be told.
    ///
    /// # Errors
    /// A request has the wrong magic: nothing that follows can be understood.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        mut push: impl FnMut(BlockRequest),
    ) -> Result<(), RequestMagicError> {
        if let Some(mut partial) = self.partial.take() {
            bytes = self.extend(&mut partial, bytes);
            if self.begun() < REQUEST_LEN {
                return self.keep(partial);
            }
            push(BlockRequest::parse(&partial)?);
            self.filled = 0;
        }
        let (whole, rest) = bytes.as_chunks::<REQUEST_LEN>();
        for request in whole {
            push(BlockRequest::parse(request)?);
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut partial = Box::new([0; REQUEST_LEN]);
        self.extend(&mut partial, rest);
        self.keep(partial)
    }

    /// Appends what fits of `bytes` to the begun request; returns what does not.
    fn extend<'a>(&mut self, partial: &mut [u8; REQUEST_LEN], bytes: &'a [u8]) -> &'a [u8] {
        let free = partial.get_mut(self.begun()..).unwrap_or_default();
        let (now, later) = bytes.split_at(bytes.len().min(free.len()));
        free.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
        self.filled += u8::try_from(now.len()).unwrap_or(0);
        later
    }

    fn keep(&mut self, partial: Box<[u8; REQUEST_LEN]>) -> Result<(), RequestMagicError> {
        let begun = partial.iter().take(self.begun());
        if begun.zip(&MAGIC).any(|(got, wanted)| got != wanted) {
            return Err(RequestMagicError);
        }
        self.partial = Some(partial);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::CascadeHash;
    use proptest::prelude::*;

    fn request(block: u64) -> BlockRequest {
        // Garbage in the reserved bytes, as some clients send.
        BlockRequest { reserved: [0xA5; 16], block, cascade_hash: CascadeHash([7; 32]) }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_requests(count in 0u64..20, cuts in prop::collection::vec(0usize..1300, 0..40), tail in 0usize..64) {
            let mut stream: Vec<u8> = (0..count).flat_map(|block| request(block).encode()).collect();
            stream.extend(request(99).encode().get(..tail).unwrap());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let (mut inbox, mut got) = (Inbox::new(), Vec::new());
            for pair in cuts.windows(2) {
                inbox.take(&stream[pair[0]..pair[1]], |request| got.push(request)).unwrap();
            }
            prop_assert_eq!(got, (0..count).map(request).collect::<Vec<_>>());
            prop_assert_eq!(inbox.begun(), tail);
        }

        #[test]
        fn any_bytes_are_survived(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10)) {
            let mut inbox = Inbox::new();
            for piece in pieces {
                if inbox.take(&piece, |_| ()).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn requests_before_a_wrong_one_count() {
        let mut stream = request(1).encode().to_vec();
        stream.extend(b"GET / HTTP/1.1\r\n\r\n");
        let (mut inbox, mut got) = (Inbox::new(), Vec::new());
        assert_eq!(inbox.take(&stream, |request| got.push(request)), Err(RequestMagicError));
        assert_eq!(got, [request(1)]);
    }

    #[test]
    fn one_wrong_byte_is_enough() {
        assert_eq!(Inbox::new().take(b"CASC", |_| ()), Ok(()));
        assert_eq!(Inbox::new().take(b"CASK", |_| ()), Err(RequestMagicError));
    }
}
