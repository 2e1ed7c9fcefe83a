//! How an engine reaches the box: looks that take their time, and commands that may outlive whoever sent them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_app::Hosts;
use lamplighter_core::sight::{
    DownKind, Fault, Look, NotLooked, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NoStanding, NotResolved, Standing, StepOutcome, Wanted};
use lamplighter_core::{Moment, ServiceId, Version};
use lamplighter_remote::{RestartOrder, UpdateOrder};

use super::BoxFleet;
use super::host::{Answer, What};
use super::lamp::{Act, Ending, Order};
use crate::sim::crash::Gate;

/// How long a look takes in the box, and any question.
const LOOK: Duration = Duration::from_millis(20);
/// How long after a crash a command that was on its way still lands.
const LATE: Duration = Duration::from_secs(40);
/// How long after its start a command loses the connection that it came by.
const DROP: Duration = Duration::from_millis(500);
/// How long a command waits on the host for the lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it tries meanwhile.
const LOCK_TRY: Duration = Duration::from_millis(250);

/// What the sender of a command gets to know.
enum Sent {
    Nothing(Fault<UnreachableKind>),
    Lost,
    Answered(Answer),
    Ended(Option<Ending>),
}

impl BoxFleet {
    fn see(&self, spec: &ServiceSpec) -> (Sight, Option<ProcessId>) {
        let now = self.clock.now();
        let mut memory = self.memory_now();
        if memory.is_dark(&spec.id, now) {
            return (Sight::Unreachable(Fault::new(UnreachableKind::TimedOut, "")), None);
        }
        let Some(lamp) = memory.lamps.get(&spec.id) else {
            return (Sight::Unreachable(Fault::new(UnreachableKind::Connect, "no such host")), None);
        };
        let run = run(lamp.run);
        let has_code = lamp.code.is_some();
        let sight = match lamp.up {
            Some(_) if now < lamp.starting_until => Sight::Unknown(NotLooked::Starting),
            Some(_) => Sight::Up,
            None => Sight::Down(Fault::new(DownKind::NotActive, "failed")),
        };
        if has_code && sight == Sight::Up {
            memory.happened(now, &spec.id, What::SeenUp);
        }
        (sight, run)
    }

    async fn looked(&self, spec: &ServiceSpec, began: Moment, limit: Duration) -> Look {
        let is_mute = {
            let mut memory = self.memory();
            memory.lamps.note_look(&spec.id);
            memory.is_mute(&spec.id)
        };
        if is_mute {
            let took = limit.min(spec.policy.connect_limit);
            tokio::time::sleep(took).await;
            let sight = Sight::Unreachable(Fault::new(UnreachableKind::TimedOut, ""));
            return Look { sight, at: began + took, took, process: None, evidence: None };
        }
        // The sight is old by half a look when it is heard of: an engine may be stopped in between.
        let drag = self.memory().drag;
        tokio::time::sleep(LOOK / 2 + drag).await;
        let (sight, process) = self.see(spec);
        tokio::time::sleep(LOOK / 2).await;
        let evidence = matches!(sight, Sight::Down(_)).then(|| "fatal: cannot start".to_owned());
        Look { sight, at: began + drag + LOOK, took: drag + LOOK, process, evidence }
    }

