// Places the services of a call graph in layers: callers first. Any graph is accepted, also with cycles.

/** @typedef {{name: string, x: number, y: number}} Place */

/**
 * Returns the layer of each node: one more than that of its deepest caller. Calls that close a cycle do not count.
 * @param {string[]} names
 * @param {{from: string, to: string}[]} edges
 * @returns {Map<string, number>}
 */
export function layers(names, edges) {
  /** @type {Map<string, string[]>} */
  const callees = new Map(names.map((name) => [name, []]));
  const called = new Set();
  for (const { from, to } of edges) {
    if (from === to) continue;
    callees.get(from)?.push(to);
    called.add(to);
  }
  /** @type {Map<string, number>} */
  const layer = new Map();
  const order = reverseOrder([...names.filter((name) => !called.has(name)), ...names], callees);
  for (const name of order.names) layer.set(name, 0);
  for (const name of order.names) {
    for (const callee of callees.get(name) ?? []) {
      if (order.closing.has(`${name}\u0000${callee}`)) continue;
      layer.set(callee, Math.max(layer.get(callee) ?? 0, (layer.get(name) ?? 0) + 1));
    }
  }
  return layer;
}

/**
 * Returns the names so that callers come first, and the calls that close a cycle. Without recursion, as graphs may be deep.
 * @param {string[]} starts
 * @param {Map<string, string[]>} callees
 */
function reverseOrder(starts, callees) {
  const done = new Set();
  const open = new Set();
  const closing = new Set();
  /** @type {string[]} */
  const finished = [];
  for (const start of starts) {
    if (done.has(start)) continue;
    const stack = [{ name: start, next: 0 }];
    open.add(start);
    while (stack.length) {
      const top = stack[stack.length - 1];
      const callee = (callees.get(top.name) ?? [])[top.next++];
      if (callee === undefined) {
        stack.pop();
        open.delete(top.name);
        done.add(top.name);
        finished.push(top.name);
      } else if (open.has(callee)) closing.add(`${top.name}\u0000${callee}`);
      else if (!done.has(callee)) {
        open.add(callee);
        stack.push({ name: callee, next: 0 });
      }
    }
  }
  return { names: finished.reverse(), closing };
}

/**
 * Returns for each service with several callers its calls from layers before its own, in the order of `edges`.
 * @param {string[]} names
 * @param {{from: string, to: string}[]} edges
 * @returns {{shared: Map<string, string[]>, layer: Map<string, number>}}
 */
export function sharedServices(names, edges) {
  const layer = layers(names, edges);
  /** @type {Map<string, string[]>} */
  const shared = new Map();
  for (const name of names) {
    const callers = edges.filter(({ from, to }) => to === name && (layer.get(from) ?? 0) < (layer.get(name) ?? 0)).map(({ from }) => from);
    if (callers.length > 1) shared.set(name, callers);
  }
  return { shared, layer };
}

/**
 * Returns the centre of each node and the size of the picture.
 * @param {string[]} names
 * @param {{from: string, to: string}[]} edges
 * @param {{along: number, across: number, margin: [number, number], vertical: boolean, extra?: Map<number, number>}} spacing `extra` is room before a layer
 */
export function arrange(names, edges, spacing) {
  const layer = layers(names, edges);
  const depth = Math.max(0, ...layer.values());
  /** @type {string[][]} */
  const rows = Array.from({ length: depth + 1 }, () => []);
  for (const name of names) rows[layer.get(name) ?? 0].push(name);
  const widest = Math.max(1, ...rows.map((row) => row.length));
  /** @type {Map<string, number>} */
  const across = new Map();
  for (const row of rows) {
    const wish = (/** @type {string} */ name) => {
      const callers = edges.filter((edge) => edge.to === name && across.has(edge.from));
      if (!callers.length) return Infinity;
      return callers.reduce((sum, edge) => sum + (across.get(edge.from) ?? 0), 0) / callers.length;
    };
    const wishes = new Map(row.map((name) => [name, wish(name)]));
    row.sort((a, b) => {
      const [x, y] = [wishes.get(a) ?? 0, wishes.get(b) ?? 0];
      return x === y ? 0 : x - y;
    });
    row.forEach((name, index) => across.set(name, index + (widest - row.length) / 2));
  }
  const starts = [spacing.margin[0]];
  for (let at = 1; at <= depth; at += 1) starts.push(starts[at - 1] + spacing.along + (spacing.extra?.get(at) ?? 0));
  /** @type {Map<string, Place>} */
  const places = new Map();
  for (const name of names) {
    const a = starts[layer.get(name) ?? 0];
    const c = spacing.margin[1] + (across.get(name) ?? 0) * spacing.across;
    places.set(name, spacing.vertical ? { name, x: c, y: a } : { name, x: a, y: c });
  }
  const length = starts[depth] + spacing.margin[0];
  const breadth = 2 * spacing.margin[1] + (widest - 1) * spacing.across;
  return { places, width: spacing.vertical ? breadth : length, height: spacing.vertical ? length : breadth };
}
