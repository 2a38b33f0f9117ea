//! The threads that serve connections: each has a runtime of its own, and a connection stays where it was put, so that a message wakes no
//! second thread and no queue is shared. What takes long is done beside them; see `relay`.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Threads of one worker for what takes long.
const BESIDE: usize = 4;
/// Of more processors than this no more is used, unless the operator says so: a sidecar has its service's processors.
const THREADS: usize = 4;

/// The workers of a process. Dropped, they drop their sessions and end.
pub struct Workers {
    each: Vec<Worker>,
}

struct Worker {
    runtime: Handle,
    /// Cloned for each session that lives there.
    sessions: Arc<()>,
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// As many as there are processors for this process, or `threads`. Errors: the system gives no thread.
    pub fn start(threads: Option<usize>) -> io::Result<Self> {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let count = threads.unwrap_or_else(processors).max(1);
        Ok(Self { each: (0..count).map(|_| Worker::start()).collect::<io::Result<_>>()? })
    }

    /// Runs `session` on the worker that has fewest, as one of `sessions`.
    pub fn spawn(&self, sessions: &mut JoinSet<()>, session: impl Future<Output = ()> + Send + 'static) {
        if let Some(worker) = self.each.iter().min_by_key(|worker| Arc::strong_count(&worker.sessions)) {
            let counted = worker.sessions.clone();
            let session = async move {
                session.await;
                drop(counted);
            };
            sessions.spawn_on(session, &worker.runtime);
        }
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BESIDE).build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
        let run = move || {
            // Either way it is over: the sender says nothing but that it is gone.
            let _ = runtime.block_on(stopped);
        };
        let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(run)?;
        Ok(Self { runtime: handle, sessions: Arc::new(()), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