    /// Sends a command, and waits for its end as long as the connection lasts.
    async fn send(&self, id: &ServiceId, effect: &str, order: Order) -> Sent {
        tokio::time::sleep(LOOK).await;
        let now = self.clock.now();
        let gate = self.crash.gate(effect);
        match gate {
            Gate::Proceed | Gate::After => {}
            Gate::Before => self.crash.die().await,
            Gate::Late => {
                if let Some(lamp) = self.memory_now().lamps.get_mut(id) {
                    lamp.late.push((now + LATE, order));
                }
                return self.crash.die().await;
            }
        }
        if self.memory_now().is_dark(id, now) {
            return Sent::Nothing(Fault::new(UnreachableKind::TimedOut, ""));
        }
        let action_no = order.action_no;
        let answer = self.wait_for_lock(id, order).await;
        if gate == Gate::After {
            return self.crash.die().await;
        }
        let lands = match answer {
            Answer::Begun(lands) => lands,
            Answer::NoSuchHost => {
                return Sent::Nothing(Fault::new(UnreachableKind::Connect, "no such host"));
            }
            other @ (Answer::Before(_)
            | Answer::CutShort
            | Answer::Repeated
            | Answer::Overtaken(_)
            | Answer::Busy
            | Answer::ProcessChanged(_)
            | Answer::Untouched(_)) => return Sent::Answered(other),
        };
        if self.takes_a_drop(id) {
            tokio::time::sleep(DROP).await;
            return Sent::Lost;
        }
        self.clock.sleep_until(lands).await;
        self.answer_of(id, action_no)
    }

    async fn wait_for_lock(&self, id: &ServiceId, order: Order) -> Answer {
        let patience = self.clock.now() + LOCK_WAIT;
        loop {
            let now = self.clock.now();
            let answer = self.memory_now().execute(id, now, order.clone(), self.guard);
            if answer != Answer::Busy || now >= patience {
                return answer;
            }
            tokio::time::sleep(LOCK_TRY).await;
        }
    }

