import type { MongoClient } from 'mongodb'

/** What a mongod has done so far. */
export type StoreCounts = { commands: number; syncs: number; inserted: number }

type Status = {
  metrics: { commands: Record<string, { total?: number } | number>; document: { inserted: number } }
  wiredTiger: { log: { 'log sync operations': number } }
}

/** What drivers and monitoring do by themselves, and what is asked here. */
const NOT_WORK = new Set(['hello', 'isMaster', 'ping', 'serverStatus', 'endSessions', 'buildInfo', 'replSetHeartbeat'])

/** The counters of a mongod: commands of clients, journal syncs, documents inserted (its own oplog's not among them). */
export async function readCounts(client: MongoClient): Promise<StoreCounts> {
  const status = (await client.db('admin').command({ serverStatus: 1 })) as unknown as Status
  let commands = 0
  for (const [name, counts] of Object.entries(status.metrics.commands))
    if (typeof counts === 'object' && !NOT_WORK.has(name)) commands += Number(counts.total ?? 0)
  return {
    commands,
    syncs: Number(status.wiredTiger.log['log sync operations']),
    inserted: Number(status.metrics.document.inserted)
  }
}

/** What was done from one reading to the next. */
export function between(before: StoreCounts, after: StoreCounts): StoreCounts {
  return {
    commands: after.commands - before.commands,
    syncs: after.syncs - before.syncs,
    inserted: after.inserted - before.inserted
  }
}
