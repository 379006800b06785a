import { isIP } from 'node:net'
import type { RouteRules } from '@skerry/contracts'
import type { Logger } from '@skerry/service'
import { createNames, resolveAll } from './names.ts'
import { type FixedRoute, parseRoutes } from './routes-text.ts'
import { assertAnonymous, parseRules, shareRules } from './rules-text.ts'

/** One address of a route, as the registry would tell of an instance. */
export type FixedInstance = {
  readonly service: string
  readonly version: string
  readonly instance: string
  readonly url: string
  readonly weight: number
  readonly prefixes: string[]
  /** Rules of what is below its prefix. */
  readonly routes: RouteRules[]
}

export type FixedListOptions = {
  /** Gives the text of the routes (`parseRoutes`) and of the rules (`parseRules`), each time anew. */
  read(): Promise<{ routes: string; rules: string }>
  onChange(instances: FixedInstance[]): void
  log: Logger
  /** How often the texts are read and names resolved again, milliseconds. */
  refreshMs: number
  /** Nothing can verify a token: rules that need to know who asks are refused. */
  anonymous: boolean
  /** All addresses of a name; throws when there are none or nobody can say. */
  resolve?(name: string): Promise<string[]>
}

export type FixedList = {
  /** Reads everything again now. What does not fit is refused with a line in the log and the old list stays: then false. */
  reload(): Promise<boolean>
  close(): Promise<void>
}

/**
 * A fixed list of services in place of the registry. Each address of a name is an instance; texts and names are looked at again every
 * `refreshMs`, and what cannot be read or resolved leaves the last good answer. Names stay names in three cases: of `https`, because the
 * certificate is for the name, so that all its addresses are one instance whose connections are resolved anew; `localhost`, which is two
 * addresses of one process; and while a name was never resolved, so that its callers are told 503. Resolves when every name was looked
 * up once. Throws what is wrong with the first texts.
 */
export async function openFixedList(options: FixedListOptions): Promise<FixedList> {
  const { log } = options
  const names = createNames(log, options.resolve ?? resolveAll)
  let routes: readonly FixedRoute[] = []
  let rules: ReadonlyMap<string, RouteRules[]> = new Map()
  let seen = ''
  let told = ''
  let closed = false
  let timer: NodeJS.Timeout | undefined
  let work: Promise<unknown> = Promise.resolve()

  /** Takes the texts over. False when they are the same as before. */
  const read = async () => {
    const before = seen
    // What cannot be read now is looked at afresh when it can.
    seen = ''
    const text = await options.read()
    seen = JSON.stringify(text)
    if (seen === before) return false
    ;({ routes, rules } = readList(text, options.anonymous))
    return true
  }
  let refusal = ''
  /** Whether what is there now holds. */
  const readAgain = async () => {
    try {
      if (await read()) {
        log.info({ routes: routes.length }, 'routes loaded')
        refusal = ''
      }
    } catch (error) {
      const { message } = error as Error
      if (message !== refusal) log.error(`invalid routes, keeping the current ones: ${message}`)
      refusal = message
    }
    return refusal === ''
  }
  const resolve = async () => {
    await names.look(
      routes.flatMap(({ origins }) =>
        origins
          .map(({ url }) => url)
          .filter(isResolved)
          .map(({ hostname }) => hostname)
      )
    )
    const instances = routes.flatMap(instancesOf)
    const text = JSON.stringify(instances)
    if (closed || text === told) return
    told = text
    options.onChange(instances)
  }
  const instancesOf = ({ prefix, service, origins }: FixedRoute): FixedInstance[] => {
    const weights = new Map<string, number>()
    for (const { url, weight } of origins) {
      const urls = isResolved(url) ? names.of(url.hostname).map((address) => withHost(url, address)) : [url.origin]
      // What two of the list lead to is one instance, with the weight that stands first.
      for (const one of urls) if (!weights.has(one)) weights.set(one, weight)
    }
    return Array.from(weights, ([url, weight]) => ({
      service,
      version: 'fixed',
      instance: instanceOf(url),
      url,
      weight,
      prefixes: [prefix],
      routes: rules.get(service) ?? []
    }))
  }
  /** One thing at a time, in the order in which it was asked for. */
  const next = <T>(task: () => Promise<T>): Promise<T> => {
    const done = work.then(task)
    work = done.catch(() => 'told to who asked for it')
    return done
  }
  const refresh = async () => {
    const good = await readAgain()
    await resolve()
    return good
  }
  const again = () => {
    timer = setTimeout(() => next(refresh).finally(() => closed || again()), options.refreshMs)
    timer.unref()
  }

  await read()
  await resolve()
  again()
  return {
    reload: () =>
      next(() => {
        seen = ''
        refusal = ''
        return refresh()
      }),
    async close() {
      closed = true
      clearTimeout(timer)
      await work
    }
  }
}

/**
 * The routes of texts, and their rules by service. Throws one line for the first thing that does not fit.
 *
 * @param anonymous nothing can verify a token: rules that need to know who asks are refused
 */
export function readList(
  text: { routes: string; rules: string },
  anonymous: boolean
): { routes: FixedRoute[]; rules: Map<string, RouteRules[]> } {
  const routes = parseRoutes(text.routes)
  const rules = parseRules(text.rules)
  if (anonymous) assertAnonymous(rules)
  return { routes, rules: shareRules(rules, routes) }
}

function isResolved({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && hostname !== 'localhost' && !hostname.startsWith('[') && isIP(hostname) === 0
}

function withHost(url: URL, host: string): string {
  const changed = new URL(url)
  changed.hostname = isIP(host) === 6 ? `[${host}]` : host
  return changed.origin
}

/** `http://10.0.0.5:9001` → `10-0-0-5_9001`: the same for an address whatever else is in the list. */
function instanceOf(url: string): string {
  const { host } = new URL(url)
  return host
    .replace(/[^A-Za-z0-9:]/g, '-')
    .replaceAll(':', '_')
    .slice(-64)
}
