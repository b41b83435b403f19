//! Scripts: groups one after the other, the steps of a group at the same time.

use super::Engine;
use super::compile::Leaf;
use super::event::Event;
use super::slab::Key;
use super::state::Parent;

impl Engine<'_> {
    /// Runs a job's next groups until one has to wait.
    pub(super) fn run_group(&mut self, key: Key) {
        loop {
            let job = &mut self.jobs[key];
            let (service, client) = (self.policies[job.edge as usize].to, job.endpoint as usize);
            let group = job.group as usize;
            let Some(steps) = self.nodes[service].groups.get(group).map(Vec::len) else {
                return self.end_job(key, 200);
            };
            // One more than there are steps, so that steps that end at once do not end the group while it starts.
            job.pending = steps as u32 + 1;
            for step in 0..steps {
                self.start_step(key, service, client, self.nodes[service].groups[group][step]);
            }
            if !self.is_group_done(key) {
                return;
            }
        }
    }

    fn start_step(&mut self, key: Key, service: usize, client: usize, step: Leaf) {
        match step {
            Leaf::Sleep(time) => self.schedule(self.now + time, Event::Slept(key)),
            Leaf::Call { edge, optional, probability } => {
                if self.nodes[service].random.chance(probability) {
                    self.start_call(edge, client, Parent::Job { job: key, optional });
                } else {
                    self.jobs[key].pending -= 1;
                }
            }
        }
    }

    /// A step of a job ended. The status of the first failed mandatory call becomes the job's.
    pub(super) fn step_done(&mut self, key: Key, optional: bool, status: u16) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        if status >= 400 && !optional && job.status == 0 {
            job.status = status;
        }
        if self.is_group_done(key) {
            self.run_group(key);
        }
    }

    /// Counts one of the group's parts as ended. Returns whether the next group may begin; after a failure the job ends.
    fn is_group_done(&mut self, key: Key) -> bool {
        let Some(job) = self.jobs.get_mut(key) else { return false };
        job.pending -= 1;
        if job.pending > 0 {
            return false;
        }
        let status = job.status;
        if status != 0 {
            self.end_job(key, status);
            return false;
        }
        job.group += 1;
        true
    }
}
