//! A peer that gives the `.cascade` file, right or wrong, to every client that asks for it, and gives no block.

use crate::acceptor::{Acceptor, Gate};
use crate::cascade_file::TestFile;
use crate::extension::Marker;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Block number of a request for a part of the `.cascade` file.
pub const METAFILE: u64 = u64::MAX - 1;

/// The most bytes of a part.
pub const MAX_PART: usize = 262_144;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Rightly, in parts of at most this number of bytes.
    Parts(usize),
    /// The byte at this place is wrong.
    Wrong(usize),
    /// Breaks off when this number of bytes of the file have been given on a connection.
    BreaksAfter(usize),
    /// Stalls when this number of bytes of the file have been given on a connection.
    StallsAfter(usize),
    /// Says that the file is longer by this number of bytes, and gives zeroes behind it.
    Longer(usize),
    /// Says that the file has this number of bytes, and sends bytes without end.
    Claims(u64),
    /// Sends these bytes.
    Nonsense(&'static [u8]),
    /// Says that it does not have it now.
    NotNow,
}

/// A running one.
#[derive(Debug)]
pub struct MetafilePeer {
    acceptor: Acceptor,
    asked: Arc<Mutex<Vec<(usize, u32)>>>,
}

impl MetafilePeer {
    /// Starts one on a free port.
    #[must_use]
    pub fn start(file: &TestFile, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (gate, asked) = (Gate::default(), Arc::<Mutex<Vec<_>>>::default());
        let (journal, file, keeper) = (Arc::clone(&asked), file.clone(), gate.clone());
        let acceptor = Acceptor::start(listener, gate, move |number, stream| {
            let (journal, file, keeper) = (Arc::clone(&journal), file.clone(), keeper.clone());
            let _ = keeper.keep(number, &stream);
            thread::spawn(move || {
                // However the connection ends: the other side says what came of it.
                let _ = serve(stream, &file, manner, |offset| {
                    journal.lock().unwrap_or_else(PoisonError::into_inner).push((number, offset));
                });
                keeper.forget(number);
            });
        });
        Self { acceptor, asked }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.acceptor.addr()
    }

    /// The offsets that it was asked for, each with the number of the connection.
    #[must_use]
    pub fn asked(&self) -> Vec<(usize, u32)> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections on which it was asked for a part.
    #[must_use]
    pub fn connections(&self) -> usize {
        let mut numbers: Vec<_> = self.asked().into_iter().map(|(number, _)| number).collect();
        numbers.dedup();
        numbers.len()
    }
}

fn serve(
    mut stream: TcpStream,
    file: &TestFile,
    manner: Manner,
    mut note: impl FnMut(u32),
) -> std::io::Result<()> {
    let mut given = 0;
    loop {
        let mut request = [0; 64];
        stream.read_exact(&mut request)?;
        let block = u64::from_be_bytes(request[24..32].try_into().expect("eight bytes"));
        let marker = Marker::of(&request).filter(|_| block == METAFILE && request[32..] == file.hash);
        let Some(marker) = marker else {
            return stream.write_all(&[&[1][..], &5_u64.to_be_bytes(), b"gone\n"].concat());
        };
        note(marker.offers_seen);
        let offset = usize::try_from(marker.offers_seen).expect("a small file");
        let mut bytes = file.cascade.clone();
        let mut most = MAX_PART;
        match manner {
            Manner::Parts(len) => most = len,
            Manner::Wrong(at) => bytes[at] ^= 1,
            Manner::BreaksAfter(_) | Manner::StallsAfter(_) => {}
            Manner::Longer(by) => bytes.extend(vec![0; by]),
            Manner::Claims(total) => {
                let head = head(total, MAX_PART);
                return stream.write_all(&head).and_then(|()| {
                    loop {
                        stream.write_all(&[7; 4096])?;
                    }
                });
            }
            Manner::Nonsense(bytes) => return stream.write_all(bytes),
            Manner::NotNow => {
                stream.write_all(&[&[2][..], &8_u64.to_be_bytes(), b"not now\n"].concat())?;
                continue;
            }
        }
        let part = &bytes[offset..bytes.len().min(offset + most)];
        stream.write_all(&head(bytes.len() as u64, part.len()))?;
        if let Manner::BreaksAfter(most) | Manner::StallsAfter(most) = manner
            && given + part.len() > most
        {
            stream.write_all(&part[..most - given])?;
            if matches!(manner, Manner::StallsAfter(_)) {
                thread::sleep(Duration::from_secs(3600));
            }
            return Ok(());
        }
        stream.write_all(part)?;
        given += part.len();
    }
}

/// What stands in front of a part.
fn head(total: u64, part: usize) -> Vec<u8> {
    let body = 2 + 11 + part as u64;
    [&[0x80][..], &body.to_be_bytes(), &[0, 11, 16, 0, 8], &total.to_be_bytes()].concat()
}
