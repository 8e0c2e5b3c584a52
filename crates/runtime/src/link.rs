//! The controller: a child as the others are, with a line to us.
//!
//! Each of its processes gets a fresh socket pair, hears the whole inventory first and then, until it has said that it is
//! durable, what the files say. A controller that returns is not told the files again: `scale` lasts until the next `up`.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use samspill_model::intent::Intent;
use samspill_model::link::{ToController, ToRuntime};
use samspill_model::plan::Plan;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::context::Context;
use crate::event::Event;
use crate::keeper::Part;
use crate::process::{SpawnError, Spec};
use crate::status::Board;

/// The controller's name in events and of its log.
pub(crate) const CONTROLLER: &str = "controller";

/// The controller's exit code when a further start would end the same way, until somebody does what its last line says
/// (`EX_CONFIG` of sysexits.h).
pub const HOPELESS: u8 = 78;

/// How long the controller may take to end: it has connections of proxies and a store to close.
const GRACE: Duration = Duration::from_secs(10);

/// A process that ends closes its line a moment before it can be reaped. Only one that lives on without a line is restarted.
const LINELESS: Duration = Duration::from_secs(5);

/// The controller, kept running.
#[derive(Debug)]
pub(crate) struct Controller {
    context: Arc<Context>,
    /// Our end of the line to the process that was started last.
    line: Option<StdUnixStream>,
    /// What the files say, until the controller has it.
    intent: Option<Box<Intent>>,
    plans: watch::Sender<Option<Arc<Plan>>>,
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>, intent: Intent, plans: watch::Sender<Option<Arc<Plan>>>) -> Self {
        Self { context, line: None, intent: Some(Box::new(intent)), plans }
    }

    fn args(&self) -> Vec<OsString> {
        let settings = &self.context.settings;
        let mut args = vec![OsString::from("controller")];
        let mut option = |name: &str, value: OsString| args.extend([OsString::from(name), value]);
        option("--state-dir", self.context.state_dir.clone().into());
        option("--trust-domain", settings.trust_domain.clone().into());
        option("--leaf-ttl-seconds", settings.leaf_ttl.as_secs().to_string().into());
        option("--otlp-endpoint", self.context.otlp_endpoint().into());
        args
    }

    fn descriptors(&mut self) -> io::Result<Vec<(String, OwnedFd)>> {
        let sockets = &self.context.sockets;
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        self.line = Some(ours);
        Ok(vec![
            ("ads".to_owned(), sockets.ads.try_clone()?.into()),
            ("bootstrap".to_owned(), sockets.bootstrap.try_clone()?.into()),
            ("api".to_owned(), sockets.controller.try_clone()?.into()),
            ("runtime".to_owned(), theirs.into()),
        ])
    }
}

impl Part for Controller {
    fn name(&self) -> &str {
        CONTROLLER
    }

    fn grace(&self) -> Duration {
        GRACE
    }

    fn backoff(&self) -> Backoff {
        Backoff::for_own_part()
    }

    fn spec(&mut self) -> Result<Spec, SpawnError> {
        let descriptors = self.descriptors().map_err(SpawnError::Sockets)?;
        Ok(Spec {
            program: self.context.settings.executable.clone(),
            args: self.args(),
            env: Vec::new(),
            working_dir: None,
            descriptors,
        })
    }

    fn started(&mut self, pid: u32, _restarts: u32) {
        self.context.board.update(|status| status.controller = Some(pid));
    }

    fn ended(&mut self) {
        self.context.board.update(|status| status.controller = None);
    }

    /// Only before it has the files. Later a mesh runs that is better off without a controller than not at all: proxies keep
    /// what they know, and what crashes is restarted.
    fn is_hopeless(&self, code: i32) -> bool {
        code == i32::from(HOPELESS) && self.intent.is_some()
    }

