/** What a service announced of itself, as far as routing goes. */
export type Announced = { readonly service: string; readonly prefixes: readonly string[] }

/** Which service answers a path. */
export type RouteTable = {
  /** The service with the longest announced prefix of the path, whether or not it has a live instance. */
  find(path: string): string | undefined
  /** Takes in who is live now. Calls `onConflict` for a prefix that another service holds. */
  update(live: readonly Announced[], now: number): void
}

/** A prefix stays with a service that is away for this long: its paths answer 503 rather than 404, and nobody else can take them. */
const HOLD_MS = 10 * 60_000
const PREFIX = /^(\/[A-Za-z0-9_.~-]+)+$/

type Holder = { service: string; seen: number }

/** Who answers a path that is known to exist, but whose service this gateway has not seen yet. */
export const UNSEEN = 'unseen'

/**
 * @param expected prefixes known from the contracts: they answer 503 until a service, whichever comes, announces them
 * @param onConflict is told once for each prefix that a service claims and another holds
 */
export function createRouteTable(
  expected: readonly string[],
  onConflict: (prefix: string, holder: string, claimant: string) => void
): RouteTable {
  const holders = new Map<string, Holder>(expected.map((prefix) => [prefix, { service: UNSEEN, seen: -Infinity }]))
  const told = new Set<string>()
  let deepest = deepestOf(expected)
  /** Those who held their prefixes, and announced them, when this was last told. */
  let present: Holder[] = []

  return {
    find(path) {
      // Only as deep as any prefix goes, so that a path of a thousand segments costs no more than another.
      let end = 0
      for (let depth = 0; depth < deepest && end !== -1; depth++) end = path.indexOf('/', end + 1)
      let head = end === -1 ? path : path.slice(0, end)
      while (head !== '') {
        const holder = holders.get(head)
        if (holder !== undefined) return holder.service
        head = head.slice(0, head.lastIndexOf('/'))
      }
      return undefined
    },
    update(live, now) {
      // Nobody tells of what stays as it is: they were there until now, however long ago that was first said.
      for (const holder of present) holder.seen = now
      present = []
      // Whoever holds comes first. Otherwise names would decide between one who is live and one who claims.
      for (const isHolder of [true, false])
        for (const { service, prefixes } of live)
          for (const prefix of prefixes)
            if ((holders.get(prefix)?.service === service) === isHolder) claim(prefix, service, now)
      for (const { service, prefixes } of live)
        for (const prefix of prefixes) {
          const holder = holders.get(prefix)
          if (holder?.service === service) present.push(holder)
        }
      deepest = deepestOf([...holders.keys()])
    }
  }

  function claim(prefix: string, service: string, now: number): void {
    const holder = holders.get(prefix)
    if (holder === undefined) {
      if (PREFIX.test(prefix)) holders.set(prefix, { service, seen: now })
    } else if (holder.service === service) holder.seen = now
    else if (now - holder.seen > HOLD_MS) holders.set(prefix, { service, seen: now })
    else if (!told.has(`${prefix} ${service}`)) {
      told.add(`${prefix} ${service}`)
      onConflict(prefix, holder.service, service)
    }
  }
}

function deepestOf(prefixes: readonly string[]): number {
  return Math.max(0, ...prefixes.map((prefix) => prefix.split('/').length - 1))
}
