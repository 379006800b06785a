import { connect } from '@nats-io/transport-node'
import { eventCollections } from '@skerry/events'
import { openStore } from '@skerry/store'
import { type PartOptions, seen, things } from './messages.ts'

/** Opens the stores of one part of the bench, in a process of its own that ends with its parent. */
export async function openPart() {
  const { mode, mongo, nats } = JSON.parse(process.env.BENCH_PART!) as PartOptions
  const store = await openStore({ ...mongo, collections: [...eventCollections, things, seen] })
  const nc = await connect({ servers: nats.url, user: nats.user, pass: nats.password })
  const say = (fields: object, message: string) =>
    process.stderr.write(`${message} ${JSON.stringify(fields, (_, v) => (v instanceof Error ? v.message : v))}\n`)
  const log = { debug() {}, info() {}, warn: say, error: say }
  process.once('disconnect', () => process.exit(1))
  return { mode, store, nc, common: { store, nc, service: 'bench', instance: 'bench', log } }
}
