import { type CommandStartedEvent, type Db, type Document, type MongoClient, MongoServerError } from 'mongodb'
import type { CollectionDefinition } from './collection.ts'
import { plainName } from './names.ts'

/** Collects queries that break the rules of the store. For tests: it explains every new shape of query. */
export type QueryMonitor = {
  /** Waits for the explains that are under way; resolves with one line for each broken rule. */
  settle(): Promise<string[]>
}

const OWN = 'skerry-monitor'

/**
 * Watches a client's commands. A query on a sharded collection must fix the first field of its shard key (with equality, `$in` or, for
 * `_id` keys, a range), or name one of the collection's `untargeted` reasons as its comment. Its plan must use an index for the
 * filter and for the sort.
 */
export function watchQueries(client: MongoClient, db: Db, definitions: readonly CollectionDefinition[]): QueryMonitor {
  const byName = new Map(definitions.map((d) => [d.name, d]))
  const seen = new Set<string>()
  const violations: string[] = []
  const running: Promise<void>[] = []

  client.on('commandStarted', (event) => {
    for (const query of queriesOf(event)) {
      if (event.databaseName !== db.databaseName || query.comment === OWN) continue
      const definition = byName.get(plainName(query.collection))
      if (definition === undefined) {
        violations.push(`${query.collection}: not a declared collection (${event.commandName})`)
        continue
      }
      const shape = `${event.commandName} ${query.collection} ${shapeOf(query.filter)} sort ${JSON.stringify(query.sort ?? {})}`
      if (seen.has(shape)) continue
      seen.add(shape)
      const excused = typeof query.comment === 'string' && definition.untargeted?.[query.comment] !== undefined
      if (!excused && !isTargeted(definition, query.filter)) violations.push(`untargeted: ${shape}`)
      running.push(
        checkPlan(db, query, shape, violations).catch((error: unknown) => noteFault(error, shape, violations))
      )
    }
  })

  return {
    async settle() {
      await Promise.all(running)
      return violations
    }
  }
}

type Query = { collection: string; filter: Document; sort?: Document; hint?: unknown; comment?: unknown }

/** The filters a command carries: one for a find, several for an update or delete of several statements. */
function queriesOf(event: CommandStartedEvent): Query[] {
  const c = event.command
  const collection: unknown = c[event.commandName]
  if (typeof collection !== 'string') return []
  const base = { collection, comment: c.comment }
  switch (event.commandName) {
    case 'find':
      return [{ ...base, filter: c.filter ?? {}, ...sortOf(c.sort), hint: c.hint }]
    case 'count':
    case 'distinct':
    case 'findAndModify':
      return [{ ...base, filter: c.query ?? {}, ...sortOf(c.sort), hint: c.hint }]
    case 'update':
      return c.updates.map((u: Document) => ({ ...base, filter: u.q }))
    case 'delete':
      return c.deletes.map((d: Document) => ({ ...base, filter: d.q }))
    case 'aggregate': {
      const first: Document = c.pipeline[0] ?? {}
      if (first.$changeStream !== undefined) return []
      return [{ ...base, filter: first.$match ?? {}, ...sortOf(c.pipeline[1]?.$sort), hint: c.hint }]
    }
    default:
      return []
  }
}

/** The driver sends a sort as a Map, which JSON would show as nothing. */
function sortOf(sort: unknown): { sort?: Document } {
  if (sort === undefined) return {}
  return { sort: sort instanceof Map ? Object.fromEntries(sort) : (sort as Document) }
}

function isTargeted(definition: CollectionDefinition, filter: Document): boolean {
  if (definition.shardKey === null) return true
  const [first] = Object.keys(definition.shardKey)
  if (first === undefined || fixes(filter, first)) return true
  const either: unknown = filter.$or
  return Array.isArray(either) && either.length > 0 && either.every((branch: Document) => fixes(branch, first))
}

function fixes(filter: Document, field: string): boolean {
  const value: unknown = filter[field]
  if (value === undefined) return false
  if (value === null || typeof value !== 'object') return true
  const operators = Object.keys(value)
  if (operators.some((o) => o === '$eq' || o === '$in')) return true
  return field === '_id' && operators.includes('$gte') && operators.includes('$lt')
}

/** The filter with its values blanked, so that each kind of query is explained once. */
function shapeOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.length > 0 ? shapeOf(value[0]) : ''}]`
  if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return `{${Object.entries(value)
      .map(([k, v]) => `${k}:${shapeOf(v)}`)
      .join(',')}}`
  }
  return '?'
}

/** A plan that could not be had is a broken rule, unless the database went away meanwhile. */
function noteFault(error: unknown, shape: string, violations: string[]): void {
  if (error instanceof MongoServerError) violations.push(`not explained (${error.message}): ${shape}`)
}

async function checkPlan(db: Db, query: Query, shape: string, violations: string[]): Promise<void> {
  const plan = await db.command({
    explain: {
      find: query.collection,
      filter: query.filter,
      ...(query.sort === undefined ? {} : { sort: query.sort }),
      ...(query.hint === undefined ? {} : { hint: query.hint }),
      comment: OWN
    },
    verbosity: 'queryPlanner'
  })
  const stages = stagesOf(plan.queryPlanner?.winningPlan)
  if (stages.includes('COLLSCAN')) violations.push(`collection scan: ${shape}`)
  if (stages.includes('SORT')) violations.push(`sorted in memory: ${shape}`)
}

function stagesOf(node: unknown): string[] {
  if (Array.isArray(node)) return node.flatMap(stagesOf)
  if (node === null || typeof node !== 'object') return []
  const own = 'stage' in node && typeof node.stage === 'string' ? [node.stage] : []
  return [...own, ...Object.values(node).flatMap(stagesOf)]
}
