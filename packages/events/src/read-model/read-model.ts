import { setTimeout as delay } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { ownerOf } from '@skerry/contracts'
import {
  type CollectionDefinition,
  ensureCollections,
  generationName,
  type Store,
  storeWith,
  useNames
} from '@skerry/store'
import { type ConsumerOptions, startConsumer } from '../consumer.ts'
import { once } from '../operator/consumer-commands.ts'
import { OperatorError } from '../operator/protocol.ts'
import { startResponder } from '../operator/responder.ts'
import type { Owned } from '../owner.ts'
import type { Subscription } from '../subscription.ts'
import { modelCommands } from './commands.ts'
import { dropGeneration, sweep } from './drop.ts'
import { waitsFor } from './readiness.ts'
import { changeModel, fedGenerations, type ModelState, modelState, switchOver } from './state.ts'

export type ReadModelOptions = Omit<ConsumerOptions, 'subscriptions'> & {
  /** What the events fill, and nothing else: a rebuild makes these anew. */
  collections: readonly CollectionDefinition[]
  /** The handlers, writing through this store: while a generation is built it stores the collections elsewhere. */
  subscriptions(store: Store): readonly Subscription[]
  /** How often an instance looks for a change, should its wake-up be lost, in milliseconds. */
  checkMs?: number
}

const CHECK_MS = 2_000
/** A generation is dropped when every instance has had so many looks since it was last read. */
const LOOKS_BEFORE_DROP = 3

/**
 * Keeps a read model from events, so that it can be rebuilt beside the live one and switched over (docs/events-operations.md). Reads go
 * through `collectionOf(options.store.db, …)` as always and find the generation that is current. It is attached once that one is known.
 */
export function startReadModel(options: ReadModelOptions): Owned {
  const { store, nc, service, purpose, collections, log, instance, checkMs = CHECK_MS } = options
  const name = `${service}--${purpose}`
  const streams = [...new Set(options.subscriptions(store).map((s) => ownerOf(s.event)))]
  const manager = once(() => jetstreamManager(nc, { checkAPI: false, timeout: 3_000 }))
  const fed = new Map<number, Owned>()
  const stopping = new AbortController()
  let current: number | undefined
  let swept = false
  let wakeUp: () => void = () => undefined
  let woken = false

  const responder = startResponder(nc, {
    ...{ service, topic: `${purpose}.model`, log },
    commands: modelCommands({ store, manager, service, name, streams, wake: () => responder.wake() })
  })
  const stopLooking = responder.onLook(() => {
    woken = true
    wakeUp()
  })

  const namesOf = (generation: number) =>
    Object.fromEntries(collections.map((c) => [c.name, generationName(c.name, generation)]))

  async function feed(generation: number): Promise<void> {
    const view = storeWith(store, namesOf(generation))
    await ensureCollections(
      store.db,
      collections.map((c) => ({ ...c, name: generationName(c.name, generation) }))
    )
    const { collections: _, subscriptions, checkMs: __, ...consumer } = options
    fed.set(
      generation,
      startConsumer({
        ...consumer,
        store: view,
        purpose: generationName(purpose, generation),
        replays: options.replays ?? 'safe',
        subscriptions: subscriptions(view)
      })
    )
  }

  /** Brings this instance to what the state says. Each step may be repeated, and each leaves what another instance's look can go on with. */
  async function follow(state: ModelState): Promise<void> {
    if (current !== state.current) {
      useNames(store.db, namesOf(state.current))
      if (current !== undefined)
        log.info({ model: name, generation: state.current }, 'read model switched to another generation')
      current = state.current
    }
    const wanted = fedGenerations(state)
    for (const generation of wanted) if (!fed.has(generation)) await feed(generation)
    for (const [generation, part] of fed) {
      if (wanted.includes(generation)) continue
      await part.stop()
      fed.delete(generation)
    }
    if (state.building !== undefined && !state.building.stay && fed.get(state.building.generation)?.attached())
      await switchWhenReady(state.building)
    if (state.retired.length === 0 && swept) return
    // An instance that has not looked since the switch still reads what would be dropped, and would find it empty.
    if (Date.now() - (state.switchedAt?.getTime() ?? 0) < LOOKS_BEFORE_DROP * checkMs) return
    const model = { store, jsm: await manager(), instance, name, streams, collections }
    for (const generation of state.retired) {
      if (await dropGeneration(model, generation))
        log.info({ model: name, generation }, 'read model generation dropped')
    }
    const strays = await sweep(store, state, collections)
    if (strays.length > 0)
      log.warn({ model: name, collections: strays }, 'leftover collections of dropped generations removed')
    swept = true
  }

  async function switchWhenReady(building: NonNullable<ModelState['building']>): Promise<void> {
    const durable = generationName(name, building.generation)
    if ((await waitsFor(await manager(), service, building, durable)) !== null) return
    try {
      await changeModel(store, name, {
        kind: 'switch',
        by: `${service} ${instance}`,
        outcome: `generation ${building.generation} had caught up`,
        change: switchOver(building.generation)
      })
    } catch (error) {
      // Another instance was quicker, or an operator has aborted.
      if (!(error instanceof OperatorError)) throw error
    }
    responder.wake()
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false
      try {
        await follow(await modelState(store, name))
      } catch (error) {
        log.warn({ err: error, model: name }, 'failed to watch a read model')
      }
      if (woken || stopping.signal.aborted) continue
      const waking = new AbortController()
      wakeUp = () => waking.abort()
      await delay(checkMs, undefined, {
        signal: AbortSignal.any([waking.signal, stopping.signal]),
        ref: false
      }).catch(() => 'woken or stopping')
    }
  }
  const running = run()

  return {
    attached: () => current !== undefined && fed.get(current)?.attached() === true,
    owner: () => current !== undefined && fed.get(current)?.owner() === true,
    async stop() {
      stopping.abort()
      stopLooking()
      responder.stop()
      await running
      await Promise.all([...fed.values()].map((part) => part.stop()))
    }
  }
}
