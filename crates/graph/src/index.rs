//! A graph by numbers: each name once, each pair of services once.

use std::collections::HashMap;

use crate::model::{CallEdge, CallGraph, CallNode};

/// The nodes and edges of a graph by their position.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    /// The name of each node: those of the graph first, then those that only edges name.
    pub(crate) names: Vec<&'a str>,
    /// What the graph contains of each node.
    pub(crate) nodes: Vec<Option<&'a CallNode>>,
    /// Each pair of services with its edges.
    pub(crate) pairs: Vec<Pair<'a>>,
}

/// The edges from one node to another.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) edges: Vec<&'a CallEdge>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(graph: &'a CallGraph) -> Self {
        let mut index = Self { names: Vec::new(), nodes: Vec::new(), pairs: Vec::new() };
        let mut numbers = HashMap::new();
        for node in &graph.nodes {
            index.node(&node.name, Some(node), &mut numbers);
        }
        let mut pairs = HashMap::new();
        for edge in &graph.edges {
            let from = index.node(&edge.from, None, &mut numbers);
            let to = index.node(&edge.to, None, &mut numbers);
            let pair = *pairs.entry((from, to)).or_insert(index.pairs.len());
            match index.pairs.get_mut(pair) {
                Some(pair) => pair.edges.push(edge),
                None => index.pairs.push(Pair { from, to, edges: vec![edge] }),
            }
        }
        index
    }

    fn node(
        &mut self,
        name: &'a str,
        node: Option<&'a CallNode>,
        numbers: &mut HashMap<&'a str, usize>,
    ) -> usize {
        *numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.nodes.push(node);
            self.names.len() - 1
        })
    }

    /// Returns the pairs that leave each node, by their position.
    pub(crate) fn outgoing(&self) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new(); self.names.len()];
        for (number, pair) in self.pairs.iter().enumerate() {
            found[pair.from].push(number);
        }
        found
    }

    /// Returns the nodes that no other node calls, in order.
    pub(crate) fn roots(&self) -> Vec<usize> {
        let mut called = vec![false; self.names.len()];
        for pair in self.pairs.iter().filter(|pair| pair.from != pair.to) {
            called[pair.to] = true;
        }
        (0..called.len()).filter(|node| !called[*node]).collect()
    }

    /// Whether a node is a client without a proxy.
    pub(crate) fn is_unmeshed(&self, node: usize) -> bool {
        self.nodes[node].is_some_and(|node| node.unmeshed)
    }

    /// Whether a node is called by clients outside of the graph.
    pub(crate) fn is_entrypoint(&self, node: usize) -> bool {
        self.nodes[node].is_some_and(|node| node.entrypoint)
    }
}
