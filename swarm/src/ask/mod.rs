//! Which block is asked of whom, and when: the download of one file as a state machine.
//!
//! There is no socket, clock, task or random generator here. A driver tells what happened
//! (`handle_*`), with the time; then it asks what to do ([`Plan::poll_action`] until it says `None`) and
//! when to come back ([`Plan::next_wakeup`]). The same code runs in the peer and in a simulation.
//!
//! | module | is |
//! |---|---|
//! | [`plan`] | the front: hands what happens to the parts, and what they want done to the driver |
//! | [`action`] | what the plan and its driver tell each other |
//! | [`known`] | what is known of the swarm, by all parts: blocks, links, peers |
//! | [`blocks`] | in which of three states each block is: missing, in flight, verified |
//! | [`links`] | what is under way on each link, and what its peer has told |
//! | [`peers`] | which peers are known, and what each has shown of itself |
//! | [`assignment`] | decides which block is asked of which link |
//! | [`connecting`] | decides to which peers links are made, and in place of which |
//! | [`answers`] | takes in answers, and the ends of links |
//! | [`news`] | takes in what peers tell of themselves |
//! | [`earliest`] | the first of many times |
//! | [`held_up`] | what is different within a limit of this peer's own |
//! | [`wrong`] | decides what is done about wrong blocks |
//! | [`announce`] | decides when a tracker is asked |
//! | [`address`] | which addresses are worth a connection |
//! | [`report`] | what a download tells of itself |
//! | [`seen`] | the present state, for viewers |
//! | [`tuning`] | the constants that all these weigh with |
//! | [`fetch`] | apart from all these: which peer is asked for the `.cascade` file of a link |

mod action;
pub mod address;
pub mod announce;
mod answers;
mod assignment;
mod blocks;
mod connecting;
mod earliest;
pub mod fetch;
#[cfg(test)]
mod grows;
mod held_up;
mod known;
mod links;
mod news;
mod own;
mod peers;
mod plan;
mod report;
mod seen;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "a test world of manners")]
mod sliced;
#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, clippy::needless_pass_by_value, reason = "a test world of habits")]
mod tests;
mod tuning;
mod wrong;

pub use action::{Action, Ended, Outcome};
pub use assignment::Order;
pub use known::Random;
pub use links::LinkId;
pub use peers::Source;
pub use plan::{Config, Plan};
pub use report::{PeerShare, Totals};
pub use seen::{Role, SeenLink};
pub use tuning::Tuning;
pub use wrong::{GivenUp, WrongBlock};
