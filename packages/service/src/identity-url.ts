import type { JSONWebKeySet } from 'jose'
import { foreignTokens } from './foreign-tokens.ts'
import { type Caller, type Identity, namesUnknownKey, TokenVerifier } from './identity.ts'
import type { Logger } from './log.ts'

export type IdentityUrlOptions = {
  /** Where the JWK set is; `https`, or `http` on this machine. */
  url: string
  issuer: string
  audience: string
  /** What may sign; `EdDSA`, `ES256` and `RS256` unless given. */
  algorithms?: readonly string[]
  /** Takes `http` from another machine: whoever can change what is on that wire can then sign in as anybody. */
  insecure?: boolean
  /** How often the set is fetched (milliseconds, 300,000). */
  refreshMs?: number
  /** How soon a token that names an unknown key may have it fetched again, and how soon a failure is tried again (5,000). */
  unknownKeyMs?: number
  /** Bound of one fetch (5,000). */
  timeoutMs?: number
  cacheSize?: number
  log?: Logger | undefined
}

const LARGEST_SET = 256 * 1024
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * An identity whose keys come from a URL: any issuer's JWK set. The set is fetched again every `refreshMs` and, since that is what rotation
 * looks like, when a token names a key that is not in it, at most once in `unknownKeyMs` whatever tokens come. While the URL fails, gives
 * something else or an empty set, the last good one holds. Resolves after the first attempt; `ready()` once a set is known. There are no
 * revocations but those of this process. Throws for a URL or an algorithm that cannot be trusted.
 */
export async function openIdentityFromUrl(options: IdentityUrlOptions): Promise<Identity> {
  const { url, log, refreshMs = 300_000, unknownKeyMs = 5_000, timeoutMs = 5_000 } = options
  assertIdentityUrl(options)
  const verifier = new TokenVerifier({ cacheSize: options.cacheSize, rules: foreignTokens(options) })
  const closing = new AbortController()
  let current = ''
  let fetching: Promise<void> | undefined
  let fetchedAt = -Infinity
  let failing = false
  let timer: NodeJS.Timeout | undefined

  const fetchOnce = async () => {
    fetchedAt = performance.now()
    try {
      const text = await readBounded(url, AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)]))
      if (text !== current) {
        verifier.setKeys(publicKeysOf(text))
        current = text
      }
      if (failing) log?.info({ url }, 'JWKS fetched again')
      failing = false
    } catch (error) {
      if (closing.signal.aborted) return
      const what =
        current === ''
          ? 'no token is accepted and this instance is not ready until it succeeds'
          : 'keeping the last known keys'
      if (!failing) log?.error({ reason: reasonOf(error as Error), url }, `failed to fetch the JWKS: ${what}`)
      failing = true
    }
  }
  /** One fetch at a time; who comes meanwhile waits for that one. */
  const refresh = (): Promise<void> => {
    fetching ??= fetchOnce().finally(() => {
      fetching = undefined
      clearTimeout(timer)
      // Not all gateways at the same moment.
      if (!closing.signal.aborted)
        timer = setTimeout(
          refresh,
          (failing ? Math.min(unknownKeyMs, refreshMs) : refreshMs) * (0.9 + Math.random() * 0.1)
        )
      timer?.unref()
    })
    return fetching
  }
  const verify = async (token: string, endedToo?: boolean): Promise<Caller> => {
    try {
      return await verifier.verify(token, endedToo)
    } catch (error) {
      if (!namesUnknownKey(error)) throw error
      if (fetching === undefined && performance.now() - fetchedAt < unknownKeyMs) throw error
      await refresh()
      return verifier.verify(token, endedToo)
    }
  }
  await refresh()
  return {
    verify,
    verifyCached: (token) => verifier.verifyCached(token),
    revoke: (sessionId) => verifier.revoke(sessionId),
    ready: () => verifier.ready(),
    async close() {
      closing.abort()
      clearTimeout(timer)
      await fetching
      await verifier.close()
    }
  }
}

/** Throws what `openIdentityFromUrl` would: for a URL or an algorithm that cannot be trusted. */
export function assertIdentityUrl(options: IdentityUrlOptions): void {
  const { url, insecure = false } = options
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:')
    throw new Error(`the JWKS cannot be fetched from ${url}: give an https URL`)
  if (protocol === 'http:' && !insecure && !LOOPBACK.test(hostname))
    throw new Error(
      `the keys at ${url} could be exchanged on their way: give an https URL, or say JWKS_INSECURE=true if that network is yours alone`
    )
  foreignTokens(options)
}

/** `fetch` itself only says that it failed. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message}: ${cause.message}` : message
}

async function readBounded(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
  if (!response.ok || response.body === null) {
    await response.body?.cancel()
    throw new Error(`the answer is ${response.status}`)
  }
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of response.body) {
    size += part.length
    if (size > LARGEST_SET) throw new Error(`the answer is larger than ${LARGEST_SET} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** The asymmetric keys of a JWK set. Throws when there is none: an issuer without keys is one that is broken. */
function publicKeysOf(text: string): JSONWebKeySet {
  const { keys } = JSON.parse(text) as Partial<JSONWebKeySet>
  const usable = Array.isArray(keys) ? keys.filter((key) => key?.kty !== undefined && key.kty !== 'oct') : []
  if (usable.length === 0) throw new Error('the answer is no JWK set with public keys')
  return { keys: usable }
}
