//! Cuts cycles and finds the layer of each node.

/// Returns for each edge whether it goes back to a node from which its client is reached. Without these edges there is no cycle,
/// except of a node that calls itself.
pub(super) fn backward(nodes: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let mut outgoing = vec![Vec::new(); nodes];
    let mut is_called = vec![false; nodes];
    for (number, &(from, to)) in edges.iter().enumerate() {
        if from != to {
            outgoing[from].push(number);
            is_called[to] = true;
        }
    }
    let mut found = vec![false; edges.len()];
    let mut is_done = vec![false; nodes];
    let mut is_on_path = vec![false; nodes];
    let starts = (0..nodes).filter(|node| !is_called[*node]).chain(0..nodes);
    for start in starts {
        // A stack, not recursion: a chain may have thousands of nodes.
        let mut path = vec![(start, 0)];
        if is_done[start] {
            continue;
        }
        is_on_path[start] = true;
        while let Some((node, position)) = path.pop() {
            let Some(&edge) = outgoing[node].get(position) else {
                is_on_path[node] = false;
                is_done[node] = true;
                continue;
            };
            path.push((node, position + 1));
            let to = edges[edge].1;
            if is_on_path[to] {
                found[edge] = true;
            } else if !is_done[to] {
                is_on_path[to] = true;
                path.push((to, 0));
            }
        }
    }
    found
}

/// Returns the nodes of each layer: a node's layer is the length of the longest path to it. The edges have no cycle, except of nodes
/// to themselves.
pub(super) fn layers(nodes: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut outgoing = vec![Vec::new(); nodes];
    let mut incoming = vec![0_usize; nodes];
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        outgoing[from].push(to);
        incoming[to] += 1;
    }
    let mut layer = vec![0; nodes];
    let mut open: Vec<usize> = (0..nodes).filter(|node| incoming[*node] == 0).collect();
    while let Some(node) = open.pop() {
        for &to in &outgoing[node] {
            layer[to] = layer[to].max(layer[node] + 1);
            incoming[to] -= 1;
            if incoming[to] == 0 {
                open.push(to);
            }
        }
    }
    let count = layer.iter().max().map_or(0, |last| last + 1);
    let mut found = vec![Vec::new(); count];
    for (node, layer) in layer.into_iter().enumerate() {
        found[layer].push(node);
    }
    found
}
