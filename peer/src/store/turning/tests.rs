use super::*;
use crate::ground::disk::SystemDisk;
use proptest::prelude::*;

const LENGTH: u64 = 95;
const BLOCK: u64 = 10;

fn at(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

struct Scene {
    layout: Layout,
    turning: TurningFile<GuardedFile>,
    file: File,
    folder: File,
    bytes: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let layout = Layout::new(LENGTH, BLOCK).unwrap();
        let (file, folder) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        file.set_len(LENGTH).unwrap();
        folder.set_len(LENGTH).unwrap();
        let turning = TurningFile::new(file.try_clone().unwrap(), layout, &Have::none(&layout));
        turning.guard(turning.look().unwrap());
        let bytes = (1..).take(95).collect();
        Self { layout, turning, file, folder, bytes }
    }

    fn block(&self, number: u64) -> Block {
        self.layout.block(number).unwrap()
    }

    fn part(&self, range: Range<u64>) -> &[u8] {
        &self.bytes[at(range.start)..at(range.end)]
    }

    fn write(&self, range: Range<u64>) {
        let (one, two) = self.part(range.clone()).split_at(at(range.end - range.start) / 3);
        let mut slices = [IoSlice::new(one), IoSlice::new(two)];
        self.turning.write_all_at(&mut slices, range.start).unwrap();
    }

    fn turn(&self) {
        let folder = self.folder.try_clone().unwrap();
        let folder = GuardedFile::new(folder);
        folder.guard(folder.look().unwrap());
        self.turning.turn(BLOCK, |_| Ok(folder)).unwrap();
    }

    fn move_over(&self, number: u64) -> bool {
        let block = self.block(number);
        let hash = BlockHash::of(self.part(self.layout.range(block)));
        self.turning.move_over(block, hash, |_| Ok(())).unwrap()
    }

    fn has(&self, ground: &dyn Ground, range: Range<u64>) -> bool {
        let mut found = vec![0; at(range.end - range.start)];
        ground.fill(&mut found, range.start).unwrap();
        found == self.part(range)
    }
}

#[test]
fn what_was_begun_in_the_file_is_finished_there_and_moved_and_the_file_is_cut() {
    let scene = Scene::new();
    let turning = &scene.turning;
    scene.write(0..10);
    scene.write(10..15);
    assert!(turning.file().is_some() && !turning.has_left());
    scene.turn();
    assert!(turning.file().is_none() && turning.is_ours());
    scene.write(15..33);
    scene.write(33..40);
    assert!(scene.has(&scene.file, 0..20) && scene.has(&scene.folder, 20..40));
    assert!(scene.has(turning, 0..40), "it is read from where it is");
    assert_eq!(turning.run_at(12).map(|run| (run.offset, run.len)), Some((12, 8)));
    assert_eq!(turning.last_stamp(), None, "nothing tells what is there");

    assert!(!turning.move_over(scene.block(0), BlockHash::of(b"another"), |_| Ok(())).unwrap());
    assert!(turning.is_left(scene.block(0)) && turning.is_left(scene.block(1)));
    let hash = BlockHash::of(scene.part(0..10));
    assert!(turning.move_over(scene.block(0), hash, |_| Err(io::ErrorKind::Other.into())).is_err());
    assert!(turning.is_left(scene.block(0)), "what does not fit stays");
    let reader = turning.run_at(0).unwrap();
    assert!(scene.move_over(0) && scene.move_over(1) && scene.move_over(2));
    assert!(!turning.is_left(scene.block(0)) && turning.last_stamp().is_some());
    assert!(scene.has(&scene.folder, 0..40) && scene.has(turning, 0..40));
    turning.sync(&SystemDisk).unwrap();
    turning.cut().unwrap();
    assert!(turning.has_left() && scene.has(&scene.file, 0..20), "it is still read");
    drop(reader);
    turning.cut().unwrap();
    assert!(!turning.has_left() && turning.is_ours());
    assert_eq!(scene.file.length().unwrap(), BLOCK);
    assert!(scene.has(&scene.file, 0..10) && scene.has(turning, 0..40));
}

