//! Horizontal positions of boxes, lanes and the ends of edges.

use std::collections::HashMap;

use super::MARGIN;
use super::rows::Rows;

/// The space between two boxes.
const BETWEEN: f64 = 12.0;
/// The width of a lane.
const LANE: f64 = 9.0;
/// How often positions are moved towards their neighbors.
const ROUNDS: usize = 8;
/// The largest distance of two ends of edges at a box.
const PORT: f64 = 14.0;

/// Returns the center of each slot and the width of the picture.
pub(super) fn positions(rows: &Rows, box_width: f64) -> (Vec<f64>, f64) {
    let half = |slot: usize| {
        let width = if rows.slots[slot].is_box { box_width + BETWEEN } else { LANE };
        width / 2.0
    };
    let row_width = |row: &Vec<usize>| row.iter().map(|slot| 2.0 * half(*slot)).sum::<f64>();
    let inner = rows.rows.iter().map(row_width).fold(box_width + BETWEEN, f64::max);
    let width = inner + 2.0 * MARGIN - BETWEEN;
    let bounds = (MARGIN - BETWEEN / 2.0, width - MARGIN + BETWEEN / 2.0);
    let mut positions = vec![0.0; rows.slots.len()];
    for row in &rows.rows {
        let mut x = bounds.0 + (inner - row_width(row)) / 2.0;
        for &slot in row {
            positions[slot] = x + half(slot);
            x += 2.0 * half(slot);
        }
    }
    let (above, below) = rows.neighbors();
    for round in 0..ROUNDS {
        let is_down = round.is_multiple_of(2);
        let neighbors = if is_down { &above } else { &below };
        let order: Vec<usize> =
            if is_down { (0..rows.rows.len()).collect() } else { (0..rows.rows.len()).rev().collect() };
        for row in order {
            let slots = &rows.rows[row];
            let wanted: Vec<f64> = slots.iter().map(|slot| mean(*slot, neighbors, &positions)).collect();
            let halves: Vec<f64> = slots.iter().map(|slot| half(*slot)).collect();
            for (slot, x) in slots.iter().zip(resolve(&wanted, &halves, bounds)) {
                positions[*slot] = x;
            }
        }
    }
    (positions, width)
}

fn mean(slot: usize, neighbors: &[Vec<usize>], positions: &[f64]) -> f64 {
    let all = &neighbors[slot];
    if all.is_empty() {
        return positions[slot];
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of neighbors")]
    let count = all.len() as f64;
    all.iter().map(|neighbor| positions[*neighbor]).sum::<f64>() / count
}

/// Returns positions near the wanted ones at which nothing overlaps or leaves the bounds, in the same order. It is the middle of two
/// such solutions, one that moves to the right where there is no room and one that moves to the left.
fn resolve(wanted: &[f64], halves: &[f64], (left, right): (f64, f64)) -> Vec<f64> {
    let count = wanted.len();
    let mut rightward = wanted.to_vec();
    let mut leftward = wanted.to_vec();
    let push_right = |positions: &mut [f64]| {
        let mut least = left;
        for at in 0..count {
            positions[at] = positions[at].max(least + halves[at]);
            least = positions[at] + halves[at];
        }
    };
    let push_left = |positions: &mut [f64]| {
        let mut most = right;
        for at in (0..count).rev() {
            positions[at] = positions[at].min(most - halves[at]);
            most = positions[at] - halves[at];
        }
    };
    push_right(&mut rightward);
    push_left(&mut rightward);
    push_left(&mut leftward);
    push_right(&mut leftward);
    rightward.iter().zip(&leftward).map(|(a, b)| f64::midpoint(*a, *b)).collect()
}

/// Returns where each link leaves the upper and reaches the lower slot. At a box, the ends are in the order of the other ends.
pub(super) fn ports(rows: &Rows, positions: &[f64], box_width: f64) -> HashMap<(usize, usize), (f64, f64)> {
    let (above, below) = rows.neighbors();
    let spread = |slot: usize, others: &[usize]| {
        let mut ordered = others.to_vec();
        ordered.sort_by(|a, b| positions[*a].total_cmp(&positions[*b]));
        let is_box = rows.slots[slot].is_box;
        #[expect(clippy::cast_precision_loss, reason = "a number of links")]
        let float = |number: usize| number as f64;
        let gaps = float(ordered.len().saturating_sub(1));
        let step = if is_box && gaps > 0.0 { PORT.min((box_width - 24.0) / gaps) } else { 0.0 };
        let x = move |at: usize| positions[slot] + (float(at) - gaps / 2.0) * step;
        ordered.into_iter().enumerate().map(move |(at, other)| (other, x(at))).collect::<Vec<_>>()
    };
    let mut found = HashMap::new();
    for slot in 0..rows.slots.len() {
        for (other, x) in spread(slot, &below[slot]) {
            found.entry((slot, other)).or_insert((0.0, 0.0)).0 = x;
        }
        for (other, x) in spread(slot, &above[slot]) {
            found.entry((other, slot)).or_insert((0.0, 0.0)).1 = x;
        }
    }
    found
}
