import { JetStreamApiError, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { ownerOf } from '@skerry/contracts'
import { collectionOf, readRoles, type Store } from '@skerry/store'
import { consumerStates } from '../consumer-states.ts'
import { durableOf, type Partition, partitionsOf, roleOf } from '../partitions.ts'
import { isStreamNotFound } from '../streams.ts'
import type { Subscription } from '../subscription.ts'
import { findOperation, listOperations, type Operation, recordOperation } from './operations.ts'
import {
  AuditRequest,
  type Commands,
  type ConsumerPart,
  command,
  DiscardRequest,
  OperationRequest,
  type OperationView,
  OperatorError,
  ReplayRequest,
  RetryRequest,
  StatusRequest
} from './protocol.ts'
import { requestDiscard, requestRetry } from './retry.ts'

/** Whether events may be applied again in bulk: `safe`, or why not. */
export type Replays = 'safe' | { readonly refused: string }

type Options = {
  store: Store
  nc: NatsConnection
  service: string
  consumer: string
  subscriptions: readonly Subscription[]
  replays: Replays | undefined
  /** Has the owners look at what was recorded. */
  wake(): void
}

const UNDECLARED = 'its service does not say that its events may be applied again'
const SHOWN = 4_000

/** What operators may ask of a consumer. Whatever changes something is only recorded here; the consumer's owner carries it out. */
export function consumerCommands(options: Options): Commands {
  const { store, service, consumer: name, subscriptions } = options
  const streams = [...new Set(subscriptions.map((s) => ownerOf(s.event)))]
  const manager = once(() => jetstreamManager(options.nc, { checkAPI: false, timeout: 3_000 }))
  const consumer = async () => ({ store, jsm: await manager(), service, consumer: name, subscriptions })
  const refused = options.replays === 'safe' ? undefined : (options.replays?.refused ?? UNDECLARED)

  const recorded = (operation: Operation) => {
    options.wake()
    return { id: operation._id }
  }

  return {
    status: command(StatusRequest, async () => ({
      consumer: name,
      replays: refused ?? 'safe',
      parts: (await Promise.all(streams.map(async (stream) => partsOf(await manager(), store, stream, name)))).flat()
    })),
    retry: command(RetryRequest, async (request) => recorded(await requestRetry(await consumer(), request))),
    discard: command(DiscardRequest, async (request) => recorded(await requestDiscard(await consumer(), request))),
    replay: command(ReplayRequest, async ({ by, stream, from, force }) => {
      if (!streams.includes(stream))
        throw new OperatorError(
          'BAD_REQUEST',
          `${name} does not consume the stream ${stream}, only ${streams.join(', ')}`
        )
      if (refused !== undefined && force !== true)
        throw new OperatorError('REFUSED', `${name} must not be replayed: ${refused}. --force does it nevertheless`)
      const { state } = await (await manager()).streams.info(stream)
      if (from > state.last_seq)
        throw new OperatorError(
          'BAD_REQUEST',
          `the stream ${stream} ends at ${state.last_seq}: there is nothing from ${from} on`
        )
      const operation = await recordOperation(store, {
        consumer: name,
        kind: 'replay',
        target: `replay:${stream}`,
        by,
        request: { stream, from: Math.max(from, state.first_seq), forced: refused !== undefined }
      })
      return recorded(operation)
    }),
    operation: command(OperationRequest, async ({ id }) => {
      const operation = await findOperation(store, id)
      if (operation === null || operation.consumer !== name)
        throw new OperatorError('NOT_FOUND', `${name} knows no operation ${id}`)
      const view = viewOf(operation)
      if (operation.kind !== 'replay') return view
      const parts = await partsOf(await manager(), store, String(operation.request.stream), name)
      return { ...view, replay: progressOf(parts.flatMap(({ replay }) => (replay?.operation === id ? [replay] : []))) }
    }),
    audit: command(AuditRequest, async ({ before, limit, letter }) => {
      const target = letter === undefined ? undefined : `letter:${letter}`
      return (await listOperations(store, name, { before, limit, target })).map(viewOf)
    })
  }
}

/** An operation for the wire: payloads cut, since a message has a bound. */
export function viewOf(operation: Operation): OperationView {
  const cut = (text: string | null) => (text !== null && text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text)
  const { _id: id, consumer, kind, target, by, at, state, before, after, outcome, finishedAt } = operation
  return {
    ...{ id, consumer, kind, target, by, at: at.toISOString(), state, outcome },
    before: cut(before),
    after: cut(after),
    finishedAt: finishedAt?.toISOString() ?? null
  }
}

/** How a consumer is in each partition of a stream. */
async function partsOf(jsm: JetStreamManager, store: Store, stream: string, consumer: string): Promise<ConsumerPart[]> {
  const [{ owners }, partitions] = await Promise.all([readRoles(store), partitionsNow(jsm, stream)])
  return Promise.all(
    partitions.map(async (partition) => {
      const durable = durableOf(consumer, partition)
      const owner = owners.get(roleOf(stream, consumer, partition)) ?? null
      const state = await collectionOf(store.db, consumerStates).findOne({ _id: `${stream}:${durable}` })
      const part = { stream, partition: partition.of === 1 ? null : partition.index, owner }
      if (state?.replay === undefined) return { ...part, replay: null }
      const { operation, from, until, rewound } = state.replay
      const floor = rewound ? await floorOf(jsm, stream, durable) : from - 1
      return { ...part, replay: { operation, from, until, floor } }
    })
  )
}

/** One that is not there has none yet: it is told of as a whole. */
async function partitionsNow(jsm: JetStreamManager, stream: string): Promise<readonly Partition[]> {
  try {
    return partitionsOf((await jsm.streams.info(stream)).config)
  } catch (error) {
    if (isStreamNotFound(error)) return partitionsOf({})
    throw error
  }
}

/** A replay is as far as the partition that is behind all others. */
function progressOf(replays: readonly NonNullable<ConsumerPart['replay']>[]): ConsumerPart['replay'] {
  const [first] = [...replays].sort((a, b) => a.floor - b.floor)
  return first === undefined ? null : { ...first, until: Math.max(...replays.map(({ until }) => until)) }
}

async function floorOf(jsm: JetStreamManager, stream: string, durable: string): Promise<number> {
  try {
    return (await jsm.consumers.info(stream, durable)).ack_floor.stream_seq
  } catch (error) {
    if (error instanceof JetStreamApiError) return 0
    throw error
  }
}

/** Which instance has a role now. */
export async function ownerOfRole(store: Store, name: string): Promise<string | null> {
  return (await readRoles(store)).owners.get(name) ?? null
}

/** Makes something when it is first needed, and again when that failed. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}
