//! What the loop does while this node is the active controller: decide, write, answer when it is
//! committed.

use naru_controller::raft::{Event, LogView as _};
use naru_controller::{RECORDS_PER_REQUEST_MAX, RecordAndVersion};
use naru_model::ErrorCode;

use super::super::journal::JournalError;
use super::{Active, BROKERS_SETTLE_MS, Deciding, Done, Driver, Job, WAITING_MAX, Waiting};

impl Driver {
    /// Decides, writes the records, and lets whoever asked wait for their commit.
    pub(super) fn decide(&mut self, job: Job) -> Result<(), JournalError> {
        let Some(active) = &mut self.active else {
            if self.leading && self.early.len() < WAITING_MAX {
                self.early.push_back(job);
            } else {
                (job.refuse)(ErrorCode::NotController);
            }
            return Ok(());
        };
        if self.waiting.len() >= WAITING_MAX {
            (job.refuse)(ErrorCode::RequestTimedOut);
            return Ok(());
        }
        let mut deciding = Deciding {
            controller: &active.controller,
            sessions: &mut active.sessions,
            now: self.clock.now(),
            next_offset: self.journal.end(),
            quorum: &self.quorum,
            raise_kraft_version: false,
        };
        let (records, done) = (job.run)(&mut deciding);
        let raise = deciding.raise_kraft_version;
        let written = self.write(&records);
        let code = match &written {
            Ok(()) if raise => self.raise_kraft_version()?,
            Ok(()) => None,
            // Whoever leads next is asked instead.
            Err(error) if error.is_full && self.has_successors() => Some(ErrorCode::NotController),
            Err(error) => Some(error.code),
        };
        // Writing can end this leadership. Another leader may put other records in these places:
        // their commit is not the commit of these.
        let code = code.or_else(|| self.active.is_none().then_some(ErrorCode::NotController));
        match code {
            Some(code) => done(Err(code)),
            None => self.wait(done, job.after_reaction),
        }
        if let Err(error) = &written
            && error.is_too_large()
        {
            // Whoever asked gets the code only. Nothing is written.
            tracing::warn!(%error, records = records.len(), "a metadata change was refused");
            return Ok(());
        }
        self.mind_full(written, false)
    }

    /// Makes a static quorum dynamic; what is in the way, if anything is.
    pub(super) fn raise_kraft_version(&mut self) -> Result<Option<ErrorCode>, JournalError> {
        let mut effects = Vec::new();
        let now = self.clock.now();
        match self.quorum.upgrade_kraft_version(now, &self.journal, &mut effects) {
            Ok(_) => {
                self.execute(effects)?;
                // What was not written cannot be waited for.
                let lost = self.no_room.as_ref().is_some_and(|no_room| no_room.control);
                Ok(lost.then_some(ErrorCode::KafkaStorageError))
            }
            Err(error) => Ok(Some((&error).into())),
        }
    }

    /// Writes what the controller has decided by itself. On a full disk it will decide so again.
    pub(super) fn write_or_wait(
        &mut self,
        records: &[RecordAndVersion],
    ) -> Result<(), JournalError> {
        let mut written = Ok(());
        for batch in records.chunks(RECORDS_PER_REQUEST_MAX) {
            written = written.and_then(|()| self.write_divided(batch));
        }
        self.mind_full(written, false)
    }

    /// Nobody asked for these as one: what is too large for one batch goes in several.
    fn write_divided(&mut self, records: &[RecordAndVersion]) -> Result<(), JournalError> {
        if self.active.is_none() {
            return Ok(()); // Writing can end this leadership.
        }
        match self.write_batch(records) {
            Err(error) if error.is_too_large() && records.len() > 1 => {
                let (first, second) = records.split_at(records.len() / 2);
                self.write_divided(first)?;
                self.write_divided(second)
            }
            written => written,
        }
    }

    /// Keeps an answer back until everything that is in the log now is committed.
    pub(super) fn wait(&mut self, done: Done, after_reaction: bool) {
        let end = self.journal.end();
        if after_reaction || self.quorum.high_watermark().is_none_or(|committed| committed < end) {
            self.waiting.push_back(Waiting { end, done, after_reaction });
            // With nothing new to commit, nothing else would release it.
            if self.quorum.high_watermark().is_some_and(|committed| committed >= end) {
                self.release(end);
            }
        } else {
            done(Ok(()));
        }
    }

    /// Appends records that the active controller has decided, and replays them into its state.
    /// What a client asks for is one batch (`RECORDS_PER_REQUEST_MAX`), or refused; what the
    /// controller decides by itself may be more, which is written one batch after another, as in
    /// Kafka.
    pub(super) fn write(&mut self, records: &[RecordAndVersion]) -> Result<(), JournalError> {
        for batch in records.chunks(RECORDS_PER_REQUEST_MAX) {
            self.write_batch(batch)?;
            if self.active.is_none() {
                break; // Writing can end this leadership.
            }
        }
        Ok(())
    }

    fn write_batch(&mut self, records: &[RecordAndVersion]) -> Result<(), JournalError> {
        let epoch = self.quorum.epoch();
        let place = self.journal.append_records(epoch, records)?;
        if let Some(active) = &mut self.active {
            for (index, record) in records.iter().enumerate() {
                // What the controller has decided it can replay; otherwise state and log differ.
                active.controller.replay(place.after(index), epoch, &record.record).map_err(
                    |error| {
                        JournalError::storage(&format!("a decision cannot be replayed: {error}"))
                    },
                )?;
            }
        }
        self.unsynced = true;
        self.tending.written_ms = self.clock.now();
        self.step(Event::Appended { log_end: place.after(records.len()) })
    }

    /// The first commit of this leader: all that earlier leaders committed is known now.
    pub(super) fn activate(&mut self) -> Result<(), JournalError> {
        let controller = self.committed.clone();
        let records = controller.decide_activate(&self.bootstrap, self.settings.bootstrap);
        let sessions = controller.start_sessions(self.settings.sessions, self.clock.now());
        let brokers: Vec<_> = controller
            .image()
            .brokers()
            .filter(|broker| !broker.fenced && broker.id != self.settings.node_id)
            .cloned()
            .collect();
        self.active = Some(Active { controller, sessions });
        self.internal_topics_due = Some(self.clock.now() + BROKERS_SETTLE_MS);
        let written = self.write(&records);
        if written.as_ref().is_err_and(|error| error.is_full) {
            // Not active without them; somebody else is to lead, or this node again when it can.
            self.active = None;
            return self.mind_full(written, true);
        }
        written?;
        self.tell_leadership();
        // A broker that went down together with the last controller is noticed at once.
        self.transport.probe_brokers(&brokers);
        while let Some(job) = self.early.pop_front() {
            self.decide(job)?;
        }
        Ok(())
    }

    pub(super) fn step_down(&mut self) {
        self.active = None;
        self.leading = false;
        for waiting in std::mem::take(&mut self.waiting) {
            // It may still be committed by the next leader; whoever asked looks again.
            (waiting.done)(Err(ErrorCode::NotController));
        }
        for job in std::mem::take(&mut self.early) {
            (job.refuse)(ErrorCode::NotController);
        }
        self.tell_leadership();
    }
}
