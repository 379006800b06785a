import { Kvm } from '@nats-io/kv'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { ensureBuckets } from './buckets.ts'
import { watchBucket } from './kv-watch.ts'
import type { Logger } from './log.ts'
import { jetstreamOf, type NatsConnection } from './nats.ts'

/** A version as a service announces it. */
export const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/
/** The name of a header, in lower case. */
export const HEADER = /^[a-z0-9][a-z0-9-]{0,63}$/
const Percent = Type.Number({ minimum: 0, maximum: 100 })
const MOST_VERSIONS = 20

/**
 * How the requests for one service are spread over its versions: the value of its key in the `traffic` bucket.
 *
 * - `weights`: percent of all requests by version; versions that are not named share the rest by their instances' weights.
 * - `headers`: requests with the header (lower case) go to the version, if somebody runs it.
 * - `mirror`: a version that gets copies of so many percent of the requests, and no requests of its own unless it has a weight.
 */
export const TrafficRulesSchema = Type.Object(
  {
    weights: Type.Optional(
      Type.Record(Type.String({ pattern: VERSION.source }), Percent, {
        maxProperties: MOST_VERSIONS,
        additionalProperties: false
      })
    ),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: HEADER.source }), Type.String({ pattern: VERSION.source }), {
        maxProperties: MOST_VERSIONS,
        additionalProperties: false
      })
    ),
    mirror: Type.Optional(
      Type.Object(
        { version: Type.String({ pattern: VERSION.source }), percent: Percent },
        { additionalProperties: false }
      )
    )
  },
  { additionalProperties: false }
)
export type TrafficRules = Static<typeof TrafficRulesSchema>

const rules = Compile(TrafficRulesSchema)
const BUCKET = 'traffic'
const SERVICE = /^[a-z][a-z0-9-]{0,63}$/

/** Throws one line that says what is wrong with rules. */
export function assertTrafficRules(value: unknown): asserts value is TrafficRules {
  if (!rules.Check(value)) {
    const error = rules.Errors(value)[0]
    throw new Error(`traffic rules do not fit: ${error?.instancePath ?? ''} ${error?.message ?? ''}`.trim())
  }
  const total = Object.values(value.weights ?? {}).reduce((sum, percent) => sum + percent, 0)
  // Thirds and the like may not add up to the last bit.
  if (total > 100.000001) throw new Error(`the weights add up to ${total} %`)
}

/**
 * Follows the rules of all services for as long as the connection lives. `onChange` gets a service's rules when they are set, and
 * undefined when they end. While NATS is away the last ones stand; a value that does not fit changes nothing. Resolves with the first
 * snapshot, or after 5 s without one: it keeps trying.
 */
export async function watchTraffic(
  nc: NatsConnection,
  onChange: (service: string, rules: TrafficRules | undefined) => void,
  options: { log?: Logger | undefined } = {}
): Promise<{ close(): Promise<void> }> {
  const { log } = options
  const known = new Map<string, string>()
  let unconfirmed = new Set<string>()
  const end = (service: string) => {
    if (known.delete(service)) onChange(service, undefined)
  }
  await ensureBuckets(nc, { buckets: [BUCKET], timeoutMs: 0 }).catch((error) =>
    log?.warn({ err: error }, 'traffic rules are not available yet')
  )
  return watchBucket(nc, {
    bucket: BUCKET,
    log,
    onBegin: () => {
      unconfirmed = new Set(known.keys())
    },
    onEntry: (entry) => {
      const service = entry.key
      unconfirmed.delete(service)
      if (entry.operation !== 'PUT') return end(service)
      const text = entry.string()
      if (known.get(service) === text) return
      try {
        onChange(service, readRules(text))
        known.set(service, text)
      } catch (error) {
        log?.error({ err: error, upstream: service }, 'invalid traffic rules ignored')
      }
    },
    onComplete: () => {
      for (const service of unconfirmed) end(service)
    }
  })
}

/** Reads and changes the rules; only an administrator of NATS may. Makes the bucket when it is not there. */
export async function openTraffic(nc: NatsConnection): Promise<{
  /** The rules of all services that have some, ordered by name. Throws for a value that does not fit. */
  all(): Promise<Array<{ service: string; rules: TrafficRules }>>
  /** Replaces a service's rules by what `change` makes of them; nothing ends them. Throws when somebody else changes them meanwhile. */
  change(service: string, change: (rules: TrafficRules) => TrafficRules | undefined): Promise<TrafficRules | undefined>
}> {
  await ensureBuckets(nc, { buckets: [BUCKET], timeoutMs: 5_000 })
  const kv = await new Kvm(jetstreamOf(nc)).open(BUCKET)
  const read = async (service: string) => {
    const entry = await kv.get(service)
    const rules = entry?.operation === 'PUT' ? readRules(entry.string()) : undefined
    return { rules, revision: entry?.revision ?? 0 }
  }
  return {
    async all() {
      const services: string[] = []
      for await (const service of await kv.keys()) services.push(service)
      const found = await Promise.all(services.sort().map(async (service) => ({ service, ...(await read(service)) })))
      return found.flatMap(({ service, rules }) => (rules === undefined ? [] : [{ service, rules }]))
    },
    async change(service, change) {
      if (!SERVICE.test(service)) throw new Error(`${service} is not the name of a service`)
      const { rules, revision } = await read(service)
      const next = change(rules ?? {})
      if (next === undefined) {
        if (rules !== undefined) await kv.delete(service, { previousSeq: revision })
        return undefined
      }
      assertTrafficRules(next)
      const text = JSON.stringify(next)
      await (revision === 0 ? kv.create(service, text) : kv.update(service, text, revision))
      return next
    }
  }
}

function readRules(text: string): TrafficRules {
  const value: unknown = JSON.parse(text)
  assertTrafficRules(value)
  return value
}
