//! How a seeder finds what its subscribers lack.

use super::*;

/// The blocks that the subscribers of a seeder take that was started again, in the order of the offers, and the number of
/// news until the first of them: those that neither of two has. Both have the blocks up to `had`, but for `gap`.
fn taken_after_a_restart(layout: Layout, had: u64, gap: u64) -> (Vec<u64>, usize) {
    let mut upload = Upload::new(layout, &Have::all(&layout), Tuning::DEFAULT);
    let subscribers = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
    let (mut taken, mut seen, mut told, mut before) = (Vec::new(), [0; 2], 0, 0);
    let (mut now, mut idle) = (NOW, 0);
    while idle < 100 {
        idle += 1;
        for (seen, subscriber) in seen.iter_mut().zip(subscribers) {
            let blocks = offered_of(&layout, &news(&mut upload, now, subscriber).unwrap_or_default());
            told += usize::from(!blocks.is_empty());
            idle = if blocks.is_empty() { idle } else { 0 };
            *seen += u32::try_from(blocks.len()).unwrap();
            let wanted = |block: &Block| block.number() >= had || block.number() == gap;
            for block in blocks.into_iter().filter(wanted) {
                before = if taken.is_empty() { told } else { before };
                assert!(asked(&mut upload, now, subscriber, *seen, Some(block), 0));
                upload.sent_to(now, subscriber, block);
                taken.push(block.number());
            }
            asked(&mut upload, now, subscriber, *seen, None, 0);
        }
        now += Duration::from_millis(20);
        upload.handle_time(now);
    }
    (taken, before)
}

#[test]
fn a_seeder_that_was_started_again_soon_offers_what_its_readers_lack() {
    let layout = Layout::new(10_000 << 18, 1 << 18).unwrap();
    let (mut taken, told) = taken_after_a_restart(layout, 8000, 0);
    assert!(told < 400, "{told}");
    taken.sort_unstable();
    let all: Vec<_> = [0].into_iter().chain(8000..10_000).collect();
    assert!(taken == all, "each block that was lacking is offered once: {taken:?}");
    // What is missing in front of much that is there may be left for the end.
    let (taken, told) = taken_after_a_restart(layout, 8000, 7000);
    assert!(told < 400 && taken.len() >= 2000, "{told}, {}", taken.len());
}

#[test]
fn slices_are_leapt_over_by_whole_blocks() {
    let layout = Layout::new(2000 << 20, 1 << 20).unwrap().sliced().unwrap();
    let slices = layout.slices_a_block();
    let (mut taken, told) = taken_after_a_restart(layout, 1500 * slices, layout.blocks());
    assert!(told < 250, "{told}");
    taken.sort_unstable();
    assert!(taken == (1500 * slices..2000 * slices).collect::<Vec<_>>(), "{taken:?}");
}
