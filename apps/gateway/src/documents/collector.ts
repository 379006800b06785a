import type { Instance, Logger } from '@skerry/service'

/** What is collected: by which hash it is announced, and how it is fetched. */
export type DocumentSource<D> = {
  /** Of an instance that has none, undefined. */
  announced(instance: Instance): string | undefined
  /** Rejects with what is wrong. */
  fetch(ops: string, contract: string, service: string, options: { signal: AbortSignal; maxBytes: number }): Promise<D>
}

export type CollectorOptions<D> = {
  source: DocumentSource<D>
  log: Logger
  /** Milliseconds that all documents of one look may take together. */
  timeoutMs: number
  /** Bytes of one document. */
  maxBytes: number
  /** Services whose documents are kept. */
  maxServices: number
  /** Milliseconds that the document of a service that is away is kept. */
  keepMs: number
  /** Milliseconds; injected by tests. */
  now?: () => number
}

/** A service's document, under the hash that it was announced with. */
export type Held<D> = { readonly contract: string; readonly document: D }

export type Collector<D> = {
  /** The documents of the services that are there or were there lately, by service, in alphabetical order. Never rejects. */
  collect(live: readonly Instance[]): Promise<ReadonlyMap<string, Held<D>>>
}

/** An instance that gave no document is asked again after so long, doubled with each time, up to the longest. */
const RETRY_MS = 5_000
const LONGEST_RETRY_MS = 300_000

type Wanted = { contract: string; ops: string[] }

/**
 * Keeps one document for each service: the one that most of its instances announce, fetched once and from any of them. While that cannot be
 * had the last one stands. Of several callers at once one fetches for all.
 */
export function createCollector<D>(options: CollectorOptions<D>): Collector<D> {
  const { source, log, timeoutMs, maxBytes, maxServices, keepMs } = options
  const now = options.now ?? (() => performance.now())
  let held = new Map<string, Held<D>>()
  const awaySince = new Map<string, number>()
  /** Operations ports that gave none, with what was wanted: how often in a row, for what reason, and when they may be asked again. */
  const failed = new Map<string, { times: number; reason: string; until: number }>()
  let collecting: Promise<ReadonlyMap<string, Held<D>>> | undefined
  let tooMany = false

  return {
    collect(live) {
      collecting ??= look(live).finally(() => {
        collecting = undefined
      })
      return collecting
    }
  }

  async function look(live: readonly Instance[]): Promise<ReadonlyMap<string, Held<D>>> {
    const at = now()
    const wanted = wantedOf(live, source)
    const asked = new Set([...wanted.values()].flatMap(({ contract, ops }) => ops.map((url) => askedOf(url, contract))))
    for (const key of failed.keys()) if (!asked.has(key)) failed.delete(key)
    for (const service of held.keys()) {
      if (wanted.has(service)) awaySince.delete(service)
      else if (!awaySince.has(service)) awaySince.set(service, at)
      else if (at - awaySince.get(service)! >= keepMs) {
        held.delete(service)
        awaySince.delete(service)
      }
    }
    const missing = [...wanted].filter(([service, { contract }]) => held.get(service)?.contract !== contract)
    if (missing.length === 0) return held
    const signal = AbortSignal.timeout(timeoutMs)
    await Promise.all(missing.map(([service, one]) => fetchOne(service, one, signal)))
    held = new Map([...held].sort(([a], [b]) => (a < b ? -1 : 1)))
    return held
  }

  async function fetchOne(service: string, { contract, ops }: Wanted, signal: AbortSignal): Promise<void> {
    if (!held.has(service) && held.size >= maxServices) {
      if (!tooMany) log.warn({ service, maxServices }, 'too many services: some documents are not collected')
      tooMany = true
      return
    }
    for (const url of ops) {
      const key = askedOf(url, contract)
      const before = failed.get(key)
      if (before !== undefined && before.until > now()) continue
      if (signal.aborted) return
      try {
        held.set(service, { contract, document: await source.fetch(url, contract, service, { signal, maxBytes }) })
        failed.delete(key)
        return
      } catch (error) {
        const reason = (error as Error).message
        const times = (before?.times ?? 0) + 1
        failed.set(key, {
          times,
          reason,
          until: now() + Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(times - 1, 20))
        })
        // Once for each reason, not for as long as it lasts.
        if (reason !== before?.reason)
          log.warn({ err: error, service, ops: url }, 'failed to fetch a document from an instance')
      }
    }
  }
}

function askedOf(ops: string, contract: string): string {
  return `${contract} ${ops}`
}

/** Of each service the contract that most instances announce (of as many the higher version's) and where it can be had. */
function wantedOf(live: readonly Instance[], source: Pick<DocumentSource<unknown>, 'announced'>): Map<string, Wanted> {
  const services = new Map<string, Map<string, { version: string; ops: string[] }>>()
  for (const instance of live) {
    const { service, version, ops } = instance
    const contract = source.announced(instance)
    if (ops === undefined || contract === undefined) continue
    const contracts = services.get(service) ?? new Map<string, { version: string; ops: string[] }>()
    services.set(service, contracts)
    const known = contracts.get(contract)
    if (known === undefined) contracts.set(contract, { version, ops: [ops] })
    else {
      known.ops.push(ops)
      if (compareVersions(version, known.version) > 0) known.version = version
    }
  }
  return new Map(
    [...services].map(([service, contracts]) => {
      const [best] = [...contracts].sort(
        ([hashA, a], [hashB, b]) =>
          b.ops.length - a.ops.length || compareVersions(b.version, a.version) || (hashA < hashB ? -1 : 1)
      )
      return [service, { contract: best![0], ops: best![1].ops }]
    })
  )
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
