//! The threads that links run on: one for each core, each with a runtime of its own. A link stays on its
//! thread, so that its socket, its buffer and its place in the file stay in one core's cache, and a
//! disk that makes a write wait holds up that thread's links and nothing else.

use cascade_swarm::ask::LinkId;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// A connection that counts as long as this lives.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A fixed number of link threads; they end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct LinkThreads {
    handles: Arc<[Handle]>,
    /// Connections that are open, and that are being made.
    open: Arc<AtomicUsize>,
    connecting: Arc<AtomicUsize>,
    /// Closed when the last clone is dropped: then the threads end.
    _running: Arc<watch::Sender<()>>,
}

impl LinkThreads {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// The system's, when it has no thread left.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (running, _) = watch::channel(());
        let start = |number: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let mut ended = running.subscribe();
            let run = move || {
                runtime.block_on(async move { while ended.changed().await.is_ok() {} });
            };
            std::thread::Builder::new().name(format!("link-{number}")).spawn(run).map(|_| handle)
        };
        let handles: io::Result<Vec<_>> = (0..threads.max(1)).map(start).collect();
        Ok(Self {
            handles: handles?.into(),
            open: Arc::default(),
            connecting: Arc::default(),
            _running: Arc::new(running),
        })
    }

    /// Connections that are open, those included that are being ended.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that are being made. The system may have made one that its link does not know of yet.
    #[must_use]
    pub fn connecting(&self) -> usize {
        self.connecting.load(Ordering::Relaxed)
    }

    /// One more is open, while what is returned lives.
    pub(super) fn count_open(&self) -> Counted {
        Counted::new(&self.open)
    }

    /// One more is being made, while what is returned lives.
    pub(super) fn count_connecting(&self) -> Counted {
        Counted::new(&self.connecting)
    }

    /// Runs a link's task.
    pub(super) fn spawn(&self, link: LinkId, task: impl Future<Output = ()> + Send + 'static) {
        let number = usize::try_from(link.0 % self.handles.len() as u64).unwrap_or(0);
        if let Some(handle) = self.handles.get(number) {
            handle.spawn(task);
        }
    }
}
