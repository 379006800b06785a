import type { RouteRules } from '@skerry/contracts'
import { type Logger, type NatsConnection, onReconnect } from '@skerry/service'
import type { ResponseCache } from './response-cache.ts'
import { compileEndedTags, type EndedTagsOf } from './tags.ts'

/** Ends answers by events. */
export type Purger = {
  /** Takes in the routes of all live services, from now on. */
  update(routes: Iterable<RouteRules>): void
  close(): void
}

export type PurgerOptions = {
  nc: NatsConnection
  cache: Pick<ResponseCache, 'endHere' | 'endUnheard'>
  log: Pick<Logger, 'warn' | 'debug'>
}

type Heard = { tagsOf: EndedTagsOf; templates: string; stop(): void }

/** As `defineEvent` says, and nothing that NATS would take for more than one subject. */
const SUBJECT = /^[a-z][a-z0-9-]{0,63}\.[a-z]{1,64}\.[a-z]{1,64}$/
/** What all live services may declare together. */
const MOST_SUBJECTS = 500
const MOST_TEMPLATES = 64
/** Tags that wait to be ended in one go; above this all that events could have ended is. */
const MOST_WAITING = 5_000

/**
 * Hears the events that end answers, in core NATS, so that every gateway hears each as it is published; `<subject>.*.*`, because a newer
 * version of an event ends the same answers as long as it has the same members, in any partition; `<subject>.*` on a stream that has none. What was published while this gateway did not listen, before
 * it first did or while NATS was away, is unknown: it then ends all answers that events could have ended.
 */
export function createPurger({ nc, cache, log }: PurgerOptions): Purger {
  const heard = new Map<string, Heard>()
  let waiting = new Set<string>()
  let closed = false
  const stopListening = onReconnect(nc, () => void catchUp())

  return {
    update(routes) {
      const declared = subjectsOf(routes)
      for (const [subject, { stop }] of heard) {
        if (declared.has(subject)) continue
        stop()
        heard.delete(subject)
      }
      let added = false
      for (const [subject, templates] of declared) added = listen(subject, templates) || added
      if (added) void catchUp()
    },
    close() {
      closed = true
      stopListening()
      for (const { stop } of heard.values()) stop()
      heard.clear()
    }
  }

  function subjectsOf(routes: Iterable<RouteRules>): Map<string, Set<string>> {
    const declared = new Map<string, Set<string>>()
    for (const { cache: policy } of routes) {
      for (const [subject, templates] of Object.entries(policy?.endedBy ?? {})) {
        const all = declared.get(subject) ?? new Set()
        if (!SUBJECT.test(subject) || (all.size === 0 && declared.size >= MOST_SUBJECTS)) {
          log.warn({ subject }, 'cached responses cannot be invalidated by this event')
          continue
        }
        for (const template of templates) if (all.size < MOST_TEMPLATES) all.add(template)
        declared.set(subject, all)
      }
    }
    return declared
  }

  /** Answers whether the subject was not heard before. */
  function listen(subject: string, wanted: ReadonlySet<string>): boolean {
    const known = heard.get(subject)
    const templates = [...wanted].sort().join('\n')
    if (known?.templates === templates) return false
    let tagsOf: EndedTagsOf
    try {
      tagsOf = compileEndedTags(wanted)
    } catch (error) {
      log.warn({ err: error, subject }, 'cached responses cannot be invalidated by this event')
      return false
    }
    if (known !== undefined) {
      Object.assign(known, { tagsOf, templates })
      return false
    }
    const subscriptions = [`${subject}.*`, `${subject}.*.*`].map((pattern) =>
      nc.subscribe(pattern, {
        callback(error, message) {
          // A subject that this gateway may not hear, most likely: its answers end by their time alone.
          if (error !== null) log.warn({ err: error, subject }, 'failed to subscribe to the event')
          // What a push consumer of somebody else delivers here keeps the subject that it was published to.
          else if (message.subject.startsWith(`${subject}.`)) hear(subject, message.data)
        }
      })
    )
    const stop = () => {
      for (const subscription of subscriptions) subscription.unsubscribe()
    }
    heard.set(subject, { tagsOf, templates, stop })
    return true
  }

  function hear(subject: string, data: Uint8Array): void {
    const members = parse(data)
    if (members === undefined) {
      log.warn({ subject }, 'event is not a JSON object: no cached response was invalidated')
      return
    }
    // Events come in bursts: those of one turn of the loop are one command to Redis.
    if (waiting.size === 0) setImmediate(flush)
    for (const tag of heard.get(subject)?.tagsOf(members) ?? []) waiting.add(tag)
  }

  function flush(): void {
    const tags = waiting
    waiting = new Set()
    if (tags.size > MOST_WAITING) void cache.endUnheard()
    else if (tags.size > 0) void cache.endHere([...tags])
  }

  /** Once the server knows what this gateway listens to, nothing is missed any more; what was before is forgotten. */
  async function catchUp(): Promise<void> {
    try {
      await nc.flush()
    } catch (error) {
      // The connection has gone again: its return begins this anew.
      log.debug({ err: error }, 'event subscriptions are not confirmed yet')
      return
    }
    if (!closed) await cache.endUnheard()
  }
}

function parse(data: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(data))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
