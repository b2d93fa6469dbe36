//! The model: what each part knows, what it may do next, and the laws.

/// Webhooks, and the events that their items are: the second brings one of the first again.
const WEBHOOKS: [&[usize]; 2] = [&[0, 1], &[1]];
const EVENTS: usize = 2;
/// Times that the provider sends a webhook.
const SENDS_MAX: u8 = 2;
/// Messages of the log: the events, and copies that the duplicate window did not keep out.
const LOG_MAX: usize = 3;

/// A step done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mutation {
    /// The position is written first, the state after it.
    PositionBeforeState,
    /// Readers see a batch that the device does not have.
    VisibleBeforeSync,
    /// 200 when the log has the messages in memory.
    AckBeforeLog,
    /// 200 when the first item is acknowledged.
    AckAfterFirstItem,
    /// The broker delivers what it has not synced.
    ReadUnsynced,
    /// An event met again takes effect again.
    CountTwice,
    /// A store folded anew takes the live one's place before it is as far.
    SwapUnfinished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Sending {
    #[default]
    Idle,
    /// The door works on it; a bit for each item that the log acknowledged.
    Door(u8),
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Webhook {
    sends: u8,
    sending: Sending,
    /// It was acknowledged once, whatever came later.
    ever: bool,
}

/// What a store says: how often each event took effect, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Store {
    effects: [u8; EVENTS],
    position: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pipeline {
    mutation: Option<Mutation>,
    faults_left: u8,
    webhooks: [Webhook; 2],
    /// Events in the order of the log, and how many of them the device has.
    log: Vec<usize>,
    log_synced: usize,
    /// The projector's store on its device.
    device: Store,
    /// The same in memory: ahead of the device during a commit.
    memory: Store,
    /// Parts of a commit that the device may have when the state and the position are written apart.
    half: Option<Store>,
    /// What readers see.
    shown: Store,
    /// The furthest position that was ever shown.
    shown_max: usize,
    /// A store folded anew, beside the live one.
    beside: Option<Store>,
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Send(usize),
    /// The door publishes an item.
    Publish {
        webhook: usize,
        item: usize,
    },
    LogSyncs,
    /// The log tells the door of an item that is on its device.
    Acknowledge {
        webhook: usize,
        item: usize,
    },
    Answer(usize),
    DoorDies,
    BrokerDies,
    BrokerLosesPower,
    Apply,
    HalfSync,
    Sync,
    Show,
    ProjectorDies,
    FoldAnew,
    Swap,
}

impl Pipeline {
    pub(crate) fn new(faults: u8, mutation: Option<Mutation>) -> Self {
        Self {
            mutation,
            faults_left: faults,
            webhooks: Default::default(),
            log: Vec::new(),
            log_synced: 0,
            device: Store::default(),
            memory: Store::default(),
            half: None,
            shown: Store::default(),
            shown_max: 0,
            beside: None,
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn in_log(&self, event: usize, synced: bool) -> bool {
        let len = if synced { self.log_synced } else { self.log.len() };
        self.log[..len].contains(&event)
    }

    /// How far the log can be read.
    fn readable(&self) -> usize {
        if self.is(Mutation::ReadUnsynced) { self.log.len() } else { self.log_synced }
    }

    fn folded(&self, store: Store, mutated: bool) -> Store {
        let event = self.log[store.position];
        let mut effects = store.effects;
        if effects[event] == 0 || (mutated && self.is(Mutation::CountTwice)) {
            effects[event] += 1;
        }
        Store { effects, position: store.position + 1 }
    }

    /// The fold of the log up to a position, as it must be.
    fn expected(&self, position: usize) -> Option<Store> {
        let mut store = Store::default();
        while store.position < position {
            self.log.get(store.position)?;
            store = self.folded(store, false);
        }
        Some(store)
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (w, webhook) in self.webhooks.iter().enumerate() {
            match webhook.sending {
                Sending::Idle | Sending::Acknowledged if webhook.sends < SENDS_MAX => {
                    steps.push(Step::Send(w))
                }
                Sending::Door(acks) => self.door_steps(w, acks, &mut steps),
                Sending::Idle | Sending::Acknowledged => {}
            }
        }
        if self.log_synced < self.log.len() {
            steps.push(Step::LogSyncs);
        }
        if self.memory.position < self.readable() && self.memory == self.device && self.half.is_none() {
            steps.push(Step::Apply);
        }
        if self.memory != self.device {
            if self.is(Mutation::PositionBeforeState) && self.half.is_none() {
                steps.push(Step::HalfSync);
            } else {
                steps.push(Step::Sync);
            }
        }
        let showable = if self.is(Mutation::VisibleBeforeSync) { self.memory } else { self.device };
        if showable != self.shown && (self.memory == self.device || self.is(Mutation::VisibleBeforeSync)) {
            steps.push(Step::Show);
        }
        self.rebuild_steps(&mut steps);
        if self.faults_left > 0 {
            steps.extend([Step::DoorDies, Step::BrokerDies, Step::BrokerLosesPower, Step::ProjectorDies]);
        }
        steps
    }

    fn door_steps(&self, w: usize, acks: u8, steps: &mut Vec<Step>) {
        for (item, event) in WEBHOOKS[w].iter().enumerate() {
            if acks & (1 << item) != 0 {
                continue;
            }
            // The window may know it, at any distance or not at all: correctness must not depend on it.
            if self.log.len() < LOG_MAX {
                steps.push(Step::Publish { webhook: w, item });
            }
            let synced = !self.is(Mutation::AckBeforeLog);
            if self.in_log(*event, synced) {
                steps.push(Step::Acknowledge { webhook: w, item });
            }
        }
        let all = (1 << WEBHOOKS[w].len()) - 1;
        if acks == all || (acks != 0 && self.is(Mutation::AckAfterFirstItem)) {
            steps.push(Step::Answer(w));
        }
    }

    fn rebuild_steps(&self, steps: &mut Vec<Step>) {
        let beside = self.beside.unwrap_or_default();
        if beside.position < self.device.position {
            steps.push(Step::FoldAnew);
        }
        let as_far = beside.position == self.device.position || self.is(Mutation::SwapUnfinished);
        if self.beside.is_some() && as_far && self.memory == self.device {
            steps.push(Step::Swap);
        }
    }

    pub(crate) fn after(&self, step: Step) -> Self {
        let mut next = self.clone();
        match step {
            Step::Send(w) => {
                next.webhooks[w].sends += 1;
                next.webhooks[w].sending = Sending::Door(0);
            }
            Step::Publish { webhook, item } => next.log.push(WEBHOOKS[webhook][item]),
            Step::LogSyncs => next.log_synced = next.log.len(),
            Step::Acknowledge { webhook, item } => {
                if let Sending::Door(acks) = &mut next.webhooks[webhook].sending {
                    *acks |= 1 << item;
                }
            }
            Step::Answer(w) => {
                next.webhooks[w].sending = Sending::Acknowledged;
                next.webhooks[w].ever = true;
            }
            Step::Apply => next.memory = next.folded(next.memory, true),
            // The position alone reaches the device.
            Step::HalfSync => {
                next.half = Some(next.memory);
                next.device.position = next.memory.position;
            }
            Step::Sync => {
                next.device = next.memory;
                next.half = None;
            }
            Step::Show => next.show(),
            Step::FoldAnew => next.beside = Some(next.folded(next.beside.unwrap_or_default(), true)),
            Step::Swap => {
                next.device = next.beside.take().unwrap_or_default();
                next.memory = next.device;
                next.show();
            }
            Step::DoorDies | Step::BrokerDies | Step::BrokerLosesPower | Step::ProjectorDies => {
                next.fault(step)
            }
        }
        next
    }

    fn show(&mut self) {
        self.shown = if self.is(Mutation::VisibleBeforeSync) { self.memory } else { self.device };
        self.shown_max = self.shown_max.max(self.shown.position);
    }

    fn fault(&mut self, step: Step) {
        self.faults_left -= 1;
        match step {
            Step::ProjectorDies => {
                self.memory = self.device;
                self.half = None;
                // What readers see next is what the device has.
                self.shown = self.device;
            }
            Step::BrokerLosesPower => self.log.truncate(self.log_synced),
            // The operating system keeps what a killed process wrote.
            Step::BrokerDies => self.log_synced = self.log.len(),
            _ => {}
        }
        if step != Step::ProjectorDies {
            // No answer, or a 503: the provider may send it again.
            for webhook in &mut self.webhooks {
                if matches!(webhook.sending, Sending::Door(_)) {
                    webhook.sending = Sending::Idle;
                }
            }
        }
    }

    /// The laws, in every state.
    pub(crate) fn holds(&self) -> Result<(), String> {
        for (w, webhook) in self.webhooks.iter().enumerate() {
            if webhook.ever && !WEBHOOKS[w].iter().all(|event| self.in_log(*event, true)) {
                return Err(format!("law 1: webhook {w} was acknowledged, its items are not all in the log"));
            }
        }
        for (what, store) in [("on the device", self.device), ("shown", self.shown)] {
            let Some(expected) = self.expected(store.position) else {
                return Err(format!("law 11: the state {what} is ahead of the log"));
            };
            if store.effects.iter().any(|effect| *effect > 1) {
                return Err(format!("law 6: an event took effect twice in the state {what}"));
            }
            // Half a commit is what a reader must never meet; nor may it be what a restart begins with.
            if store != expected && self.half.is_none() {
                return Err(format!("law 5: the state {what} is not the one of its position"));
            }
        }
        if self.shown.position < self.shown_max {
            let law = if self.is(Mutation::SwapUnfinished) { "law 9" } else { "law 5" };
            return Err(format!(
                "{law}: readers were shown {} and are shown {}",
                self.shown_max, self.shown.position
            ));
        }
        Ok(())
    }
}