    fn takes_a_drop(&self, id: &ServiceId) -> bool {
        let mut memory = self.memory();
        let Some(host) = memory.lamps.get(id).map(|lamp| lamp.host.clone()) else { return false };
        match memory.drops.get_mut(&host) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The answer at the end of a command; none if the host went dark or lost its power before.
    fn answer_of(&self, id: &ServiceId, action_no: u64) -> Sent {
        let now = self.clock.now();
        let memory = self.memory_now();
        if memory.is_dark(id, now) {
            return Sent::Lost;
        }
        let ending = memory.lamps.get(id).and_then(|lamp| lamp.ending.clone());
        Sent::Ended(ending.filter(|(no, _)| *no == action_no).map(|(_, ending)| ending))
    }

    async fn carry_out(
        &self,
        spec: &ServiceSpec,
        order: RestartOrder<'_>,
        limit: Duration,
    ) -> RestartOutcome {
        let effect = format!("restart {} {}", spec.id, order.action_no);
        let order = Order {
            action_no: order.action_no,
            process: order.process.map(|process| process.as_str().to_owned()),
            act: Act::Restart,
            limit,
        };
        match self.send(&spec.id, &effect, order).await {
            Sent::Nothing(fault) => RestartOutcome::NotSent(fault),
            Sent::Lost => RestartOutcome::Lost(Fault::new(UnreachableKind::Dropped, "")),
            Sent::Ended(_) => RestartOutcome::Done(self.guard),
            Sent::Answered(answer) => match answer {
                Answer::Repeated | Answer::Before(_) | Answer::CutShort => RestartOutcome::AlreadyDone,
                Answer::Overtaken(seen) => RestartOutcome::Overtaken { seen },
                Answer::ProcessChanged(_) => RestartOutcome::ProcessChanged,
                Answer::Untouched(why) => RestartOutcome::Failed(why),
                Answer::Busy | Answer::Begun(_) | Answer::NoSuchHost => RestartOutcome::Busy,
            },
        }
    }

    async fn make_step(&self, spec: &ServiceSpec, order: UpdateOrder<'_>, limit: Duration) -> StepOutcome {
        let UpdateOrder { action_no, way, step, target, previous, process, .. } = order;
        let effect = format!("update {} {way:?} {step} {action_no}", spec.id);
        let order = Order {
            action_no,
            process: process.map(|process| process.as_str().to_owned()),
            act: Act::Step { way, step, target: target.clone(), previous: previous.clone() },
            limit: limit.min(step.limit()),
        };
        let lost = || StepOutcome::Lost(Fault::new(UnreachableKind::Dropped, ""));
        match self.send(&spec.id, &effect, order).await {
            Sent::Nothing(fault) => StepOutcome::NotSent(fault),
            Sent::Lost | Sent::Ended(None) => lost(),
            Sent::Ended(Some(ending)) | Sent::Answered(Answer::Before(ending)) => match ending {
                Ending::Done { run: no } => StepOutcome::Done { parts: self.guard, process: run(no) },
                Ending::Failed(why) => StepOutcome::Failed(why),
                Ending::Untouched(why) => StepOutcome::Untouched(why),
            },
            Sent::Answered(answer) => match answer {
                Answer::CutShort | Answer::Repeated => StepOutcome::Interrupted,
                Answer::Overtaken(seen) => StepOutcome::Overtaken { seen },
                Answer::ProcessChanged(no) => StepOutcome::ProcessChanged { process: run(no) },
                Answer::Untouched(why) => StepOutcome::Untouched(why),
                Answer::Busy | Answer::Begun(_) | Answer::NoSuchHost | Answer::Before(_) => StepOutcome::Busy,
            },
        }
    }

    async fn ask_standing(&self, spec: &ServiceSpec) -> Result<Standing, NoStanding> {
        tokio::time::sleep(LOOK).await;
        let now = self.clock.now();
        let memory = self.memory_now();
        if memory.is_dark(&spec.id, now) {
            return Err(NoStanding::Unreachable(Fault::new(UnreachableKind::TimedOut, "")));
        }
        let Some(lamp) = memory.lamps.get(&spec.id) else {
            return Err(NoStanding::Unreachable(Fault::new(UnreachableKind::Connect, "no such host")));
        };
        let Some(code) = &lamp.code else { return Err(NoStanding::Nothing("not a git checkout".to_owned())) };
        let obstacle = code.dirty.then(|| "`server.js` was changed by hand".to_owned());
        Ok(Standing { version: code.head.clone(), process: run(lamp.run), obstacle })
    }

    async fn ask_remote(&self, spec: &ServiceSpec, wanted: &Wanted) -> Result<Version, NotResolved> {
        tokio::time::sleep(LOOK).await;
        let now = self.clock.now();
        let memory = self.memory_now();
        if memory.is_dark(&spec.id, now) {
            return Err(NotResolved::Unreachable(Fault::new(UnreachableKind::TimedOut, "")));
        }
        let code = memory.lamps.get(&spec.id).and_then(|lamp| lamp.code.as_ref());
        if code.is_none_or(|code| now < code.remote_away_until) {
            return Err(NotResolved::NoRemote("the remote does not answer".to_owned()));
        }
        match wanted {
            Wanted::Version(version) => Ok(version.clone()),
            Wanted::Branch(branch) => memory
                .branches
                .get(branch)
                .cloned()
                .ok_or_else(|| NotResolved::Unknown(format!("the remote has no branch `{branch}`"))),
        }
    }
}

fn run(no: u64) -> Option<ProcessId> {
    ProcessId::try_from(format!("run-{no}")).ok()
}

impl Hosts for BoxFleet {
    fn look<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, limit: Duration) -> BoxFuture<'a, Look> {
        Box::pin(self.looked(spec, began, limit))
    }

    fn look_closely<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        began: Moment,
        limit: Duration,
    ) -> BoxFuture<'a, Look> {
        Box::pin(self.looked(spec, began, limit))
    }

    fn restart<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: RestartOrder<'a>,
        limit: Duration,
    ) -> BoxFuture<'a, RestartOutcome> {
        Box::pin(self.carry_out(spec, order, limit))
    }

    fn standing<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        _: Duration,
    ) -> BoxFuture<'a, Result<Standing, NoStanding>> {
        Box::pin(self.ask_standing(spec))
    }

    fn resolve<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        wanted: &'a Wanted,
        _: Duration,
    ) -> BoxFuture<'a, Result<Version, NotResolved>> {
        Box::pin(self.ask_remote(spec, wanted))
    }

    fn update<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: UpdateOrder<'a>,
        limit: Duration,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.make_step(spec, order, limit))
    }
}
