//! What a run makes of its execution: steps for its record, a judgement of every source, state tables and counts.

use super::judge::Judge;
use super::steps::Steps;
use crate::affinity;
use crate::engine::Engine;
use crate::error::Result;
use crate::execute::{Sink, Source};
use crate::groups;
use crate::identity;
use crate::likeness;
use crate::native::{Findings, MakeState};
use crate::predict;
use crate::publish::Staging;
use crate::segments::movement::Movement;
use crate::segments::{Avoided, Look, SegmentSize};
use crate::traits;

/// The sink of a run.
pub struct RunSink<'a, 'e> {
    engine: &'e Engine,
    steps: &'a mut Steps<'e>,
    staging: &'a mut Staging,
    /// What is found against the sources.
    pub judge: Judge<'e>,
    /// What the identity step found, where the project has one.
    pub identity: Option<identity::Counts>,
    /// What the predictions are made with, in the order in which they were made.
    pub predictions: Vec<predict::Report>,
    /// Which groups customers are in, in the order in which they were found.
    pub clusters: Vec<groups::Report>,
    /// What offers are made from, and how good they are, in the order in which they were made.
    pub affinities: Vec<affinity::Report>,
    /// How many traits of segments there are, where something reads them.
    pub traits: Option<traits::Report>,
    /// How look-alikes were found, in the order in which they were.
    pub look_alikes: Vec<likeness::Report>,
    /// The segments with their sizes, by set, in order of the pipeline file.
    pub segments: Vec<SegmentSize>,
    /// How many customers there are.
    pub customers: u64,
    /// How many changes the memory has avoided, by set.
    pub avoided: Vec<Avoided>,
    /// Who has entered, left or moved since the predecessor publication.
    pub movement: Movement,
    /// A closer look at the rules, if one was asked for.
    pub look: Option<Look>,
}

impl<'a, 'e> RunSink<'a, 'e> {
    /// Nothing has been executed.
    pub fn new(engine: &'e Engine, sources: &[Source], steps: &'a mut Steps<'e>, staging: &'a mut Staging) -> Self {
        let judge = Judge::new(engine, sources);
        RunSink {
            engine,
            steps,
            staging,
            judge,
            identity: None,
            predictions: Vec::new(),
            clusters: Vec::new(),
            affinities: Vec::new(),
            traits: None,
            look_alikes: Vec::new(),
            segments: Vec::new(),
            customers: 0,
            avoided: Vec::new(),
            movement: Movement::default(),
            look: None,
        }
    }
}

impl Sink for RunSink<'_, '_> {
    fn begin(&mut self, name: &str) {
        self.steps.begin(name);
    }

    fn end(&mut self, rows: Option<u64>) {
        self.steps.end(rows);
    }

    async fn source_ended(&mut self, source: &str) -> Result<()> {
        self.judge.judge(source, self.steps.recorder).await
    }

    fn found(&mut self, findings: &Findings) {
        match findings {
            Findings::Identity(counts) => {
                self.steps.recorder.note(|record| record.identity = Some(counts.clone()));
                self.identity = Some(counts.clone());
            }
            Findings::Prediction(report) => {
                self.predictions.push(report.as_ref().clone());
                self.steps.recorder.note(|record| record.predictions.clone_from(&self.predictions));
            }
            Findings::Clusters(report) => {
                self.clusters.push(report.as_ref().clone());
                self.steps.recorder.note(|record| record.clusters.clone_from(&self.clusters));
            }
            Findings::Affinity(report) => {
                self.affinities.push(report.as_ref().clone());
                self.steps.recorder.note(|record| record.affinities.clone_from(&self.affinities));
            }
            Findings::Traits(report) => {
                self.traits = Some(report.clone());
                self.steps.recorder.note(|record| record.traits.clone_from(&self.traits));
            }
            Findings::LookAlikes(report) => {
                self.look_alikes.push(report.as_ref().clone());
                self.steps.recorder.note(|record| record.look_alikes.clone_from(&self.look_alikes));
            }
            Findings::Rows => {}
            Findings::Segments { sizes, customers, avoided, movement, look } => {
                (self.segments, self.customers, self.avoided) = (sizes.clone(), *customers, avoided.clone());
                (self.movement, self.look) = (movement.clone(), look.clone());
            }
        }
    }

    async fn keep(&mut self, make_state: MakeState) -> Result<()> {
        self.steps.begin("make state");
        make_state(self.engine)?.into_iter().for_each(|table| self.staging.begin_state(table));
        // It is written beside the steps that follow, unless what is held leaves little memory for both.
        let rows = if self.engine.is_tight() { Some(self.staging.finish_state().await?) } else { None };
        self.steps.end(rows);
        Ok(())
    }
}
