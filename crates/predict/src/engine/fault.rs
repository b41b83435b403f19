//! Faults begin and end.

use super::Engine;
use super::compile::nanos;
use super::event::Event;
use crate::model::FaultKind;

impl Engine<'_> {
    pub(super) fn schedule_faults(&mut self) {
        for (index, fault) in self.model.faults.iter().enumerate() {
            let index = index as u32;
            self.queue.push(nanos(fault.at), Event::Fault { index, begins: true });
            self.queue.push(nanos(fault.ends()), Event::Fault { index, begins: false });
        }
    }

    pub(super) fn fault(&mut self, index: u32, begins: bool) {
        match self.model.faults[index as usize].kind {
            FaultKind::Down { service } => {
                let down = &mut self.nodes[service].down;
                *down = if begins { *down + 1 } else { *down - 1 };
            }
            FaultKind::Slow { service, factor } => {
                self.nodes[service].slow *= if begins { factor } else { 1.0 / factor };
            }
            FaultKind::Errors { service, errors } => {
                self.nodes[service].errors =
                    if begins { errors } else { self.model.services[service].errors };
                self.replicas[service].iter_mut().for_each(|replica| replica.block = (0, 0));
            }
            // The arrivals know the rate of every time.
            FaultKind::Load { .. } => {}
        }
    }
}
