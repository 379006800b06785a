import { ADDRCONFIG } from 'node:dns'
import { lookup } from 'node:dns/promises'
import type { Logger } from '@skerry/service'

/** Addresses of one name that are used at most. */
const MOST_ADDRESSES = 64
const RESOLVE_MS = 5_000

export type Names = {
  /** Resolves these names, and forgets all others. A name that cannot be resolved keeps its last addresses. */
  look(wanted: Iterable<string>): Promise<void>
  /** The addresses of a name; itself while none were ever found. */
  of(name: string): readonly string[]
}

/** The addresses of names as they were found last. */
export function createNames(log: Logger, resolve: (name: string) => Promise<string[]>): Names {
  const addresses = new Map<string, readonly string[]>()
  const failing = new Set<string>()

  const lookOne = async (name: string) => {
    try {
      const found = (await within(RESOLVE_MS, resolve(name))).sort().slice(0, MOST_ADDRESSES)
      if (found.length === 0) throw new Error('it has no address')
      addresses.set(name, found)
      if (failing.delete(name)) log.info({ name, addresses: found }, 'host name resolves again')
    } catch (error) {
      if (!failing.has(name))
        log.warn({ reason: (error as Error).message, name }, 'host name does not resolve: keeping its last addresses')
      failing.add(name)
    }
  }
  return {
    async look(wanted) {
      const names = new Set(wanted)
      for (const name of [...addresses.keys(), ...failing]) {
        if (names.has(name)) continue
        addresses.delete(name)
        failing.delete(name)
      }
      await Promise.all(Array.from(names, lookOne))
    },
    of: (name) => addresses.get(name) ?? [name]
  }
}

/** All addresses of a name, as every program on this machine finds them: hosts file, search domains; no IPv6 where there is none. */
export async function resolveAll(name: string): Promise<string[]> {
  return (await lookup(name, { all: true, hints: ADDRCONFIG })).map(({ address }) => address)
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
