//! Rows of boxes, and lanes between the boxes for edges that cross a row.

use std::collections::{HashMap, HashSet};

/// The rows of a graph and the way of each edge through them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) slots: Vec<Slot>,
    /// The slots of each row from left to right.
    pub(super) rows: Vec<Vec<usize>>,
    /// The slots that each edge passes, from the upper to the lower end; empty for an edge from a node to itself.
    pub(super) ways: Vec<Vec<usize>>,
    /// Pairs of slots in consecutive rows that at least one edge connects, the upper first, each once.
    pub(super) links: Vec<(usize, usize)>,
    pub(super) slot_of_node: Vec<usize>,
}

/// A place in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) row: usize,
    /// Whether it is a box; otherwise it is a lane, for edges on their way to a lower row.
    pub(super) is_box: bool,
}

impl Rows {
    /// Splits layers into rows of at most `length` boxes, and adds the lanes that the edges need. Edges from the same node share
    /// lanes, those against the direction of the calls have lanes apart.
    pub(super) fn new(
        layers: &[Vec<usize>],
        length: usize,
        edges: &[(usize, usize)],
        is_backward: &[bool],
    ) -> Self {
        let nodes = layers.iter().map(Vec::len).sum();
        let mut found = Self {
            slots: Vec::new(),
            rows: Vec::new(),
            ways: vec![Vec::new(); edges.len()],
            links: Vec::new(),
            slot_of_node: vec![0; nodes],
        };
        for layer in layers {
            // Rows of equal length look better than a full one and a rest.
            let count = layer.len().div_ceil(length.max(1)).max(1);
            for row in layer.chunks(layer.len().div_ceil(count).max(1)) {
                found.rows.push(Vec::new());
                for &node in row {
                    found.slot_of_node[node] = found.add(found.rows.len() - 1, true);
                }
            }
        }
        let mut lanes = HashMap::new();
        let mut links = HashSet::new();
        for (number, &(upper, lower)) in edges.iter().enumerate().filter(|(_, (upper, lower))| upper != lower)
        {
            let (begin, end) = (found.slot_of_node[upper], found.slot_of_node[lower]);
            let mut way = vec![begin];
            for row in found.slots[begin].row + 1..found.slots[end].row {
                let key = (upper, is_backward[number], row);
                way.push(*lanes.entry(key).or_insert_with(|| found.add(row, false)));
            }
            way.push(end);
            for pair in way.windows(2) {
                if links.insert((pair[0], pair[1])) {
                    found.links.push((pair[0], pair[1]));
                }
            }
            found.ways[number] = way;
        }
        found
    }

    fn add(&mut self, row: usize, is_box: bool) -> usize {
        self.slots.push(Slot { row, is_box });
        self.rows[row].push(self.slots.len() - 1);
        self.slots.len() - 1
    }

    /// Returns for each slot those that it is linked to in the row above and in the row below.
    pub(super) fn neighbors(&self) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
        let mut above = vec![Vec::new(); self.slots.len()];
        let mut below = vec![Vec::new(); self.slots.len()];
        for &(upper, lower) in &self.links {
            above[lower].push(upper);
            below[upper].push(lower);
        }
        (above, below)
    }
}
