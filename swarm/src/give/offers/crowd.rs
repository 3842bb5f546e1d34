//! Crowds: when each block is offered once again.

use super::*;

impl Offers {
    /// Whether everything was given once, or all subscribers have left: who comes now may find nobody but this seeder.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.deserted || self.is_open(now)
    }

    /// Whether some subscriber may pass on what it gets.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        self.queues.has_listening_host()
    }

    /// The subscriber says whether it has nothing of the file.
    pub fn has_nothing(&mut self, subscriber: SubscriberId, nothing: bool) {
        let Some(account) = self.accounts.get_mut(&subscriber) else { return };
        let before = core::mem::replace(&mut account.has_nothing, nothing);
        self.queues.count_nothing(account.host, before, nothing);
    }

    /// Whether most hosts have nothing of the file. Where leechers come one by one this is not so: those in the middle need
    /// what nobody else has, and only a seeder that does not choose gives it to them.
    #[must_use]
    pub fn is_new_crowd(&self) -> bool {
        self.queues.most_have_nothing()
    }

    /// What was given has left with others, or is kept by others: each block is offered once again.
    pub(in crate::give) fn begin_again(&mut self) {
        (self.given, self.unwanted) = (Have::none(&self.layout), Have::none(&self.layout));
        self.put_off.clear();
        (self.next, self.opens, self.declined_in_a_row) = (0, None, 0);
        for offer in self.accounts.values_mut().flat_map(|account| &mut account.offers) {
            offer.leapt = Leapt::default();
            for block in offer.run.blocks(&self.layout) {
                self.given.insert(block);
            }
        }
    }
}
