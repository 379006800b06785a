import type { JetStreamManager } from '@nats-io/jetstream'
import { generationName, type Store } from '@skerry/store'
import { viewOf } from '../operator/consumer-commands.ts'
import { listOperations } from '../operator/operations.ts'
import {
  AuditRequest,
  type Commands,
  command,
  ModelRequest,
  type ModelStatus,
  OperatorError,
  RebuildRequest,
  StatusRequest,
  SwitchRequest
} from '../operator/protocol.ts'
import { assertWhole, progressOn, waitsFor } from './readiness.ts'
import { abort, begin, type Change, changeModel, finish, modelState, rollback, switchOver } from './state.ts'

type Options = {
  store: Store
  manager(): Promise<JetStreamManager>
  service: string
  /** The name of the first generation's consumer. */
  name: string
  streams: readonly string[]
  /** Has all instances look at once. */
  wake(): void
}

/** What operators may ask of a read model. Each change is one write; every instance follows it by itself. */
export function modelCommands(options: Options): Commands {
  const { store, manager, service, name, streams } = options

  async function change(what: Change): Promise<ModelStatus> {
    await changeModel(store, name, what)
    options.wake()
    return status()
  }

  async function status(): Promise<ModelStatus> {
    const { current, building, kept, retired } = await modelState(store, name)
    const base = {
      consumer: name,
      current,
      kept: kept === undefined ? null : { generation: kept, consumer: generationName(name, kept) },
      retired
    }
    if (building === undefined) return { ...base, building: null, progress: [] }
    const { generation, by, at } = building
    const consumer = generationName(name, generation)
    const jsm = await manager()
    return {
      ...base,
      building: {
        generation,
        consumer,
        by,
        at: at.toISOString(),
        waits: await waitsFor(jsm, service, building, consumer)
      },
      progress: (await progressOn(jsm, streams, consumer)).map(({ stream, applied, left }) => ({
        stream,
        applied,
        left
      }))
    }
  }

  return {
    status: command(StatusRequest, status),
    rebuild: command(RebuildRequest, async ({ by, stay = false, partial = false }) => {
      const jsm = await manager()
      if (!partial) await assertWhole(jsm, streams)
      const infos = await Promise.all(streams.map((stream) => jsm.streams.info(stream)))
      const created = Object.fromEntries(infos.map((info) => [info.config.name, info.created]))
      const building = { by, at: new Date(), stay, streams: created }
      return change({
        kind: 'rebuild',
        by,
        outcome: partial ? 'begun, partial allowed' : 'begun',
        change: begin(building)
      })
    }),
    abort: command(ModelRequest, ({ by }) => change({ kind: 'abort', by, outcome: 'aborted', change: abort })),
    switch: command(SwitchRequest, async ({ by, force = false }) => {
      const { building } = await modelState(store, name)
      if (building === undefined) throw new OperatorError('REFUSED', 'nothing is being built that could be switched to')
      const waits = await waitsFor(await manager(), service, building, generationName(name, building.generation), force)
      if (waits !== null) throw new OperatorError('REFUSED', waits)
      return change({
        kind: 'switch',
        by,
        outcome: force ? 'forced' : 'switched',
        change: switchOver(building.generation)
      })
    }),
    rollback: command(ModelRequest, ({ by }) =>
      change({ kind: 'rollback', by, outcome: 'rolled back', change: rollback })
    ),
    finish: command(ModelRequest, ({ by }) => change({ kind: 'finish', by, outcome: 'finished', change: finish })),
    audit: command(AuditRequest, async ({ before, limit }) =>
      (await listOperations(store, name, { before, limit, target: 'model' })).map(viewOf)
    )
  }
}
