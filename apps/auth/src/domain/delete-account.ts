import {
  AccountCreated,
  AccountDeleted,
  AccountUpdated,
  type Deletion,
  ErasureRequested,
  SkerryError
} from '@skerry/contracts'
import { eraseEvents, publish } from '@skerry/events'
import { bucketOf, type CallContext, eraseAnswers, newId, type Store, type Tx, transaction } from '@skerry/store'
import { findAccount, markAccount, removeAccount } from '../data/accounts.ts'
import {
  type DeletionDocument,
  findDeletion,
  findDeletionOf,
  insertDeletion,
  moveDeletion,
  noteErased
} from '../data/deletions.ts'
import { deleteExport, findExportsOf } from '../data/exports.ts'
import { findParticipants } from '../data/participants.ts'
import { deleteSessionsOf, findSession, type SessionDocument } from '../data/sessions.ts'
import type { Deps } from './deps.ts'
import { releaseNames } from './names.ts'
import { type Proving, proveOwner } from './prove-owner.ts'
import { endOthers } from './revoke.ts'

/** What the steps of a deletion need that no request makes. */
export type SagaDeps = { store: Store; now(): number }

/**
 * Begins the deletion of the caller's account: all sessions end, nobody can sign in any more, and every service that takes part is asked to
 * erase. The account itself, and its names, go when all have answered.
 *
 * Asked again it answers with the same deletion, without another proof: whoever repeats it may not have had the first answer, and nothing
 * in a deletion is the person's.
 */
export async function deleteAccount(
  deps: Deps,
  who: Proving,
  currentPassword: string | undefined,
  call: CallContext
): Promise<{ deletion: Deletion; ended: string[] }> {
  const { store } = deps
  const { userId } = who
  const begun = await findDeletionOf(store, userId)
  if (begun !== null) return again(begun)
  // Nobody tries passwords with the token of a session that has ended.
  if (!isOpen(await findSession(store, who.sessionId))) throw new SkerryError('SESSION_REVOKED')
  const proven = await proveOwner(deps, who, currentPassword)
  const done = await transaction(store, call, async (tx) => {
    const account = await findAccount(store, userId, tx)
    const meanwhile = await findDeletionOf(store, userId, tx)
    if (meanwhile !== null) return again(meanwhile)
    if (account === null || !isOpen(await findSession(store, who.sessionId, tx)))
      throw new SkerryError('SESSION_REVOKED')
    if (account.passwordHash !== proven) throw new SkerryError('AUTH_BAD_CREDENTIALS')
    const requestedAt = new Date(deps.now())
    const bucket = bucketOf(userId)
    const deletion: DeletionDocument = {
      _id: newId(bucket, requestedAt.getTime()),
      bucket,
      userId,
      state: 'erasing',
      requestedAt,
      waitingFor: await findParticipants(store, tx),
      erased: []
    }
    await insertDeletion(store, tx, deletion)
    await markAccount(store, tx, userId, { deletionId: deletion._id })
    const ended = await endOthers(deps, tx, userId, '', 'account_deleted')
    publish(store, tx, ErasureRequested, {
      erasureId: deletion._id,
      userId,
      requestedAt: requestedAt.toISOString()
    })
    if (deletion.waitingFor.length === 0) await endAccount(store, tx, deletion)
    return { deletion: presentDeletion(deletion), ended }
  })
  await deps.tellRevoked(done.ended)
  return done
}

function again(deletion: DeletionDocument): { deletion: Deletion; ended: string[] } {
  return { deletion: presentDeletion(deletion), ended: [] }
}

function isOpen(session: SessionDocument | null): boolean {
  return session !== null && session.revokedAt === undefined
}

/** How far a deletion has come. Throws AUTH_DELETION_NOT_FOUND. */
export async function getDeletion({ store }: Deps, id: string): Promise<Deletion> {
  const deletion = await findDeletion(store, id)
  if (deletion === null) throw new SkerryError('AUTH_DELETION_NOT_FOUND')
  return presentDeletion(deletion)
}

/** Notes that a service has erased all, or has left and is waited for no more. The last one ends the account. */
export async function noteErasure(
  { store, now }: SagaDeps,
  tx: Tx,
  answer: { erasureId: string; service: string; counts?: Record<string, number> }
): Promise<void> {
  const { erasureId, service, counts } = answer
  const erased = counts === undefined ? { service } : { service, counts, at: new Date(now()) }
  const deletion = await noteErased(store, tx, erasureId, erased)
  if (deletion?.waitingFor.length === 0) await endAccount(store, tx, deletion)
}

/** The account and what it is signed in to with go: from here on the names are free. */
async function endAccount(store: Store, tx: Tx, { _id: erasureId, userId }: DeletionDocument): Promise<void> {
  const account = await findAccount(store, userId, tx)
  if (account !== null) {
    await releaseNames(store, tx, account)
    await removeAccount(store, tx, userId)
  }
  await moveDeletion(store, erasureId, 'ending', undefined, tx)
  publish(store, tx, AccountDeleted, { userId, erasureId })
}

/** Clears away what is kept beside an account that has ended. Harmless when repeated. */
export async function clearAccount(
  { store, now }: SagaDeps,
  { userId, erasureId }: { userId: string; erasureId?: string | undefined }
): Promise<void> {
  await deleteSessionsOf(store, userId)
  await eraseAnswers(store, userId)
  for (const { _id } of await findExportsOf(store, userId)) await deleteExport(store, _id)
  await eraseEvents(store, [AccountCreated, AccountUpdated], [userId])
  if (erasureId !== undefined) await moveDeletion(store, erasureId, 'done', new Date(now()))
}

function presentDeletion(deletion: DeletionDocument): Deletion {
  const { _id: id, state, requestedAt, finishedAt, waitingFor, erased } = deletion
  return {
    id,
    state,
    requestedAt: requestedAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
    waitingFor,
    erased: erased.map(({ service, at, counts }) => ({ service, at: at.toISOString(), counts }))
  }
}
