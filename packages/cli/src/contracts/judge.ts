import {
  type Change,
  type Declared,
  eventChanges,
  newEvent,
  releaseEvent,
  releaseRoutes,
  routeChanges
} from '@skerry/contracts/compat'
import type { Released } from './released.ts'

/** All differences between what was released and what is declared, by contract. */
export function judge(declared: Declared, released: Released): Change[] {
  const changes: Change[] = []
  for (const [subject, golden] of released.events) changes.push(...eventChanges(golden, declared.events.get(subject)))
  for (const [subject, event] of declared.events) if (!released.events.has(subject)) changes.push(newEvent(event))
  for (const service of new Set([...released.routes.keys(), ...declared.routes.keys()]))
    changes.push(...routeChanges(released.routes.get(service) ?? {}, declared.routes.get(service) ?? []))
  return changes
}

/** What the golden files become when all that is declared is released. */
export function released(declared: Declared, before: Released): Released {
  return {
    events: new Map(
      [...declared.events].map(([subject, event]) => [subject, releaseEvent(event, before.events.get(subject))])
    ),
    routes: new Map([...declared.routes].map(([service, routes]) => [service, releaseRoutes(routes)]))
  }
}

/** What was released without one contract: an event or a route whose window has ended. Undefined when there is none of that name. */
export function without(contract: string, { events, routes }: Released): Released | undefined {
  if (events.has(contract)) return { routes, events: new Map([...events].filter(([subject]) => subject !== contract)) }
  for (const [service, golden] of routes) {
    if (!Object.hasOwn(golden, contract)) continue
    const rest = Object.fromEntries(Object.entries(golden).filter(([name]) => name !== contract))
    return { events, routes: new Map([...routes, [service, rest]]) }
  }
  return undefined
}
