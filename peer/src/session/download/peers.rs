//! Where a download learns of peers: trackers, the local network, the user; and when nobody is left.

use super::Session;
use crate::lan::LAN_PATIENCE;
use crate::session::announcer::Answer;
use crate::session::download_error::DownloadError;
use crate::session::event::{Event, Observer};
use crate::tracker_client::{TrackerError, resolve};
use cascade_format::PeerAddr;
use cascade_swarm::ask::Source;

impl Session {
    pub(super) fn learn_from_lan(&mut self, found: &[PeerAddr], observer: &mut dyn Observer) {
        self.on_lan += found.len();
        self.plan.handle_peers(self.start.elapsed(), Source::Lan, found);
        observer.event(Event::Lan { peers: self.on_lan });
    }

    pub(super) fn handle_tracker(&mut self, answer: Answer, observer: &mut dyn Observer) {
        self.silent_trackers = self.silent_trackers.saturating_sub(1);
        let tracker = answer.tracker.clone();
        match &answer.list {
            Ok(list) => {
                if self.engine.listen.is_some() {
                    list.announced.iter().for_each(|addr| self.plan.set_own_address(*addr));
                }
                self.plan.handle_peers(self.start.elapsed(), Source::Tracker(answer.number), &list.peers);
                self.note(format!("tracker {tracker} knows {} peers", list.peers.len()));
            }
            Err(error) => self.note(format!("tracker {tracker}: {error}")),
        }
        observer.event(Event::of_tracker(&answer));
        self.answers.insert(answer.number, answer);
    }

    /// Keeps the last word of the trackers, for the message of `--no-wait`.
    fn note(&mut self, news: String) {
        if self.tracker_news.len() >= self.download.trackers.len() + self.download.peers.len() {
            self.tracker_news.clear();
        }
        self.tracker_news.push(news);
    }

    pub(super) async fn learn_named_peers(&mut self, observer: &mut dyn Observer) {
        for name in self.download.peers.clone() {
            let found: Result<_, TrackerError> = resolve(&name).await;
            match found {
                Ok(addrs) => self.plan.handle_peers(self.start.elapsed(), Source::User, &addrs),
                Err(error) => {
                    self.note(format!("peer {name}: {error}"));
                    observer.event(Event::Warning(format!("peer {name}: {error}")));
                }
            }
        }
    }

    pub(super) fn give_up_if_hopeless(&self) -> Result<(), DownloadError> {
        let looked = self.lan.is_none() || self.start.elapsed() >= LAN_PATIENCE;
        let hopeless =
            self.download.no_wait && self.silent_trackers == 0 && looked && self.plan.is_hopeless();
        if hopeless {
            return Err(DownloadError::NoPeers { target: self.target.clone(), why: self.why_no_peers() });
        }
        Ok(())
    }

    fn why_no_peers(&self) -> String {
        let known = self.plan.known_peers();
        let peers = (known > 0).then(|| format!("{known} known, none of them useful"));
        let lan = (self.lan.is_some() && self.on_lan == 0).then(|| "nobody on the local network".to_owned());
        let news: Vec<String> = self.tracker_news.iter().cloned().chain(lan).chain(peers).collect();
        if news.is_empty() { "no tracker and no peer is named".into() } else { news.join("; ") }
    }
}
