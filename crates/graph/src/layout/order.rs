//! The order within layers and rows, so that few edges cross.

use super::rows::Rows;

/// How often all rows are ordered by their neighbors. The number of crossings hardly falls after a few rounds.
const ROUNDS: usize = 6;

/// The most links between two rows for which crossings are counted: the count takes the square of their number.
const MOST_LINKS: usize = 1500;

/// Orders the nodes of each layer by the mean place of their neighbors in other layers. Layers are split into rows afterwards, so
/// nodes with the same clients come into the same row.
pub(super) fn layers(layers: &[Vec<usize>], edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let nodes = layers.iter().map(Vec::len).sum();
    let mut ordered = layers.to_vec();
    let mut above = vec![Vec::new(); nodes];
    let mut below = vec![Vec::new(); nodes];
    for &(upper, lower) in edges.iter().filter(|(upper, lower)| upper != lower) {
        above[lower].push(upper);
        below[upper].push(lower);
    }
    let mut places = vec![0.0; nodes];
    ordered.iter().for_each(|layer| number(layer, &mut places, true));
    for _ in 0..ROUNDS {
        for layer in &mut ordered {
            sort(layer, &above, &mut places, true);
        }
        for layer in ordered.iter_mut().rev() {
            sort(layer, &below, &mut places, true);
        }
    }
    // The last round goes down: what is read first is in the order of its clients.
    for layer in &mut ordered {
        sort(layer, &above, &mut places, true);
    }
    ordered
}

/// Orders the slots of each row by the mean place of their neighbors, and keeps the order with the fewest crossings.
pub(super) fn rows(rows: &mut Rows) {
    let (above, below) = rows.neighbors();
    let mut places = vec![0.0; rows.slots.len()];
    rows.rows.iter().for_each(|row| number(row, &mut places, false));
    let mut best = rows.rows.clone();
    let mut fewest = crossings(rows, &places);
    for _ in 0..ROUNDS {
        for row in &mut rows.rows {
            sort(row, &above, &mut places, false);
        }
        let down = crossings(rows, &places);
        if down < fewest {
            (best, fewest) = (rows.rows.clone(), down);
        }
        for row in rows.rows.iter_mut().rev() {
            sort(row, &below, &mut places, false);
        }
        let up = crossings(rows, &places);
        if up < fewest {
            (best, fewest) = (rows.rows.clone(), up);
        }
    }
    rows.rows = best;
}

/// Orders items by the mean place of their neighbors; those without keep their place.
fn sort(items: &mut [usize], neighbors: &[Vec<usize>], places: &mut [f64], is_relative: bool) {
    let mean = |item: usize| {
        let all = &neighbors[item];
        if all.is_empty() {
            return places[item];
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of neighbors")]
        let count = all.len() as f64;
        all.iter().map(|neighbor| places[*neighbor]).sum::<f64>() / count
    };
    let mut keyed: Vec<(f64, usize)> = items.iter().map(|item| (mean(*item), *item)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (item, (_, sorted)) in items.iter_mut().zip(keyed) {
        *item = sorted;
    }
    number(items, places, is_relative);
}

/// Writes the places of ordered items: from 0 to 1 to compare layers of different lengths, otherwise around 0.
fn number(items: &[usize], places: &mut [f64], is_relative: bool) {
    #[expect(clippy::cast_precision_loss, reason = "a number of boxes")]
    let float = |number: usize| number as f64;
    for (position, item) in items.iter().enumerate() {
        let centered = float(position) + 0.5 - float(items.len()) / 2.0;
        places[*item] = if is_relative { centered / float(items.len()) } else { centered };
    }
}

/// Returns how many pairs of links cross. Two links cross if they lie between the same rows in different orders.
fn crossings(rows: &Rows, places: &[f64]) -> usize {
    let mut between: Vec<Vec<(f64, f64)>> = vec![Vec::new(); rows.rows.len()];
    for &(upper, lower) in &rows.links {
        between[rows.slots[upper].row].push((places[upper], places[lower]));
    }
    let count = |links: Vec<(f64, f64)>| {
        if links.len() > MOST_LINKS {
            return 0;
        }
        let crosses = |a: &(f64, f64), b: &(f64, f64)| (a.0 - b.0) * (a.1 - b.1) < 0.0;
        let pairs = links.iter().enumerate();
        pairs.map(|(at, a)| links[at + 1..].iter().filter(|b| crosses(a, b)).count()).sum::<usize>()
    };
    between.into_iter().map(count).sum()
}