    async fn watch(&mut self) -> String {
        let Some(line) = self.line.take() else { return "has no line to the runtime".to_owned() };
        let line = match UnixStream::from_std(line) {
            Ok(line) => line,
            Err(error) => return format!("cannot be spoken to: {error}"),
        };
        let (reader, writer) = line.into_split();
        let apply = self.intent.clone().map(ToController::Apply);
        let board = &self.context.board;
        let error = tokio::select! {
            error = listen(reader, board, &mut self.intent, &self.plans) => error,
            error = speak(writer, board, apply) => error,
        };
        match error {
            LineError::Broken(error) => {
                tokio::time::sleep(LINELESS).await;
                format!("has closed its line to the runtime: {error}")
            }
            LineError::Message(error) => format!("said something that cannot be understood: {error}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("the line is closed")]
    Broken(#[from] io::Error),
    #[error("a message cannot be understood")]
    Message(#[from] serde_json::Error),
}

/// Says the whole inventory at once and at each change, and the intent after the first.
async fn speak(mut writer: impl AsyncWrite + Unpin, board: &Board, apply: Option<ToController>) -> LineError {
    let mut status = board.subscribe();
    let mut said = None;
    let mut apply = apply;
    loop {
        let inventory = status.borrow_and_update().inventory();
        if said.as_ref() != Some(&inventory) {
            if let Err(error) = say(&mut writer, &ToController::Inventory(inventory.clone())).await {
                return error;
            }
            said = Some(inventory);
        }
        if let Some(apply) = apply.take()
            && let Err(error) = say(&mut writer, &apply).await
        {
            return error;
        }
        if status.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), message: &ToController) -> Result<(), LineError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(writer.write_all(&line).await?)
}

/// Takes plans and the receipt of the intent.
async fn listen(
    reader: impl AsyncRead + Unpin,
    board: &Board,
    intent: &mut Option<Box<Intent>>,
    plans: &watch::Sender<Option<Arc<Plan>>>,
) -> LineError {
    let mut lines = BufReader::new(reader).lines();
    loop {
        let line = match lines.next_line().await {
            Ok(Some(line)) => line,
            Ok(None) => return LineError::Broken(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => return LineError::Broken(error),
        };
        match serde_json::from_str(&line) {
            Ok(ToRuntime::Plan(plan)) if board.accept(&plan) => drop(plans.send_replace(Some(Arc::new(plan)))),
            Ok(ToRuntime::Plan(plan)) => {
                let newest = board.status().generation;
                board.error(
                    CONTROLLER,
                    format!("its plan {} is older than plan {newest} and was refused", plan.generation),
                );
            }
            Ok(ToRuntime::Applied(changes)) => {
                *intent = None;
                board.update(|status| status.applied = true);
                board.tell(Event::Applied(changes));
            }
            Err(error) => return LineError::Message(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use samspill_model::plan::Generation;
    use tokio::io::duplex;
    use tokio::sync::mpsc;

    use super::*;

    fn plan(generation: u64) -> String {
        let plan = Plan { generation: Generation(generation), ..Plan::default() };
        serde_json::to_string(&ToRuntime::Plan(plan)).unwrap() + "\n"
    }

    #[tokio::test]
    async fn an_older_plan_is_refused_and_an_equal_one_taken() {
        let (events, mut told) = mpsc::unbounded_channel();
        let board = Board::new(&Intent::default(), events);
        let plans = watch::Sender::new(None);
        let said = [plan(4), plan(3), plan(4), plan(5), plan(1)].concat();
        let error = listen(said.as_bytes(), &board, &mut None, &plans).await;
        assert!(matches!(error, LineError::Broken(_)));
        assert_eq!(plans.borrow().as_ref().unwrap().generation, Generation(5));
        let mut refused = Vec::new();
        while let Ok(event) = told.try_recv() {
            refused.push(event.to_string());
        }
        assert_eq!(
            refused,
            [
                "controller: its plan 3 is older than plan 4 and was refused",
                "controller: its plan 1 is older than plan 5 and was refused"
            ]
        );
    }

    #[tokio::test]
    async fn the_intent_follows_the_first_inventory_and_is_kept_until_it_is_durable() {
        let (events, _told) = mpsc::unbounded_channel();
        let board = Board::new(&Intent::default(), events);
        let (ours, theirs) = duplex(1 << 16);
        let apply = ToController::Apply(Box::default());
        let first_two = async {
            let mut lines = BufReader::new(theirs).lines();
            let mut next = async || serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            (next().await, next().await)
        };
        let (first, second): (ToController, ToController) = tokio::select! {
            error = speak(ours, &board, Some(apply.clone())) => panic!("{error}"),
            messages = first_two => messages,
        };
        assert_eq!(first, ToController::Inventory(board.status().inventory()));
        assert_eq!(second, apply);

        let mut intent = Some(Box::default());
        let plans = watch::Sender::new(None);
        listen(plan(1).as_bytes(), &board, &mut intent, &plans).await;
        assert!(intent.is_some() && !board.status().applied);
        let applied = serde_json::to_string(&ToRuntime::Applied(Vec::new())).unwrap() + "\n";
        listen(applied.as_bytes(), &board, &mut intent, &plans).await;
        assert!(intent.is_none() && board.status().applied);
    }
}
