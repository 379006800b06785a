import { transaction } from '@skerry/store'
import { findWaiting } from '../data/deletions.ts'
import { findWaitingExports } from '../data/exports.ts'
import { addParticipant, removeParticipant } from '../data/participants.ts'
import { noteErasure, type SagaDeps } from './delete-account.ts'
import { noteExport } from './export-account.ts'

const BATCH = 100

/** From now on erasures and exports wait for this service. */
export async function joinSagas({ store, now }: SagaDeps, service: string): Promise<void> {
  await addParticipant(store, service, new Date(now()))
}

/** A service has left for good: nothing waits for it any more, neither what comes nor what is under way. */
export async function leaveSagas(deps: SagaDeps, service: string): Promise<void> {
  const { store } = deps
  await removeParticipant(store, service)
  for (;;) {
    const [deletions, exports] = await Promise.all([
      findWaiting(store, service, BATCH),
      findWaitingExports(store, service, BATCH)
    ])
    if (deletions.length === 0 && exports.length === 0) return
    for (const { _id: erasureId } of deletions)
      await transaction(store, {}, (tx) => noteErasure(deps, tx, { erasureId, service }))
    for (const { _id: exportId } of exports)
      await transaction(store, {}, (tx) => noteExport(deps, tx, { exportId, service }))
  }
}