#[test]
fn what_may_leave_the_file_is_known_and_its_room_is_given_back_when_it_has_left() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new();
    let turning = &scene.turning;
    scene.write(0..10);
    scene.write(10..20);
    assert!(turning.loses(0) && turning.loses(15) && turning.loses(90), "it may turn");
    scene.turn();
    assert!(turning.loses(0) && turning.loses(15));
    scene.write(20..30);
    assert!(!turning.loses(25), "it is in the folder");
    let reader = turning.run_at(10).unwrap();
    assert!(scene.move_over(0) && scene.move_over(1));
    assert!(!turning.loses(15));
    turning.thin();
    assert!(scene.has(&scene.file, 10..20), "it is still read");
    drop(reader);
    turning.thin();
    assert!(scene.has(&scene.file, 0..10), "the head stays");
    // Where holes can be made.
    let given_back = scene.file.metadata().unwrap().blocks() == 0 || !scene.has(&scene.file, 10..20);
    assert!(given_back || crate::store::reserve::punch(&scene.file, 10..20).is_err());
    assert!(scene.has(turning, 0..30) && turning.is_ours());

    let scene = Scene::new();
    scene.turning.stay();
    assert!(!scene.turning.loses(0), "it does not turn");
}

#[test]
fn a_block_that_is_begun_anew_goes_to_the_folder_and_is_not_moved_any_more() {
    let scene = Scene::new();
    scene.turning.write_all_at(&mut [IoSlice::new(&[0xee; 10])], 0).unwrap();
    scene.turn();
    scene.write(0..10);
    assert!(!scene.turning.is_left(scene.block(0)));
    assert!(scene.turning.move_over(scene.block(0), BlockHash::of(&[0xee; 10]), |_| Ok(())).unwrap());
    assert!(scene.has(&scene.folder, 0..10) && scene.has(&scene.turning, 0..10));
}

#[test]
fn a_change_of_the_file_is_seen_as_long_as_it_is_needed() {
    use std::os::unix::fs::FileExt;
    let scene = Scene::new();
    scene.write(0..10);
    scene.turn();
    assert!(scene.turning.is_ours());
    // Its time moves in steps of some milliseconds.
    while scene.turning.is_ours() {
        scene.file.write_all_at(b"x", 50).unwrap();
    }
    scene.turning.guard(scene.turning.look().unwrap());
    assert!(scene.turning.is_ours());
    assert!(scene.move_over(0));
    scene.turning.cut().unwrap();
    scene.file.set_len(3).unwrap();
    assert!(scene.turning.is_ours() && scene.has(&scene.turning, 0..10));
}

#[test]
fn nothing_changes_where_there_is_no_folder() {
    let scene = Scene::new();
    scene.write(0..10);
    let error = scene.turning.turn(BLOCK, |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    scene.write(10..20);
    assert!(scene.turning.is_ours() && scene.turning.file().is_some() && scene.has(&scene.file, 0..20));
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    Anew(u64),
    Move(u64),
    Turn,
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..10u64).prop_map(Step::Write),
        1 => (0..10u64).prop_map(Step::Anew),
        4 => (0..10u64).prop_map(Step::Move),
        1 => Just(Step::Turn),
        1 => Just(Step::Cut),
    ]
}

proptest! {
    /// A block takes two writes; after the second one it is right, whatever happened before and happens afterwards.
    #[test]
    fn a_block_that_was_written_is_read_right_whatever_happens(steps in prop::collection::vec(step(), 0..60)) {
        let scene = Scene::new();
        let mut written = [0_u8; 10];
        for step in steps {
            match step {
                Step::Write(number) => {
                    let range = scene.layout.range(scene.block(number));
                    let middle = range.start + 3;
                    match written[at(number)] {
                        0 => scene.write(range.start..middle),
                        1 => scene.write(middle..range.end),
                        _ => continue,
                    }
                    written[at(number)] += 1;
                }
                // Its link has failed, or it came wrong.
                Step::Anew(number) if written[at(number)] == 1 => written[at(number)] = 0,
                Step::Move(number) if written[at(number)] == 2 => assert!(scene.move_over(number)),
                Step::Turn if scene.turning.folder().is_none() => scene.turn(),
                Step::Cut => scene.turning.cut().unwrap(),
                Step::Anew(_) | Step::Move(_) | Step::Turn => {}
            }
            for block in scene.layout.iter().filter(|block| written[at(block.number())] == 2) {
                prop_assert!(scene.has(&scene.turning, scene.layout.range(block)), "{block}");
            }
            prop_assert!(scene.turning.is_ours());
        }
    }
}

