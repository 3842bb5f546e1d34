//! One hashing thread.

use super::{BUFFER_LEN, Job};
use crate::folder::changed;
use crate::page_buffer::PageBuffer;
use cascade_format::{Block, BlockHash};
use cascade_hash::{Sha256Stream, digest_pair, finish_pair, update_two};
use std::io;
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

pub(super) struct Checker<'a> {
    job: &'a Job<'a>,
    buffer: PageBuffer,
    /// The blocks of the present claim that are right.
    right: Vec<Block>,
}

/// A block and what its hash should be.
type Expected = (Block, BlockHash);

impl<'a> Checker<'a> {
    pub(super) fn new(job: &'a Job<'a>) -> Self {
        Self { job, buffer: PageBuffer::new(BUFFER_LEN), right: Vec::new() }
    }

    /// Takes ranges of blocks until there is none.
    pub(super) fn run(mut self) -> io::Result<()> {
        while let Some(claim) = self.job.cursor.claim() {
            if self.job.failed.load(Ordering::Relaxed) {
                break;
            }
            self.check(claim)?;
            let mut have = self.job.have.lock().unwrap_or_else(PoisonError::into_inner);
            self.right.drain(..).for_each(|block| {
                have.insert(block);
            });
        }
        Ok(())
    }

    fn check(&mut self, claim: Range<u64>) -> io::Result<()> {
        let layout = self.job.metafile.layout();
        let hashes = self.job.metafile.hashes_of(claim.clone())?;
        let mut expected: Vec<Expected> =
            claim.filter_map(|number| layout.block(number)).zip(hashes).collect();
        if let Some(only) = self.job.only {
            expected.retain(|(block, _)| only.has(*block));
        }
        let (block_size, half) = (layout.block_size(), BUFFER_LEN / 2);
        // What is read at once lies side by side.
        let adjacent = |(a, _): &Expected, (b, _): &Expected| a.number() + 1 == b.number();
        match usize::try_from(block_size) {
            Ok(block_size) if block_size <= half => expected
                .chunk_by(adjacent)
                .flat_map(|run| run.chunks((BUFFER_LEN / block_size).max(1)))
                .try_for_each(|blocks| self.small(blocks)),
            _ => expected.chunks(2).try_for_each(|blocks| self.apart(blocks, Self::large)),
        }
    }

    /// Does `hash` with blocks. If a file below a folder is not what it was, it does so with each block apart, and
    /// those that cannot be read are not right.
    fn apart(
        &mut self,
        blocks: &[Expected],
        hash: fn(&mut Self, &[Expected]) -> io::Result<()>,
    ) -> io::Result<()> {
        match (hash(self, blocks), blocks) {
            (Err(error), [_]) if changed(&error).is_some() => Ok(()),
            (Err(error), _) if changed(&error).is_some() => {
                blocks.iter().try_for_each(|block| self.apart(std::slice::from_ref(block), hash))
            }
            (result, _) => result,
        }
    }

    /// Adjacent blocks that fit the buffer together: one read.
    fn small(&mut self, blocks: &[Expected]) -> io::Result<()> {
        self.job.go_on()?;
        let layout = self.job.metafile.layout();
        let (Some((first, _)), Some((last, _))) = (blocks.first(), blocks.last()) else { return Ok(()) };
        let range = layout.start(*first)..layout.range(*last).end;
        (self.job.progress)(range.end - range.start);
        if self.job.find_holes && self.job.data.is_hole(&range) {
            return blocks.iter().try_for_each(|expected| self.compare_with_zeroes(*expected));
        }
        self.apart(blocks, Self::at_once)
    }

