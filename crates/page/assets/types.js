// The types of what the server sends: crates/experiment/src/event (events) and crates/page/src/control.rs (state, details).

/** @typedef {{p50_ms: number, p95_ms: number, p99_ms: number, max_ms: number}} Quantiles */
/** @typedef {{mean: number, low: number, high: number}} Interval */
/** @typedef {{offered: number, requests: number, succeeded: number, in_time: number, statuses?: Object<string, number>, outcomes?: Object<string, number>}} Counts */
/** @typedef {{from: string, to: string, requests: number, succeeded: number, attempts: number, attempts_succeeded: number, attempts_mutual_tls?: number, statuses?: Object<string, number>, outcomes?: Object<string, number>, latency?: Quantiles}} EdgeCounts */
/** @typedef {{service: string, received: number, finished: number, wasted: number, queue_full: number, probes: number}} ServiceCounts */
/** @typedef {{start_ms: number, latency_ms: number, status: number, succeeded: boolean, attempts?: number}} Sample */
/** @typedef {{step: string, text?: string, question?: string, target?: string, offered_per_second: number, duration_ms: number, trigger_end_ms?: number, watched?: string}} StepStarted */
/** @typedef {{step: string, success?: Interval, amplification?: Interval, class?: string, text?: string}} Prediction */
/** @typedef {{duration_ms: number, load: Counts, latencies?: [number, number][], edges?: EdgeCounts[], services?: ServiceCounts[]}} Totals */
/** @typedef {{condition: string, variant?: string, verdict: string, measured: string}} ConditionResult */
/** @typedef {{version: number, time: string, elapsed_ms: number, variant?: string, type: string}} EventHead */
/** @typedef {EventHead & any} RunEvent */
/** @typedef {{running: boolean, rate: number, target: string, command: string}} LoadState */
/** @typedef {{service: string, percent: number, command: string}} FaultState */
/** @typedef {{name: string, title: string, on: boolean, apply: string, remove: string}} PolicyState */
/** @typedef {{name: string, title: string, seconds: number, command: string, short: ?{seconds: number, command: string}}} ScenarioState */
/** @typedef {{name: string, title: string, text: ?string, question: ?string, note: ?string, why: ?string, seconds: number}} StepState */
/** @typedef {{name: string, title: string, steps: StepState[], current: number, waiting: boolean, over: boolean, command: string}} Progress */
/** @typedef {{mode: "live"|"replay"|"file", title: string, allowed: boolean, reason: ?string, load: ?LoadState, faults: FaultState[], policies: PolicyState[], scenarios: ScenarioState[], run: ?Progress, error: ?string}} State */
/** @typedef {{name: string, ready: boolean, breakers: {client: string, state: string}[]}} Endpoint */
/** @typedef {{policy: ?string, policy_text: ?string, command: ?string, endpoints: Endpoint[]}} ServiceDetails */
/** @typedef {{from: string, to: string, p50_ms: ?number, p99_ms: ?number, mutual_tls: ?boolean}} EdgeDetails */
/** @typedef {{services: Object<string, ServiceDetails>, edges: EdgeDetails[]}} Details */
/** @typedef {{at: number, length: number, requests: number, succeeded: number, called: ?number, calledLength: ?number, attempts: ?number, attemptsSucceeded: ?number, p50: ?number, p99: ?number}} Point */
/** @typedef {{at: number, variant: ?string, text: string, kind: "policy"|"fault"|"step", ends: boolean}} Mark */

export {};