/// A file of which the blocks are divided, and what was last written to it.
struct Sliced {
    slices: Layout,
    turning: TurningFile<GuardedFile>,
    file: File,
    folder: File,
    /// The last written bytes.
    bytes: Vec<u8>,
    /// Up to where each slice is written, by its number.
    ends: Vec<u64>,
    seed: u8,
}

const HEAD: u64 = 100_000;

impl Sliced {
    /// Two blocks of four slices, and one of two.
    fn new() -> Self {
        let layout = Layout::new((2 << 18) + 70_000, 256 << 10).unwrap();
        let slices = layout.sliced().unwrap();
        let (file, folder) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        file.set_len(layout.length()).unwrap();
        folder.set_len(layout.length()).unwrap();
        let turning = TurningFile::new(file.try_clone().unwrap(), layout, &Have::none(&layout));
        let ends = slices.iter().map(|slice| slices.start(slice)).collect();
        let bytes = vec![0; at(layout.length())];
        Self { slices, turning, file, folder, bytes, ends, seed: 0 }
    }

    fn slice(&self, number: u64) -> Block {
        self.slices.block(number % self.slices.blocks()).unwrap()
    }

    fn is_written(&self, slice: Block) -> bool {
        self.ends[at(slice.number())] == self.slices.range(slice).end
    }

    /// Writes other bytes than before.
    fn write(&mut self, range: Range<u64>) {
        self.seed = self.seed.wrapping_add(1);
        for offset in range.clone() {
            self.bytes[at(offset)] = offset.wrapping_mul(2_654_435_761).to_be_bytes()[4] ^ self.seed;
        }
        let (one, two) = self.bytes[at(range.start)..at(range.end)].split_at(at(range.end - range.start) / 3);
        self.turning.write_all_at(&mut [IoSlice::new(one), IoSlice::new(two)], range.start).unwrap();
        for slice in self.slices.iter() {
            let whole = self.slices.range(slice);
            if range.start < whole.end && whole.start < range.end {
                self.ends[at(slice.number())] = whole.end.min(range.end);
            }
        }
    }

    /// Writes the next bytes of a slice, or, if it is there, nothing.
    fn write_some(&mut self, slice: Block, most: u64) {
        let start = self.ends[at(slice.number())];
        let end = self.slices.range(slice).end.min(start.saturating_add(most));
        if start < end {
            self.write(start..end);
        }
    }

    /// An answer with the whole block begins, and writes up to `most` bytes of those that are in front of what is there.
    fn write_whole(&mut self, block: Block, most: u64) {
        let there = self.slices.slices_of(block).map(|number| self.slice(number));
        let there = there.take_while(|slice| self.is_written(*slice)).last();
        let range = self.slices.whole().range(block);
        let end =
            there.map_or(range.end, |slice| self.slices.start(slice)).min(range.start.saturating_add(most));
        if range.start < end {
            self.write(range.start..end);
        }
    }

    fn turn(&self) {
        if self.turning.folder().is_none() {
            let folder = GuardedFile::new(self.folder.try_clone().unwrap());
            self.turning.turn(HEAD, |_| Ok(folder)).unwrap();
        }
    }

    /// Moves a block, if all of it is there.
    fn move_over(&self, block: Block) {
        if self.slices.slices_of(block).all(|number| self.is_written(self.slice(number))) {
            let range = self.slices.whole().range(block);
            let hash = BlockHash::of(&self.bytes[at(range.start)..at(range.end)]);
            assert!(self.turning.move_over(block, hash, |_| Ok(())).unwrap(), "{block}");
            assert!(!self.turning.is_left(block));
        }
    }

    fn is_read_right(&self, ground: &dyn Ground) {
        for slice in self.slices.iter() {
            let range = self.slices.start(slice)..self.ends[at(slice.number())];
            let mut found = vec![0; at(range.end - range.start)];
            ground.fill(&mut found, range.start).unwrap();
            assert!(found == self.bytes[at(range.start)..at(range.end)], "slice {slice}");
            if let Some(run) = ground.run_at(range.start).filter(|_| !range.is_empty()) {
                let mut found = vec![0; found.len().min(at(run.len))];
                run.file().fill(&mut found, run.offset).unwrap();
                assert!(found == self.bytes[at(range.start)..at(range.start) + found.len()], "run {slice}");
            }
        }
    }
}

