import type { Priority } from '@skerry/contracts'
import type { GatewayConfig } from '../config.ts'
import { serviceOf } from './lane.ts'
import type { Outcome } from './outcome.ts'
import { Pressure, watchLoop } from './pressure.ts'
import { ServiceGate, type Waiter } from './service-gate.ts'

/** Why a request is refused: the gateway's own event loop is late, or its service has all it can do. */
export type Refusal = { readonly reason: 'pressure' | 'concurrency'; readonly retryAfter: number }

export type OverloadConfig = Pick<
  GatewayConfig,
  | 'CONCURRENCY_INITIAL'
  | 'CONCURRENCY_IDLE'
  | 'CONCURRENCY_MIN'
  | 'CONCURRENCY_MAX'
  | 'CONCURRENCY_SLACK_MS'
  | 'CONCURRENCY_WAIT_MS'
  | 'CONCURRENCY_CRITICAL_WAIT_MS'
  | 'CONCURRENCY_WAITING'
  | 'PRESSURE_TARGET_MS'
>

/** A request that would wait for a place rather than be refused. */
export type Candidate = {
  /** It has a place now, to be given back by `settle`; false when its caller has gone, and then it has none. */
  admitted(): boolean
  refused(refusal: Refusal): void
}

export type Overload = {
  /** Before anything else is done for a request: why it is refused, if it is. */
  atDoor(priority: Priority): Refusal | undefined
  /**
   * Before a request goes to its service. True: it has a place, which `settle` gives back exactly once. With a candidate the answer may
   * also be undefined: it waits, and one of the candidate's methods is called, within `CONCURRENCY_CRITICAL_WAIT_MS` at most.
   */
  admit(service: string, priority: Priority): true | Refusal
  admit(service: string, priority: Priority, candidate: Candidate): true | Refusal | undefined
  /** A request that had a place has ended. Latency in ms since it got it. */
  settle(service: string, latencyMs: number, outcome: Outcome): void
  /** Forgets services that are gone, once nothing of theirs is under way. */
  retain(services: ReadonlySet<string>): void
  /** How each service stands. */
  services(): Iterable<readonly [service: string, gate: ServiceGate]>
  /** Pressure on this process, 0–1. */
  readonly pressure: Pressure
  close(): void
}

export type OverloadDeps = {
  /** Milliseconds, of a clock that all gateways share: their probes meet. */
  now?: () => number
  /** 0–1. */
  random?: () => number
  /** Calls the work again and again until what it answers is called. */
  every?: (ms: number, work: () => void) => () => void
  /** Called for each refusal. */
  onShed?: (reason: Refusal['reason'], priority: Priority) => void
}

const SHORTEST_RETRY_SECONDS = 1
const LONGEST_RETRY_SECONDS = 3
/** How often lines are looked through for who has waited too long, while somebody waits. */
const SWEEP_MS = 5

/** What of the traffic is refused so that the rest is answered well. */
export function createOverload(config: OverloadConfig, deps: OverloadDeps = {}): Overload {
  const { now = sharedClock, random = Math.random, every = repeat, onShed } = deps
  const gates = new Map<string, ServiceGate>()
  const pressure = new Pressure(config.PRESSURE_TARGET_MS, random)
  const stopWatching = watchLoop(pressure)
  const refusals = { pressure: refusalsOf('pressure'), concurrency: refusalsOf('concurrency') }
  const options = {
    initial: config.CONCURRENCY_INITIAL,
    idle: config.CONCURRENCY_IDLE,
    min: config.CONCURRENCY_MIN,
    max: config.CONCURRENCY_MAX,
    slackMs: config.CONCURRENCY_SLACK_MS,
    waitMs: config.CONCURRENCY_WAIT_MS,
    criticalWaitMs: config.CONCURRENCY_CRITICAL_WAIT_MS,
    waiting: config.CONCURRENCY_WAITING
  }
  let stopSweeping: (() => void) | undefined

  return {
    pressure,
    atDoor: (priority) => (pressure.sheds(priority) ? shed('pressure', priority) : undefined),
    admit: admit as Overload['admit'],
    settle: (service, latencyMs, outcome) => gates.get(service)?.leave(latencyMs, outcome, now(), pressure.delayMs),
    retain(services) {
      for (const [service, gate] of gates) {
        if (!services.has(serviceOf(service)) && gate.gradient.inFlight === 0 && gate.waiting === 0)
          gates.delete(service)
      }
    },
    services() {
      const time = now()
      for (const { gradient } of gates.values()) if (gradient.isResting) gradient.recover(time)
      return gates
    },
    close() {
      stopWatching()
      stopSweeping?.()
    }
  }

  function admit(service: string, priority: Priority, candidate?: Candidate): true | Refusal | undefined {
    let gate = gates.get(service)
    if (gate === undefined) {
      gate = new ServiceGate(options)
      gates.set(service, gate)
    }
    if (gate.gradient.isResting) gate.gradient.recover(now())
    if (gate.tryEnter(priority)) return true
    if (candidate === undefined || !gate.wait(priority, waiterOf(candidate, priority), now())) {
      return shed('concurrency', priority)
    }
    stopSweeping ??= every(SWEEP_MS, sweep)
    return undefined
  }

  function waiterOf(candidate: Candidate, priority: Priority): Waiter {
    return {
      admitted: () => candidate.admitted(),
      refused: () => candidate.refused(shed('concurrency', priority))
    }
  }

  function sweep(): void {
    let waiting = 0
    const time = now()
    for (const gate of gates.values()) {
      if (gate.waiting > 0) gate.advance(time)
      waiting += gate.waiting
    }
    if (waiting > 0) return
    stopSweeping?.()
    stopSweeping = undefined
  }

  function shed(reason: Refusal['reason'], priority: Priority): Refusal {
    onShed?.(reason, priority)
    const of = refusals[reason]
    return of[Math.floor(random() * of.length)]!
  }
}

/** One for each time to wait: those who were refused together shall not come back together. */
function refusalsOf(reason: Refusal['reason']): Refusal[] {
  const list = []
  for (let retryAfter = SHORTEST_RETRY_SECONDS; retryAfter <= LONGEST_RETRY_SECONDS; retryAfter++) {
    list.push(Object.freeze({ reason, retryAfter }))
  }
  return list
}

const ORIGIN = performance.timeOrigin

/** Steady like `performance.now()`, and near enough the same on all machines. */
function sharedClock(): number {
  return ORIGIN + performance.now()
}

function repeat(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms)
  return () => clearInterval(timer)
}
