import { Compile } from 'typebox/compile'
import { type EventContract, orderKeyOf, wireSubject } from '../event.ts'
import { type Change, differences } from './changes.ts'
import { exampleOf } from './example.ts'
import { refusals } from './refusals.ts'
import { isSame } from './shapes.ts'

/** A payload as it may be in streams and outboxes, the entity that it is about, and its order key if that was released as well. */
export type EventExample = { readonly entity: string; readonly orderKey?: string; readonly data: unknown }

/** An event version as it was released: the content of its golden file. */
export type ReleasedEvent = {
  readonly subject: string
  readonly version: number
  readonly summary: string
  readonly schema: Readonly<Record<string, unknown>>
  readonly examples: readonly EventExample[]
}

/** Examples that a golden file keeps: the first ones, since they are the oldest payloads that a stream may hold. */
const MOST_EXAMPLES = 12

/** What the release of an event is; of an earlier one the examples are kept. */
export function releaseEvent(event: EventContract, before?: ReleasedEvent): ReleasedEvent {
  const { subject, version, summary } = event
  const schema = plain(event.data)
  const exampleWith = (data: unknown): EventExample => ({
    entity: event.entity(data as never),
    orderKey: orderKeyOf(event, data as never),
    data
  })
  // What was released without an order key has one from now on.
  const kept = before?.examples.map((one) => (one.orderKey === undefined ? exampleWith(one.data) : one)) ?? []
  const examples = new Map(kept.map((one) => [JSON.stringify(one.data), one]))
  for (const fullness of ['full', 'least'] as const) {
    const data = exampleFor(event, schema, fullness)
    const text = JSON.stringify(data)
    if (!examples.has(text) && examples.size < MOST_EXAMPLES) examples.set(text, exampleWith(data))
  }
  return { subject, version, summary, schema, examples: [...examples.values()] }
}

/**
 * What has changed since an event was released. Both ways count: the schema has to take each payload that is already in streams, outboxes
 * and dead letters, and consumers that check by the released schema have to be able to read the new ones.
 */
export function eventChanges(released: ReleasedEvent, event: EventContract | undefined): Change[] {
  const contract = `${released.subject}.v${released.version}`
  const breaking = (path: string, before: string, after: string, why: string): Change => ({
    ...{ kind: 'breaking', contract, path, before, after, why }
  })
  if (event === undefined) return [breaking('', 'released', 'gone', 'consumers of it would hear nothing any more')]
  const schema = plain(event.data)
  const found = [
    ...refusals(released.schema, schema, 'given').map(({ path, given, taken, why }) =>
      breaking(inData(path), given, taken, `payloads in streams would not fit: ${why}`)
    ),
    ...refusals(schema, released.schema, 'taken').map(({ path, given, taken, why }) =>
      breaking(inData(path), taken, given, `consumers of the released one could not read it: ${why}`)
    )
  ]
  const check = Compile(schema)
  for (const [at, { entity, orderKey, data }] of released.examples.entries()) {
    const path = `examples[${at}]`
    if (!check.Check(data)) {
      const error = check.Errors(data)[0]
      const why = `a payload that was released does not fit: ${error?.instancePath} ${error?.message}`
      // The schemas have said it already, and where.
      if (found.length === 0) found.push(breaking(path, 'fits', 'does not fit', why))
      continue
    }
    const now = made(() => event.entity(data as never))
    if (now !== entity) found.push(breaking(`${path} entity`, entity, now, 'consumers know what it is about by this'))
    const nowBy = made(() => orderKeyOf(event, data as never))
    if (orderKey !== undefined && nowBy !== orderKey)
      found.push(
        breaking(`${path} orderedBy`, orderKey, nowBy, 'order is kept within a key, and an entity has one for life')
      )
  }
  if (found.length > 0) return unrepeated(found)
  const why = isSame(released.schema, schema) ? 'documentation' : 'readers of the released one pass it over'
  const before = { summary: released.summary, data: released.schema }
  return differences(before, { summary: event.summary, data: schema }).map((one) => ({
    ...{ kind: 'additive', contract, why, ...one }
  }))
}

/** That an event is not released yet. */
export function newEvent(event: EventContract): Change {
  return {
    ...{ kind: 'new', contract: wireSubject(event), path: '', before: 'nothing', after: event.summary, why: '' }
  }
}

/** As it stands in a file: without what TypeBox keeps for TypeScript. */
export function plain(schema: unknown): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(schema))
}

function exampleFor(event: EventContract, schema: unknown, fullness: 'full' | 'least'): unknown {
  try {
    return exampleOf(schema, fullness)
  } catch (error) {
    throw new Error(`${wireSubject(event)}: ${(error as Error).message}`, { cause: error })
  }
}

function made(make: () => string): string {
  try {
    return make()
  } catch (error) {
    return `none (${(error as Error).message})`
  }
}

function inData(path: string): string {
  return path === '' ? 'data' : `data.${path}`
}

/** A type that has changed is refused both ways: it is told once, by the first. */
function unrepeated(changes: readonly Change[]): Change[] {
  const seen = new Set<string>()
  return changes.filter(({ path, before, after }) => {
    const key = JSON.stringify([path, before, after])
    return !seen.has(key) && seen.add(key)
  })
}
