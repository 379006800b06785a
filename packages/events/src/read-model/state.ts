import { collectionOf, defineCollection, type Store, transaction } from '@skerry/store'
import { type OperationKind, recordOperation } from '../operator/operations.ts'
import { OperatorError } from '../operator/protocol.ts'

/**
 * So many generations a read model may have, the first among them: NATS grants consumers by exact names, and these are the ones it grants
 * (`GENERATIONS` in infra/stores/src/nats-permissions.ts). Numbers are not used again, since the inbox knows what they have applied.
 */
export const GENERATIONS = 50

/** Which generations of a read model there are, and which one is read. */
export type ModelState = {
  /** The name of its first generation's consumer. */
  _id: string
  current: number
  /** The highest generation that there ever was: numbers are not used again. */
  last: number
  building?: {
    generation: number
    by: string
    at: Date
    /** Switched to by an operator only. */
    stay: boolean
    /** When each of its streams was created: numbers of another stream would mean something else. */
    streams: Record<string, string>
  }
  /** What was read before the last switch: fed until it is told to go. */
  kept?: number
  /** When another generation was last made the one that is read. */
  switchedAt?: Date
  /** To be dropped, when no instance can read them any more. */
  retired: number[]
}

export const readModels = defineCollection<ModelState>({ name: 'read_models', shardKey: null, indexes: [] })

/** The state of a model; the first generation alone, when nothing was ever rebuilt. */
export async function modelState(store: Store, name: string): Promise<ModelState> {
  const found = await collectionOf(store.db, readModels).findOne({ _id: name })
  return found ?? { _id: name, current: 1, last: 1, retired: [] }
}

/** The generations that are fed. */
export function fedGenerations({ current, building, kept }: ModelState): number[] {
  return [current, building?.generation, kept].filter((generation) => generation !== undefined)
}

export type Change = { kind: OperationKind; by: string; outcome: string; change(state: ModelState): ModelState }

/**
 * Changes the state and writes the audit record of it, together. `change` throws OperatorError where the state is not one to change in this
 * way; it may run several times, since two changes at once conflict.
 */
export function changeModel(store: Store, name: string, { kind, by, outcome, change }: Change): Promise<ModelState> {
  const models = collectionOf(store.db, readModels)
  return transaction(store, {}, async (tx) => {
    const options = { session: tx.session }
    const found = await models.findOne({ _id: name }, options)
    const before = found ?? { _id: name, current: 1, last: 1, retired: [] }
    const after = change(before)
    await models.replaceOne({ _id: name }, after, { ...options, upsert: true })
    await recordOperation(
      store,
      {
        ...{ consumer: name, kind, target: 'model', by, outcome, state: 'done', request: {} },
        before: JSON.stringify(before),
        after: JSON.stringify(after)
      },
      tx
    )
    return after
  })
}

export function begin(building: Omit<NonNullable<ModelState['building']>, 'generation'>) {
  return (state: ModelState): ModelState => {
    if (state.building !== undefined)
      throw new OperatorError('BUSY', `generation ${state.building.generation} is being built already`)
    if (state.kept !== undefined)
      throw new OperatorError(
        'REFUSED',
        `generation ${state.kept} is still kept from the last rebuild: --finish drops it, --rollback goes back to it`
      )
    const generation = state.last + 1
    if (generation > GENERATIONS)
      throw new OperatorError(
        'REFUSED',
        `it had ${GENERATIONS} generations, and NATS grants no more: raise GENERATIONS`
      )
    return { ...state, last: generation, building: { generation, ...building } }
  }
}

export function abort(state: ModelState): ModelState {
  const { building, ...rest } = state
  if (building === undefined) throw new OperatorError('REFUSED', 'nothing is being built')
  return { ...rest, retired: [...rest.retired, building.generation] }
}

/** @param generation what the caller has found ready; undefined takes whatever is being built */
export function switchOver(generation?: number) {
  return (state: ModelState): ModelState => {
    const { building, ...rest } = state
    if (building === undefined || (generation !== undefined && building.generation !== generation))
      throw new OperatorError('REFUSED', 'nothing is being built that could be switched to')
    return { ...rest, current: building.generation, kept: state.current, switchedAt: new Date() }
  }
}

export function rollback(state: ModelState): ModelState {
  const { kept, ...rest } = state
  if (kept === undefined) throw new OperatorError('REFUSED', 'no earlier generation is kept to go back to')
  return { ...rest, current: kept, switchedAt: new Date(), retired: [...rest.retired, state.current] }
}

export function finish(state: ModelState): ModelState {
  const { kept, ...rest } = state
  if (kept === undefined) throw new OperatorError('REFUSED', 'no earlier generation is kept')
  return { ...rest, retired: [...rest.retired, kept] }
}

/** Notes that a retired generation is gone. */
export async function forgetRetired(store: Store, name: string, generation: number): Promise<void> {
  await collectionOf(store.db, readModels).updateOne({ _id: name }, { $pull: { retired: generation } })
}
