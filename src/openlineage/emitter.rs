//! Sends the events of runs beside the runs, and says what became of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::datasets;
use super::event::{self, Planned};
use super::settings::Settings;
use super::transport::Transport;
use crate::clock;
use crate::config::Environment;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::storage::Location;

pub use super::event::Ending;

/// What the runs of a command share that send events.
#[derive(Debug)]
pub struct Emitter {
    settings: Settings,
    transport: Transport,
    /// Where events are sent while runs go on.
    handle: Handle,
}

impl Emitter {
    /// Sends events on a runtime that is not busy.
    pub fn new(settings: Settings, handle: Handle) -> Self {
        Emitter { transport: Transport::to(settings.target.clone()), settings, handle }
    }

    /// The events of a run.
    pub fn run(self: &Arc<Self>) -> RunEvents {
        RunEvents { emitter: Some(Arc::clone(self)), state: Mutex::default() }
    }
}

/// The events of one run.
#[derive(Debug, Default)]
pub struct RunEvents {
    emitter: Option<Arc<Emitter>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    planned: Option<Arc<Planned>>,
    /// The first event, while it is sent.
    starting: Option<JoinHandle<Result<(), String>>>,
    is_ended: bool,
    warning: Option<String>,
}

impl RunEvents {
    /// No events, of a run that nobody watches.
    pub fn none() -> Self {
        RunEvents::default()
    }

    /// The run has been planned: sends the first event, while the run goes on.
    pub fn planned(&self, plan: &Plan, destination: &Location, environment: &Environment, record: impl FnOnce() -> RunRecord) {
        let Some(emitter) = &self.emitter else { return };
        let planned = Arc::new(Planned {
            project: Arc::clone(&plan.project),
            contracts: plan.contracts.clone(),
            zone: Arc::clone(&plan.values.zone),
            datasets: datasets::of_plan(plan, destination, environment),
        });
        let event = event::start(&emitter.settings, &record(), Some(&planned)).to_string();
        let mut state = self.lock();
        state.planned = Some(planned);
        let emitter = Arc::clone(emitter);
        let handle = emitter.handle.clone();
        state.starting = Some(handle.spawn(async move { emitter.transport.send(event).await }));
    }

    /// The run has ended: sends the last event, once, after the first. A run of which not even the pipeline's name is known has no events.
    pub async fn ended(&self, record: RunRecord, ending: Ending<'_>, within: Duration) {
        let Some(emitter) = &self.emitter else { return };
        let (planned, starting) = {
            let mut state = self.lock();
            if std::mem::replace(&mut state.is_ended, true) || record.pipeline.is_none() {
                return;
            }
            (state.planned.clone(), state.starting.take())
        };
        let started = match starting {
            Some(starting) => First::OnItsWay(starting),
            None => First::Waiting(event::start(&emitter.settings, &record, planned.as_deref()).to_string()),
        };
        let last = event::end(&emitter.settings, &record, planned.as_deref(), ending, clock::now()).to_string();
        let sent = tokio::time::timeout(within, emitter.send_both(started, last)).await;
        let why = match sent {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => {
                emitter.transport.lost();
                let seconds = (within.as_millis() + 500) / 1000;
                format!("that took longer than {seconds} s")
            }
        };
        self.lock().warning = Some(format!("lineage events were not sent to {}: {why}", emitter.transport.shown()));
    }

    /// What somebody should know of events that were lost; told once.
    pub fn take_warning(&self) -> Option<String> {
        self.lock().warning.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first event of a run when the run has ended.
enum First {
    OnItsWay(JoinHandle<Result<(), String>>),
    Waiting(String),
}

impl Emitter {
    async fn send_both(&self, first: First, last: String) -> Result<(), String> {
        let first = match first {
            First::OnItsWay(sending) => sending.await.unwrap_or_else(|_| Err("sending broke off".to_owned())),
            First::Waiting(event) => self.transport.send(event).await,
        };
        // The last one tells how the run ended, also to a server that has missed the first.
        let last = self.transport.send(last).await;
        first.and(last)
    }
}
