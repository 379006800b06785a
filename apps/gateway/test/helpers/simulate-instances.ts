import type { GatewayConfig } from '../../src/config.ts'
import { ejects, outliers } from '../../src/upstreams/ejection.ts'
import { select } from '../../src/upstreams/select.ts'
import { Upstream } from '../../src/upstreams/upstream.ts'

/** The instances of a simulated service, by their number. */
export type Instances = {
  /** Which one a request goes to. */
  select(now: number): number
  answered(instance: number, tookMs: number, now: number): void
  /** Ejects outliers, as the balancer does each second. */
  eject(now: number): void
  close(): void
}

/** Instances that are selected, measured and ejected as in the gateway, with nobody behind them. */
export function openInstances(count: number, config: GatewayConfig, random: () => number, now: number): Instances {
  const ejection = {
    consecutive: config.EJECT_FAILURES,
    maxShare: config.EJECT_MAX_SHARE,
    slowTimes: config.EJECT_SLOW_TIMES,
    slowByMs: config.EJECT_SLOW_BY_MS
  }
  const options = {
    connections: 1,
    maxInFlight: Number.POSITIVE_INFINITY,
    maxStreams: 1,
    connectTimeoutMs: 1,
    ejectMs: config.EJECT_MS,
    ejectLongestMs: config.EJECT_LONGEST_MS,
    slowStartMs: config.SLOW_START_MS,
    zone: undefined,
    ca: undefined
  }
  const upstreams = Array.from({ length: count }, (_, i) => {
    const instance = { service: 's', instance: String(i), version: '1', url: `http://127.0.0.1:${i + 1}`, weight: 1 }
    return new Upstream(instance, options, now)
  })
  /** Selection and pauses draw from `Math.random`: here from a repeatable source. */
  const repeatably = <T>(work: () => T): T => {
    const { random: own } = Math
    Math.random = random
    try {
      return work()
    } finally {
      Math.random = own
    }
  }
  return {
    select(at) {
      const chosen = repeatably(() => select(upstreams, { stream: false, repeatable: true }, at, undefined))
      if (typeof chosen === 'string') throw new Error(`nobody to ask: ${chosen}`)
      chosen.inFlight++
      return upstreams.indexOf(chosen)
    },
    answered(instance, tookMs, at) {
      const upstream = upstreams[instance]!
      upstream.inFlight--
      upstream.answered(tookMs, at)
    },
    eject(at) {
      for (const one of upstreams) one.circuit.sweep(at)
      for (const one of outliers(upstreams, at, ejection))
        if (ejects(one, upstreams, 'slow', ejection)) repeatably(() => one.circuit.open(at))
    },
    close() {
      for (const one of upstreams) void one.destroy()
    }
  }
}
