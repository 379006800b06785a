import { type EventContract, wireSubject } from '../event.ts'
import type { RouteContract } from '../route.ts'

/** Contracts as a module exports them: every event, and the routes of `authRoutes` under `auth`. */
export type Declared = {
  readonly events: ReadonlyMap<string, EventContract>
  readonly routes: ReadonlyMap<string, readonly RouteContract[]>
}

/**
 * What a module (`import * as contracts from '@skerry/contracts'`) declares, events by their subject on the wire, both in alphabetical
 * order. Throws when two events share a subject and version.
 */
export function declaredIn(module: object): Declared {
  const events = new Map<string, EventContract>()
  const routes = new Map<string, readonly RouteContract[]>()
  for (const [name, value] of Object.entries(module)) {
    if (isEvent(value)) {
      const subject = wireSubject(value)
      if (events.has(subject)) throw new Error(`${subject} is declared twice: give one of them another version`)
      events.set(subject, value)
    } else if (name.endsWith('Routes') && typeof value === 'object' && value !== null) {
      const list = Object.values(value as object)
      if (list.length > 0 && list.every(isRoute)) routes.set(name.slice(0, -'Routes'.length), list)
    }
  }
  return { events: sorted(events), routes: sorted(routes) }
}

/** Whether a value is what `defineEvent` gives. */
export function isEvent(value: unknown): value is EventContract {
  const one = value as Partial<EventContract> | null
  return (
    typeof one === 'object' &&
    one !== null &&
    typeof one.subject === 'string' &&
    typeof one.version === 'number' &&
    typeof one.entity === 'function'
  )
}

function isRoute(value: unknown): value is RouteContract {
  const one = value as Partial<RouteContract> | null
  return typeof one === 'object' && one !== null && typeof one.method === 'string' && typeof one.path === 'string'
}

function sorted<T>(map: Map<string, T>): Map<string, T> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}
