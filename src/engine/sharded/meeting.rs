//! Where threads wait for each other, until all have come or one has failed.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use tokio::sync::watch;

/// A place where so many threads meet, as often as they like.
#[derive(Debug)]
pub struct Meeting {
    threads: usize,
    come: watch::Sender<Come>,
}

#[derive(Debug, Default)]
struct Come {
    /// How often a thread has come.
    times: usize,
    failure: Option<Arc<DataFusionError>>,
}

impl Meeting {
    /// A meeting of so many threads.
    pub fn of(threads: usize) -> Self {
        Meeting { threads, come: watch::Sender::new(Come::default()) }
    }

    /// Does the work of a thread. If it fails, or is given up, the others stop waiting, and fail as it did.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn attend<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut leaving = Leaving { meeting: self, is_done: false };
        let done = work.await;
        leaving.is_done = true;
        done.map_err(|error| {
            let error = Arc::new(error);
            self.fail(&error);
            DataFusionError::Shared(error)
        })
    }

    /// Waits until all threads have come as often as this one, which has come so often before.
    ///
    /// # Errors
    /// The failure of another thread.
    pub async fn wait(&self, times_before: usize) -> Result<()> {
        self.come.send_modify(|come| come.times += 1);
        let all = self.threads * (times_before + 1);
        let mut seen = self.come.subscribe();
        let come = seen.wait_for(|come| come.times >= all || come.failure.is_some()).await;
        let come = come.map_err(|_| DataFusionError::Internal("a meeting of threads was given up".to_owned()))?;
        match &come.failure {
            Some(failure) if come.times < all => Err(DataFusionError::Shared(Arc::clone(failure))),
            _ => Ok(()),
        }
    }

    fn fail(&self, failure: &Arc<DataFusionError>) {
        self.come.send_modify(|come| {
            come.failure.get_or_insert_with(|| Arc::clone(failure));
        });
    }
}

/// A thread that may be dropped before its work has ended.
struct Leaving<'a> {
    meeting: &'a Meeting,
    is_done: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.meeting.fail(&Arc::new(DataFusionError::Execution("the query was given up".to_owned())));
        }
    }
}
