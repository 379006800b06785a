import { randomBytes } from 'node:crypto'
import type { Account, Grant } from '@skerry/contracts'
import { newId, type Tx } from '@skerry/store'
import type { AccountDocument } from '../data/accounts.ts'
import { insertSession, type SessionDocument } from '../data/sessions.ts'
import type { Deps } from './deps.ts'
import { firstRefreshToken, newestOf } from './refresh-token.ts'

export function presentAccount(account: AccountDocument): Account {
  const { _id: id, username, email, emailVerified, createdAt, version } = account
  return { id, username, email, emailVerified, guest: false, createdAt: createdAt.toISOString(), version }
}

/** What a client gets to go on with. */
export function grantOf(
  deps: Deps,
  account: AccountDocument,
  session: Pick<SessionDocument, '_id' | 'authenticatedAt'>,
  refreshToken: string
): Grant {
  return {
    user: presentAccount(account),
    session: { id: session._id },
    accessToken: deps.accessToken({
      userId: account._id,
      sessionId: session._id,
      username: account.username,
      displayName: account.displayName,
      authenticatedAt: session.authenticatedAt.getTime(),
      now: deps.now()
    }),
    tokenType: 'Bearer',
    expiresIn: deps.limits.accessTtlMs / 1000,
    refreshToken
  }
}

const SEED_BYTES = 16

/** Begins a session of somebody who has just proved who they are. */
export async function beginSession(
  deps: Deps,
  tx: Tx,
  account: AccountDocument,
  userAgent: string | null
): Promise<Grant> {
  const { bucket, _id: userId } = account
  const now = new Date(deps.now())
  const sessionId = newId(bucket, now.getTime())
  const seed = randomBytes(SEED_BYTES).toString('base64url')
  const token = firstRefreshToken(sessionId, seed, deps.refreshSecret)
  const session: SessionDocument = {
    bucket,
    _id: sessionId,
    userId,
    seed,
    familyHash: token.familyHash,
    tokenHash: token.hash,
    userAgent,
    createdAt: now,
    lastUsedAt: now,
    authenticatedAt: now,
    expiresAt: new Date(now.getTime() + deps.limits.refreshTtlMs)
  }
  await insertSession(deps.store, tx, session)
  return grantOf(deps, account, session, token.text)
}

/** The refresh token that a session is to use next, by what it keeps. Undefined for one whose tokens are made with an earlier secret. */
export function newestTokenOf(deps: Deps, session: SessionDocument): string | undefined {
  if (session.seed === undefined) return undefined
  const first = firstRefreshToken(session._id, session.seed, deps.refreshSecret)
  return newestOf(first, session.tokenHash, deps.refreshSecret)?.text
}
