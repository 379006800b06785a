import { createClient, SkerryApiError, type SkerryClient } from '@skerry/sdk'
import { StartError } from '@skerry/stores'
import type { Journal } from './journal.ts'
import type { PlannedUser } from './plan.ts'
import type { Secret } from './secret.ts'

/** Waits as long as any limit of the gateway asks, and outlives the restart of a service. */
const CLIENT = { timeoutMs: 30_000, retries: 12, maxWaitMs: 120_000 }
/** An account older than this was not made by the request that just answered. */
const NEW_MS = 60_000

export type Accounts = {
  /** Signs the user up, or in when they exist; does nothing when the journal knows them. */
  ensure(user: PlannedUser): Promise<void>
  idOf(userKey: string): string
  /** Runs a step as this user, signing in again when their session is over. */
  as<T>(userKey: string, step: (client: SkerryClient) => Promise<T>): Promise<T>
  /** False when a user the journal knows is not there: the data was wiped since. */
  stillThere(user: PlannedUser): Promise<boolean>
}

export type AccountsDeps = {
  baseUrl: string
  journal: Journal
  secret: Secret
  users: ReadonlyMap<string, PlannedUser>
  signal: AbortSignal
}

/** The demo's users as clients of the API; their sessions are kept in the journal, so that a second run needs no sign-ins. */
export function createAccounts({ baseUrl, journal, secret, users, signal }: AccountsDeps): Accounts {
  const clients = new Map<string, SkerryClient>()

  function clientOf(key: string): SkerryClient {
    const known = clients.get(key)
    if (known !== undefined) return known
    const storage = {
      get: () => journal.sessions.get(key) || null,
      set: (_: string, value: string) => journal.add({ t: 'session', key, value }),
      remove: () => journal.add({ t: 'session', key, value: '' })
    }
    const client = createClient({ ...CLIENT, baseUrl, storage })
    clients.set(key, client)
    return client
  }

  function login(user: PlannedUser) {
    return clientOf(user.key).auth.login({ login: user.email, password: secret.password(user.key) }, { signal })
  }

  async function signup(user: PlannedUser, username: string) {
    const { email, displayName } = user
    const body = { email, username, displayName, password: secret.password(user.key) }
    return clientOf(user.key).auth.signup(body, { idempotencyKey: `demo-${user.key}-${username}`, signal })
  }

  /** Somebody has the address (an earlier run) or the username (an earlier run, or a person). */
  async function signInOrRename(user: PlannedUser, taken: SkerryApiError) {
    try {
      return await login(user)
    } catch (error) {
      if (!isCode(error, 'AUTH_BAD_CREDENTIALS')) throw error
      if (taken.code === 'AUTH_USERNAME_TAKEN')
        return signup(user, `${user.username.slice(0, 23)}.${user.key.slice(0, 5)}`)
      throw new StartError(
        `the demo users already exist with passwords from another secret: restore .skerry/demo/secret, or delete the data`,
        { cause: error }
      )
    }
  }

  return {
    async ensure(user) {
      if (journal.users.has(user.key)) return
      const started = Date.now()
      const grant = await signup(user, user.username).catch((error) => {
        if (isCode(error, 'AUTH_EMAIL_TAKEN') || isCode(error, 'AUTH_USERNAME_TAKEN'))
          return signInOrRename(user, error)
        throw error
      })
      const { id, username, createdAt } = grant.user
      const existed = Date.parse(createdAt) < started - NEW_MS
      journal.add({ t: 'user', key: user.key, id, username, ...(existed ? { existed } : {}) })
    },
    idOf(userKey) {
      const user = journal.users.get(userKey)
      if (user === undefined) throw new Error(`the user ${userKey} has not been loaded`)
      return user.id
    },
    async as(userKey, step) {
      const client = clientOf(userKey)
      try {
        return await step(client)
      } catch (error) {
        const user = users.get(userKey)
        if (user === undefined || !(error instanceof SkerryApiError) || error.status !== 401) throw error
        await login(user)
        return step(client)
      }
    },
    async stillThere(user) {
      // Asked by signing in: a token of before is signed well, whatever has become of the data.
      const id = journal.users.get(user.key)?.id
      try {
        return (await login(user)).user.id === id
      } catch (error) {
        if (isCode(error, 'AUTH_BAD_CREDENTIALS')) return false
        throw error
      }
    }
  }
}

export function isCode(error: unknown, code: string): error is SkerryApiError {
  return error instanceof SkerryApiError && error.code === code
}
