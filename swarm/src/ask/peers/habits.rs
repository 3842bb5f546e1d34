//! How a peer wants to be asked: programs of the field differ in what they can read.

/// Whether requests to a peer show the extension's marker. Some peers take nothing but zeros there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Marking {
    /// They do; it has not refused that.
    #[default]
    Marked,
    /// They do not: a marked one was answered with status 4.
    Plain,
    /// They do again: it answers status 4 to zeros as well.
    Either,
}

/// The habits of one peer.
#[derive(Debug, Default)]
pub(in crate::ask) struct Habits {
    one_at_a_time: bool,
    closes: bool,
    marking: Marking,
}

impl Habits {
    /// It cannot read several requests at once.
    pub(in crate::ask) fn one_at_a_time(&mut self) {
        self.one_at_a_time = true;
    }

    /// A connection ended without fault after `answers` answers.
    pub(in crate::ask) fn closed_after(&mut self, answers: u64) {
        self.closes |= answers == 1;
    }

    /// It has answered again on a connection, and so does not close each after one answer.
    pub(in crate::ask) fn keeps_open(&mut self) {
        self.closes = false;
    }

    /// It answered status 4 to a request that was alone. Tells whether that may be because the request was marked:
    /// then it is asked once more without.
    pub(in crate::ask) fn refused_marked(&mut self) -> bool {
        let before = self.marking;
        self.marking = if before == Marking::Marked { Marking::Plain } else { Marking::Either };
        before == Marking::Marked
    }

    /// Whether only one request may be under way.
    pub(in crate::ask) fn takes_one_at_a_time(&self) -> bool {
        self.one_at_a_time || self.closes
    }

    /// Whether it closes each connection after one answer.
    pub(in crate::ask) fn closes(&self) -> bool {
        self.closes
    }

    /// Whether requests to it show the extension's marker.
    pub(in crate::ask) fn takes_marks(&self) -> bool {
        self.marking != Marking::Plain
    }
}
