//! Notifications of a run: a JSON document to a webhook, or to a command on standard input.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::ended::Ended;
use super::summary;
use crate::clock::Stopwatch;
use crate::config::{Event, is_notification_off};
use crate::shown;
use crate::storage::{Post, PostError, Poster, of_system};

/// How long a command may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(10);

/// How long a command is left alone between two looks whether it has ended.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// A notification that is sent.
#[derive(Debug)]
pub struct Notification {
    name: String,
    to: To,
    body: Vec<u8>,
}

/// Who gets it. Neither the URL nor the arguments are ever shown.
#[derive(Debug)]
enum To {
    Webhook(String),
    Command(Vec<String>),
}

/// The notifications of the pipeline file that are for the end of a run.
pub fn notifications(ended: &Ended<'_>) -> Vec<Notification> {
    let (events, Some(project)) = (ended.events(), ended.project) else { return Vec::new() };
    let mut notifications = Vec::new();
    for (name, notify) in &project.pipeline.notify {
        let told: Vec<Event> = events.iter().copied().filter(|event| notify.on.contains(event)).collect();
        let to = match (&notify.webhook, &notify.command) {
            (Some(webhook), _) if !is_notification_off(webhook) => To::Webhook(webhook.clone()),
            (None, Some(command)) => To::Command(command.iter().map(|part| part.value.clone()).collect()),
            _ => continue,
        };
        if !told.is_empty() {
            notifications.push(Notification { name: name.clone(), to, body: body(ended, &told) });
        }
    }
    notifications
}

/// The document. `text` is what Slack, Mattermost and others show.
fn body(ended: &Ended<'_>, events: &[Event]) -> Vec<u8> {
    let record = &ended.record;
    let document = json!({
        "text": shown::without_given(&summary::line(ended)),
        "events": events,
        "pipeline": record.pipeline,
        "as_of": record.as_of,
        "run_id": record.run_id,
        "status": ended.status(),
        "exit_code": ended.exit_code(),
        "run": summary::document(ended),
    });
    shown::json(&shown::without_given(&document.to_string())).into_owned().into_bytes()
}

impl Notification {
    /// Sends it; what somebody should know if that does not succeed.
    pub async fn send(self, poster: Result<Poster, PostError>, within: Duration) -> Option<String> {
        let Notification { name, to, body } = self;
        let sent = match to {
            To::Webhook(url) => match poster {
                Ok(poster) => {
                    let post = Post { url: &url, headers: &[], content_type: "application/json", body, within };
                    poster.post(post).await.map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            },
            To::Command(command) => {
                // A thread of its own: one of the runtime's would keep a run that is stopped until the command has ended.
                let (tell, ended) = tokio::sync::oneshot::channel();
                std::thread::spawn(move || drop(tell.send(run(&command, body))));
                ended.await.unwrap_or_else(|_| Err("the command was not started".to_owned()))
            }
        };
        sent.err().map(|why| format!("the notification `{}` was not delivered: {why}", shown::name(&name)))
    }
}

/// Runs a command, and ends it when its time is up. What it prints is not wanted: it may be anything.
fn run(command: &[String], body: Vec<u8>) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = process.spawn().map_err(|error| format!("the command was not started: {}", of_system(&error)))?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read what it is told must not keep the run. This thread ends when the command does.
        std::thread::spawn(move || drop(input.write_all(&body)));
    }
    ended(&mut child)
}

fn ended(child: &mut Child) -> Result<(), String> {
    let since = Stopwatch::start();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                return Err(status
                    .code()
                    .map_or_else(|| "a signal ended the command".to_owned(), |code| format!("the command ended with exit code {code}")));
            }
            Ok(None) if Duration::from_millis(since.elapsed_ms()) < COMMAND_WITHIN => std::thread::sleep(LOOKS_EVERY),
            _ => {
                // It is given up either way.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(format!("the command did not end within {} s", COMMAND_WITHIN.as_secs()));
            }
        }
    }
}
