//! Downloads by slices from peers of all kinds, in virtual time: after each step the plan keeps its invariants, and while
//! one honest peer stays, the download completes. A failure names the seed.

mod nature;
mod world;

use super::Order;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use nature::{Manner, Nature, Speech, any_nature, layout, nature};
use world::{Event, World};

fn swarm(seed: u64, speech: Speech, manner: Manner) -> World {
    let mut random = fastrand::Rng::with_seed(seed);
    let layout = layout(&mut random);
    let order = if random.u8(..4) == 0 { Order::Sequential } else { Order::Random };
    let mut natures: Vec<Nature> = (0..random.usize(..8)).map(|_| any_nature(&mut random)).collect();
    natures.push(nature(&mut random, speech, manner, false));
    let mut world = World::new(layout, order, natures, seed);
    if random.u8(..5) == 0 {
        world.plan.want_first(0..random.u64(1..20), random.bool());
    }
    if random.u8(..4) == 0 {
        world.at(Duration::from_millis(random.u64(..4000)), Event::Restart);
    }
    world
}

#[test]
fn with_one_honest_peer_of_any_kind_the_download_completes() {
    use Manner::{Busy, Chooses, Closes, Cuts, Honest};
    use Speech::{Blocks, Slices, Version1};
    let kinds = [
        (Slices, Honest),
        (Blocks, Honest),
        (Version1, Honest),
        (Slices, Closes),
        (Version1, Closes),
        (Slices, Busy),
        (Slices, Chooses),
        (Blocks, Chooses),
        (Slices, Cuts),
    ];
    for (speech, manner) in kinds {
        for seed in 0..60 {
            swarm(seed, speech, manner).run(Duration::from_secs(600));
        }
    }
}

/// The honest peer gives a whole block in a second, and a stall is seen after two; nobody else may hold up the end for
/// longer than some stalls.
#[test]
fn a_bad_peer_beside_an_honest_one_costs_some_stalls_at_most() {
    use Manner::{Closes, Cuts, Honest, Liar, Refuses, Stalls, Trickles};
    use Speech::{Blocks, Slices, Version1};
    for honest in [(Slices, Honest), (Blocks, Honest), (Version1, Honest), (Version1, Closes)] {
        for speech in [Slices, Blocks, Version1] {
            for manner in [Honest, Liar, Refuses, Stalls, Trickles, Cuts] {
                for seed in 0..12 {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let layout = layout(&mut random);
                    let natures = vec![
                        nature(&mut random, speech, manner, seed % 2 == 0),
                        nature(&mut random, honest.0, honest.1, false),
                    ];
                    World::new(layout, Order::Random, natures, seed).run(Duration::from_secs(30));
                }
            }
        }
    }
}
