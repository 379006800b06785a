import { type Export, ExportRequested, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { bucketOf, type CallContext, newId, type Tx, transaction } from '@skerry/store'
import { type AccountDocument, findAccount, markAccount } from '../data/accounts.ts'
import {
  countParts,
  deleteExport,
  type ExportDocument,
  findExport,
  findExportsOf,
  insertExport,
  markReady,
  noteSent,
  partsOf,
  type Sent,
  savePart
} from '../data/exports.ts'
import { findParticipants } from '../data/participants.ts'
import { findSessionsOf } from '../data/sessions.ts'
import type { SagaDeps } from './delete-account.ts'
import type { Deps } from './deps.ts'
import { presentAccount } from './grant.ts'
import { type Proving, proveOwner } from './prove-owner.ts'
import type { Who } from './sessions.ts'

/** How long an export can be had, from when it was asked for. */
const KEPT_MS = 7 * 24 * 3600_000
const SESSIONS_MAX = 1_000

/** Asks every service that takes part for what it has of the caller. While one export is being collected, asking again answers that one. */
export async function requestExport(
  deps: Deps,
  who: Proving,
  currentPassword: string | undefined,
  call: CallContext
): Promise<Export> {
  const { store } = deps
  const { userId } = who
  await proveOwner(deps, who, currentPassword)
  const now = new Date(deps.now())
  const made = await transaction(store, call, async (tx) => {
    const account = await findAccount(store, userId, tx)
    if (account === null || account.deletionId !== undefined) throw new SkerryError('SESSION_REVOKED')
    const before = account.exportId === undefined ? null : await findExport(store, account.exportId, tx)
    if (before !== null && before.readyAt === undefined && before.expiresAt > now) return before
    const id = newId(bucketOf(userId), now.getTime())
    const waitingFor = await findParticipants(store, tx)
    const document: ExportDocument = {
      _id: id,
      bucket: bucketOf(userId),
      userId,
      requestedAt: now,
      expiresAt: new Date(now.getTime() + KEPT_MS),
      ...(waitingFor.length === 0 ? { readyAt: now } : {}),
      waitingFor,
      sent: []
    }
    document.sent.push(await saveOwn(deps, tx, account, document))
    await insertExport(store, tx, document)
    await markAccount(store, tx, userId, { exportId: id })
    publish(store, tx, ExportRequested, { exportId: id, userId, requestedAt: now.toISOString() })
    return document
  })
  // What a failure here leaves goes with its time.
  for (const { _id } of await findExportsOf(store, userId)) if (_id !== made._id) await deleteExport(store, _id)
  return presentExport(made)
}

/** What auth itself keeps of somebody, but for what only proves that it is them. */
async function saveOwn({ store }: Deps, tx: Tx, account: AccountDocument, document: ExportDocument): Promise<Sent> {
  const { _id: exportId, expiresAt, requestedAt: at, bucket } = document
  const run = newId(bucket)
  const own = { exportId, service: 'auth', run, expiresAt }
  const sessions = (await findSessionsOf(store, account._id, SESSIONS_MAX)).map((session) => ({
    id: session._id,
    userAgent: session.userAgent,
    createdAt: session.createdAt.toISOString(),
    lastUsedAt: session.lastUsedAt.toISOString()
  }))
  await savePart(store, tx, {
    ...own,
    part: 0,
    section: 'account',
    items: [{ ...presentAccount(account), displayName: account.displayName }]
  })
  await savePart(store, tx, { ...own, part: 1, section: 'sessions', items: sessions })
  const counts = { account: 1, sessions: sessions.length }
  return { service: 'auth', at, run, parts: 2, counts, truncated: false }
}

/** An export of the caller. Throws AUTH_EXPORT_NOT_FOUND, also for somebody else's and for one that has expired. */
export async function getExport(deps: Deps, who: Who, id: string): Promise<Export> {
  return presentExport(await findOwn(deps, who, id))
}

/** The whole of a finished export as JSON, piece by piece. Throws AUTH_EXPORT_NOT_FOUND or AUTH_EXPORT_NOT_READY. */
export async function readExport(deps: Deps, who: Who, id: string): Promise<AsyncGenerator<string>> {
  const document = await findOwn(deps, who, id)
  if (document.readyAt === undefined)
    throw new SkerryError('AUTH_EXPORT_NOT_READY', { detail: `Waiting for ${document.waitingFor.join(', ')}.` })
  return textOf(deps, document)
}

async function* textOf({ store }: Deps, document: ExportDocument): AsyncGenerator<string> {
  const { _id, userId, requestedAt, sent } = document
  const head = JSON.stringify({ exportId: _id, userId, requestedAt: requestedAt.toISOString() })
  yield `${head.slice(0, -1)},"services":{`
  for (const [i, service] of sent.entries()) {
    yield `${i === 0 ? '' : ','}${JSON.stringify(service.service)}:{`
    let section: string | undefined
    let empty = true
    for await (const part of partsOf(store, _id, service)) {
      if (part.section !== section) {
        yield `${section === undefined ? '' : '],'}${JSON.stringify(part.section)}:[`
        section = part.section
        empty = true
      }
      const items = part.items.slice(1, -1)
      if (items === '') continue
      yield empty ? items : `,${items}`
      empty = false
    }
    yield section === undefined ? '}' : ']}'
  }
  yield '}}'
}

async function findOwn({ store, now }: Deps, who: Who, id: string): Promise<ExportDocument> {
  const found = bucketOf(id) === bucketOf(who.userId) ? await findExport(store, id) : null
  if (found === null || found.userId !== who.userId || found.expiresAt.getTime() <= now())
    throw new SkerryError('AUTH_EXPORT_NOT_FOUND')
  return found
}

export type SentPart = {
  exportId: string
  userId: string
  run: string
  part: number
  section: string
  items: readonly unknown[]
}

/** Keeps a part that a service sent; one of an export that is no more is dropped. */
export async function keepPart({ store }: SagaDeps, tx: Tx, service: string, part: SentPart): Promise<void> {
  const found = await findExport(store, part.exportId, tx)
  if (found === null || found.userId !== part.userId) return
  await savePart(store, tx, { ...part, service, expiresAt: found.expiresAt })
}

/** Notes that a service has sent all, or has left and is waited for no more. After the last one the export can be had. */
export async function noteExport(
  { store, now }: SagaDeps,
  tx: Tx,
  answer: { exportId: string; service: string; sent?: Omit<Sent, 'service' | 'at'> }
): Promise<void> {
  const { exportId, service, sent } = answer
  const at = new Date(now())
  // A part that went to the dead letters is missing: the document says so.
  const missing = sent !== undefined && (await countParts(store, tx, exportId, { service, run: sent.run })) < sent.parts
  const note = sent === undefined ? { service } : { ...sent, service, at, truncated: sent.truncated || missing }
  const after = await noteSent(store, tx, exportId, note)
  if (after?.waitingFor.length === 0) await markReady(store, tx, exportId, at)
}

function presentExport(document: ExportDocument): Export {
  const { _id: id, requestedAt, readyAt, expiresAt, waitingFor, sent } = document
  return {
    id,
    state: readyAt === undefined ? 'collecting' : 'ready',
    requestedAt: requestedAt.toISOString(),
    readyAt: readyAt?.toISOString() ?? null,
    expiresAt: expiresAt.toISOString(),
    waitingFor,
    parts: sent.map(({ service, at, parts, counts, truncated }) => ({
      service,
      at: at.toISOString(),
      parts,
      counts,
      truncated
    }))
  }
}