#[test]
fn a_block_of_which_slices_are_in_both_places_is_hashed_as_one_and_only_the_others_are_moved() {
    let mut scene = Sliced::new();
    let (block, [first, second, third, fourth]) =
        (scene.slices.whole().block(0).unwrap(), [0, 1, 2, 3].map(|number| scene.slice(number)));
    // From its end: the last slice in the file, the one before it in both halves.
    scene.write_some(first, u64::MAX);
    scene.write_some(second, 1000);
    scene.turn();
    scene.write_some(second, u64::MAX);
    scene.write_whole(block, u64::MAX);
    scene.is_read_right(&scene.turning);
    assert!(scene.turning.is_left(block) && !scene.turning.is_left(scene.slices.whole().block(1).unwrap()));
    let left = [first, second, third, fourth].map(|slice| scene.turning.is_slice_left(slice));
    assert_eq!(left, [true, true, false, false]);
    assert_eq!(scene.turning.run_at(0).unwrap().len, 128 << 10, "both slices that are in the folder");
    assert!(scene.turning.loses(200 << 10) && !scene.turning.loses(0));
    assert!(!scene.turning.move_over(block, BlockHash::of(b"another"), |_| Ok(())).unwrap());
    assert!(scene.turning.is_left(block));
    scene.move_over(block);
    scene.turning.thin();
    scene.is_read_right(&scene.turning);
    scene.turning.cut().unwrap();
    assert_eq!(scene.file.length().unwrap(), HEAD);
    scene.is_read_right(&scene.folder);
}

#[derive(Debug, Clone)]
enum SliceStep {
    Write(u64, u64),
    Anew(u64),
    Whole(u64, u64),
    Move(u64),
    Turn,
    Cut,
}

fn slice_step() -> impl Strategy<Value = SliceStep> {
    let len = || prop_oneof![Just(u64::MAX), 1..200_000u64];
    prop_oneof![
        12 => (0..10u64, len()).prop_map(|(slice, len)| SliceStep::Write(slice, len)),
        1 => (0..10u64).prop_map(SliceStep::Anew),
        2 => (0..3u64, len()).prop_map(|(block, len)| SliceStep::Whole(block, len)),
        4 => (0..3u64).prop_map(SliceStep::Move),
        1 => Just(SliceStep::Turn),
        1 => Just(SliceStep::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Slices are written in any order, in some writes each, once more, or by an answer with their block, and the file turns
    /// at any time.
    #[test]
    fn what_was_written_last_is_read_at_any_time_and_in_the_end_it_is_all_in_the_folder(
        steps in prop::collection::vec(slice_step(), 0..40),
    ) {
        let mut scene = Sliced::new();
        let block = |number| scene.slices.whole().block(number).unwrap();
        let blocks = [block(0), block(1), block(2)];
        for step in steps {
            match step {
                SliceStep::Write(number, most) => scene.write_some(scene.slice(number), most),
                SliceStep::Anew(number) => {
                    let slice = scene.slice(number);
                    if !scene.is_written(slice) {
                        scene.ends[at(slice.number())] = scene.slices.start(slice);
                    }
                }
                SliceStep::Whole(number, most) => scene.write_whole(blocks[at(number)], most),
                SliceStep::Move(number) => scene.move_over(blocks[at(number)]),
                SliceStep::Turn => scene.turn(),
                SliceStep::Cut => {
                    scene.turning.thin();
                    scene.turning.cut().unwrap();
                }
            }
            scene.is_read_right(&scene.turning);
        }
        scene.turn();
        for slice in scene.slices.iter() {
            scene.write_some(slice, u64::MAX);
        }
        blocks.into_iter().for_each(|block| scene.move_over(block));
        scene.turning.cut().unwrap();
        prop_assert_eq!(scene.file.length().unwrap(), HEAD);
        scene.is_read_right(&scene.turning);
        scene.is_read_right(&scene.folder);
    }
}
