import type { Grant } from '@skerry/contracts'
import { SkerryApiError } from './errors.ts'
import { delay } from './retry.ts'
import type { SessionStorage, StoredSession } from './types.ts'

const AHEAD_MS = 60_000
/** Another client on the same storage may have been first and not have written yet: look again after these milliseconds. */
const LOOK_AGAIN_MS = [0, 100, 400]

export type SessionDeps = {
  storage: SessionStorage | undefined
  storageKey: string
  /** Trades a refresh token for a grant, with the client's retries. */
  refresh: (refreshToken: string) => Promise<Grant>
  onSignedOut: ((error: unknown) => void) | undefined
  /** The user has changed or gone: what was cached for them must go too. */
  onChange: () => void
}

/** Holds the tokens. However many requests need a new one at once, one refresh is sent. */
export type SessionKeeper = ReturnType<typeof createSessionKeeper>

export function createSessionKeeper(deps: SessionDeps) {
  const { storage, storageKey } = deps
  let state: StoredSession | null = null
  let loading: Promise<void> | undefined
  let renewing: Promise<void> | undefined
  let leaving = 0

  async function read(): Promise<StoredSession | null> {
    const text = await storage?.get(storageKey)
    return text === null || text === undefined ? null : parse(text)
  }

  async function current(): Promise<StoredSession | null> {
    loading ??= read().then(
      (stored) => {
        state ??= stored
      },
      (error) => {
        loading = undefined // a keychain may be locked now and open later
        throw error
      }
    )
    await loading
    return state
  }

  async function accept(grant: Grant): Promise<void> {
    loading ??= Promise.resolve()
    if (state?.user.id !== grant.user.id) deps.onChange()
    const now = Date.now()
    const life = grant.expiresIn * 1000
    const { user, session, accessToken, refreshToken } = grant
    state = {
      user,
      session,
      accessToken,
      refreshToken,
      expiresAt: now + life,
      refreshAt: now + life - Math.min(AHEAD_MS, life / 5)
    }
    await storage?.set(storageKey, JSON.stringify(state))
  }

  async function clear(): Promise<void> {
    loading ??= Promise.resolve()
    state = null
    deps.onChange()
    await storage?.remove(storageKey)
  }

  /** True when another client on the same storage has already renewed what we hold. */
  async function adopt(mine: StoredSession): Promise<boolean> {
    const stored = await read()
    if (stored === null || stored.refreshToken === mine.refreshToken || stored.user.id !== mine.user.id) return false
    if (state === mine) state = stored
    return true
  }

  async function adoptSoon(mine: StoredSession): Promise<boolean> {
    if (storage === undefined) return false
    for (const ms of LOOK_AGAIN_MS) {
      await delay(ms)
      if (state !== mine || (await adopt(mine))) return true
    }
    return false
  }

  async function renewOnce(mine: StoredSession): Promise<void> {
    if (await adopt(mine)) return
    try {
      const grant = await deps.refresh(mine.refreshToken)
      if (state === mine) await accept(grant) // else somebody signed in or out meanwhile, and that stands
    } catch (error) {
      // Nothing else ends a session: not a proxy's 401, nor a fault of the server's.
      if (!(error instanceof SkerryApiError) || error.code !== 'AUTH_BAD_REFRESH_TOKEN') throw error
      if (state !== mine || (await adoptSoon(mine))) return
      if (leaving === 0) {
        await clear()
        deps.onSignedOut?.(error)
      }
      throw error
    }
  }

  /** Makes sure the token is not `used` any more: renews it unless somebody already has. */
  async function renew(used: string): Promise<void> {
    if (renewing === undefined) {
      const mine = await current()
      if (mine === null || mine.accessToken !== used) return
      renewing ??= renewOnce(mine).finally(() => {
        renewing = undefined
      })
    }
    await renewing
  }

  /** An access token that should be good, renewed ahead of its end; null without a session. */
  async function token(): Promise<string | null> {
    const now = Date.now()
    const mine = await current()
    if (mine === null) return null
    if (now >= mine.refreshAt) {
      try {
        await renew(mine.accessToken)
      } catch (error) {
        // No network, or the auth service is away: what we hold may still be good for a while.
        if (state === null || now >= state.expiresAt) throw error
      }
    }
    return state?.accessToken ?? null
  }

  /**
   * Does what ends the session. Until it is through, whoever finds the session ended neither tells nor takes the token away: a repeat after
   * a lost answer still needs it.
   */
  async function leaveBy<T>(work: () => Promise<T>): Promise<T> {
    leaving++
    try {
      return await work()
    } finally {
      leaving--
    }
  }

  /** Signs out in any case. A session that is over already is one that has been left. */
  async function leave(tellServer: () => Promise<unknown>): Promise<void> {
    try {
      await leaveBy(tellServer)
    } catch (error) {
      if (!(error instanceof SkerryApiError) || error.status !== 401) throw error
    } finally {
      await clear()
    }
  }

  return { current, accept, clear, leave, leaveBy, renew, token }
}

function parse(text: string): StoredSession | null {
  try {
    const value = JSON.parse(text) as StoredSession
    const whole = typeof value.accessToken === 'string' && typeof value.refreshToken === 'string'
    return whole && typeof value.user.id === 'string' ? value : null
  } catch {
    return null // written by something else: as good as none
  }
}
