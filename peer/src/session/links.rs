//! The links of one download, as the plan names them.

use super::engine::Engine;
use crate::link::{Ask, FileContext, LinkHandle, LinkTask, Questions, Unit};
use cascade_format::{Block, Layout, PeerAddr};
use cascade_swarm::Time;
use cascade_swarm::ask::{Action, LinkId, Plan};
use cascade_swarm::give;
use std::collections::HashMap;
use std::sync::Arc;

/// Carries out what the plan wants.
pub(super) struct LinkSet {
    engine: Engine,
    file: Arc<FileContext>,
    links: HashMap<LinkId, (PeerAddr, LinkHandle)>,
    /// The links whose peers have shown what they are; whether they know the extension.
    shown: HashMap<LinkId, bool>,
}

impl LinkSet {
    pub(super) fn new(engine: Engine, file: Arc<FileContext>) -> Self {
        Self { engine, file, links: HashMap::new(), shown: HashMap::new() }
    }

    /// Does everything that the plan wants now.
    pub(super) fn obey(&mut self, now: Time, plan: &mut Plan) {
        while let Some(action) = plan.poll_action(now) {
            match action {
                Action::Connect { link, addr, marked } => {
                    let task = LinkTask {
                        id: link,
                        addr,
                        file: Arc::clone(&self.file),
                        listening: self.engine.listen,
                        marker_port: self.marker_port().filter(|_| marked),
                        threads: self.engine.links.clone(),
                        buffers: self.engine.buffers.clone(),
                        hashers: self.engine.hashers.clone(),
                        limit: self.engine.max_down.clone(),
                    };
                    self.links.insert(link, (addr, task.start()));
                }
                Action::Request { link, blocks, sliced } => {
                    let asks = blocks.into_iter().map(|block| Ask::from(self.unit(block, sliced)));
                    self.ask(plan, link, asks.collect());
                }
                Action::Poll { link, sliced } => {
                    self.ask(plan, link, vec![if sliced { Ask::SliceNews } else { Ask::News }]);
                }
                Action::Probe { link } => self.ask(plan, link, vec![Ask::NoBlock]),
                Action::Revoke { link, block, sliced } => {
                    let handle = self.links.get(&link);
                    let unit = self.unit(block, sliced);
                    let in_time =
                        handle.is_none_or(|(_, handle)| handle.lease().revoke(unit, &self.file.shared));
                    plan.handle_revoked(now, link, block, in_time);
                }
                Action::Close { link } => self.ended(link),
            }
        }
    }

    /// The layout of slices, if the plan works on slices.
    pub(super) fn sliced(&self) -> Option<Layout> {
        self.file.slices.map(|slices| slices.layout)
    }

    /// What the plan means by `block`.
    fn unit(&self, block: Block, sliced: bool) -> Unit {
        match &self.file.slices {
            Some(_) if sliced => Unit::Slice(block),
            Some(slices) => Unit::Block(slices.layout.block_of(block)),
            None => Unit::Block(block),
        }
    }

    /// See [`Engine::marker_port`]; of a file with too many blocks nothing is told.
    fn marker_port(&self) -> Option<u16> {
        let blocks = self.file.shared.layout().blocks();
        self.engine.marker_port().filter(|_| give::is_told(blocks))
    }

    fn ask(&self, plan: &Plan, link: LinkId, asks: Vec<Ask>) {
        if let Some((_, handle)) = self.links.get(&link) {
            handle.ask(Questions { asks, offers_seen: plan.offers_seen(link) });
        }
    }

    /// The address behind a link that has not ended.
    pub(super) fn addr(&self, link: LinkId) -> Option<PeerAddr> {
        self.links.get(&link).map(|(addr, _)| *addr)
    }

    /// The link's peer has told news (`extended`) or given a block (`gave`); its address, if that shows
    /// something new.
    pub(super) fn show(&mut self, link: LinkId, extended: bool, gave: bool) -> Option<PeerAddr> {
        let known = self.shown.get(&link).is_some_and(|known| *known || !extended);
        if known || !(extended || gave) {
            return None;
        }
        self.shown.insert(link, extended);
        self.addr(link)
    }

    /// The link has ended.
    pub(super) fn ended(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.shown.remove(&link);
    }

    /// Ends all links. When this returns, nothing is written or published any more.
    pub(super) fn clear(&mut self) {
        self.links.clear();
    }
}