    /// Adjacent blocks, read at once.
    fn at_once(&mut self, blocks: &[Expected]) -> io::Result<()> {
        let layout = self.job.metafile.layout();
        let (Some((first, _)), Some((last, _))) = (blocks.first(), blocks.last()) else { return Ok(()) };
        let range = layout.start(*first)..layout.range(*last).end;
        let len = usize::try_from(range.end - range.start).unwrap_or(0).min(self.buffer.len());
        let Some(buffer) = self.buffer.get_mut(..len) else { return Ok(()) };
        let bytes = read_at(self.job, buffer, range.start)?;
        let block_size = usize::try_from(layout.block_size()).unwrap_or(usize::MAX);
        let bytes = bytes.chunks(block_size).zip(blocks).collect::<Vec<_>>();
        for pair in bytes.chunks(2) {
            match pair {
                [(bytes_a, a), (bytes_b, b)] => {
                    let (hash_a, hash_b) = digest_pair(bytes_a, bytes_b);
                    compare(&mut self.right, **a, hash_a);
                    compare(&mut self.right, **b, hash_b);
                }
                rest => rest.iter().for_each(|(bytes, expected)| {
                    compare(&mut self.right, **expected, Sha256Stream::digest(bytes));
                }),
            }
        }
        Ok(())
    }

    /// One or two blocks that do not fit: read and hashed in pieces.
    fn large(&mut self, blocks: &[Expected]) -> io::Result<()> {
        let layout = self.job.metafile.layout();
        let mut on_disk = Vec::with_capacity(2);
        for expected in blocks {
            let range = layout.range(expected.0);
            if self.job.find_holes && self.job.data.is_hole(&range) {
                self.compare_with_zeroes(*expected)?;
                (self.job.progress)(range.end - range.start);
            } else {
                on_disk.push(*expected);
            }
        }
        match *on_disk.as_slice() {
            [a, b] => self.two(a, b),
            [one] => self.one(one),
            _ => Ok(()),
        }
    }

    /// Two large blocks, a piece of each at a time.
    fn two(&mut self, a: Expected, b: Expected) -> io::Result<()> {
        let layout = self.job.metafile.layout();
        let (mut range_a, mut range_b) = (layout.range(a.0), layout.range(b.0));
        let (mut stream_a, mut stream_b) = (Sha256Stream::new(), Sha256Stream::new());
        while !range_a.is_empty() || !range_b.is_empty() {
            self.job.go_on()?;
            let (half_a, half_b) = self.buffer.split_at_mut(BUFFER_LEN / 2);
            let bytes_a = read_piece(self.job, half_a, &mut range_a)?;
            let bytes_b = read_piece(self.job, half_b, &mut range_b)?;
            update_two(&mut stream_a, bytes_a, &mut stream_b, bytes_b);
            (self.job.progress)((bytes_a.len() + bytes_b.len()) as u64);
        }
        let (hash_a, hash_b) = finish_pair(stream_a, stream_b);
        compare(&mut self.right, a, hash_a);
        compare(&mut self.right, b, hash_b);
        Ok(())
    }

    /// One large block.
    fn one(&mut self, expected: Expected) -> io::Result<()> {
        let mut range = self.job.metafile.layout().range(expected.0);
        let mut stream = Sha256Stream::new();
        while !range.is_empty() {
            self.job.go_on()?;
            let bytes = read_piece(self.job, &mut self.buffer, &mut range)?;
            stream.update(bytes);
            (self.job.progress)(bytes.len() as u64);
        }
        compare(&mut self.right, expected, stream.finish());
        Ok(())
    }

    fn compare_with_zeroes(&mut self, expected: Expected) -> io::Result<()> {
        let len = self.job.metafile.layout().len_of(expected.0);
        let hash = self.job.zeroes.hash(len, || self.job.go_on())?;
        if hash == expected.1 {
            self.right.push(expected.0);
        }
        Ok(())
    }
}

fn compare(right: &mut Vec<Block>, (block, expected): Expected, hash: [u8; 32]) {
    if expected.0 == hash {
        right.push(block);
    }
}

/// Reads the head of `range` and takes it off.
fn read_piece<'b>(job: &Job<'_>, buffer: &'b mut [u8], range: &mut Range<u64>) -> io::Result<&'b [u8]> {
    let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let len = left.min(buffer.len());
    let Some(buffer) = buffer.get_mut(..len) else { return Ok(&[]) };
    let bytes = read_at(job, buffer, range.start)?;
    range.start += bytes.len() as u64;
    Ok(bytes)
}

/// Fills `buffer` from `offset`, where the file had as many bytes when the check began.
fn read_at<'b>(job: &Job<'_>, buffer: &'b mut [u8], offset: u64) -> io::Result<&'b [u8]> {
    job.data.fill(buffer, offset).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof { super::became_shorter() } else { error }
    })?;
    Ok(buffer)
}
