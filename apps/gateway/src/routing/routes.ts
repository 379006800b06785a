import type { Priority, RouteRules } from '@skerry/contracts'
import type { Instance } from '@skerry/service'
import findMyWay, { type HTTPMethod } from 'find-my-way'
import { type CachedRoute, compileCachedRoute } from '../cache/cached-route.ts'
import { compileTags, type TagsOf } from '../cache/tags.ts'
import { LatencyWindow } from '../upstreams/latency.ts'
import { foldedPaths, foldedPattern, isOdd } from './folded.ts'
import { createRouteTable } from './route-table.ts'

/** One route of a service, with what the gateway has to know to serve it, worked out once. */
export type Route = {
  readonly service: string
  /** As its contract says; `*` for what no contract describes. */
  readonly method: string
  readonly path: string
  readonly rules: RouteRules | undefined
  readonly needsToken: boolean
  /** A route that takes no token ignores one: with an expired token a client must still be able to refresh it. */
  readonly ignoresToken: boolean
  /** A token whose session has ended is taken, too. */
  readonly endedSession: boolean
  readonly stream: boolean
  /** Its bodies pass through; `limit` bytes of a request's, where it has one of its own. */
  readonly streamed: { readonly limit: number | undefined } | undefined
  readonly priority: Priority
  readonly timeoutMs: number
  /** Its service honours `Idempotency-Key`: what has one may be sent again. */
  readonly idempotent: boolean
  readonly latencies: LatencyWindow
  /** How its answers are kept, if at all. */
  readonly cached: CachedRoute | undefined
  /** Tags that a success of it ends. */
  readonly endsOf: TagsOf | undefined
}

/** What answers a request. */
export type Match = { route: Route; params: Readonly<Record<string, string | undefined>> }

/** Which route answers a request. */
export type Routes = {
  /** By method (HEAD counts as GET) and decoded path; undefined where nobody has announced the path. */
  find(method: string, path: string): Match | undefined
  /** The service that a path leads to, by its prefix. */
  holder(path: string): string | undefined
  /** Takes in who is live now and what they announce. */
  update(live: readonly Instance[], now: number): void
  /** The rules of all live services. */
  announced(): Iterable<RouteRules>
}

export type RoutesOptions = {
  /** Prefixes that answer 503 until a service announces them. */
  expected: readonly string[]
  /** Rules that hold where a service announces none for a path. */
  known: readonly RouteRules[]
  timeoutMs: number
  /** Who may come in where no rule names a path; `optional` unless given. */
  unnamed?: RouteRules['auth'] | undefined
  onConflict(prefix: string, holder: string, claimant: string): void
  /** A rule that cannot be used is left out; one of which only the policies of its answers cannot be is kept without them. */
  onBadRule(service: string, rule: RouteRules, reason: string): void
}

const NO_PARAMS = {}
const READS = new Set(['GET', 'HEAD'])
const IN_RULES = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/**
 * The one route table: prefixes decide which service answers, its announced rules how. A rule counts only below a prefix that its service
 * holds, so no service can speak for another. A path that its service may take for one that a rule names (`/ME/` for `/me`) needs the token
 * and has the limit of that rule, unless another names it literally: what cannot be told is closed. So are the paths that no rule names of a
 * service with rules that cannot be read.
 */
export function createRoutes(options: RoutesOptions): Routes {
  const table = createRouteTable(options.expected, options.onConflict)
  /** By service: its routes that no contract describes, and known rules that it has taken over. */
  const plain = new Map<string, { reads: Route; writes: Route }>()
  const taken = new Map<string, Route>()
  /** What is known of latencies outlives a change of rules. */
  const latencies = new Map<string, LatencyWindow>()
  /** Routes of paths that their service may take for others. */
  const closed = new WeakMap<Route, Route>()
  let announced = ''
  /** Some rule demands what others must not walk around; and one of those has a path that an ordinary one may be taken for. */
  let strict = false
  let strictOdd = false
  let rules: RouteRules[] = []
  /** What each service announced last. */
  const held = new Map<string, RouteRules[]>()
  /** Services with rules of which cannot be told what they are about. */
  const unread = new Set<string>()
  /** The same of rules that cannot be used. */
  const unusable = new Set<string>()
  let folded = newRouter()
  let router = build()

  return {
    find(method, path) {
      const service = table.find(path)
      if (service === undefined) return undefined
      const asked = method === 'HEAD' ? 'GET' : method
      const found = router.find(asked as HTTPMethod, path)
      const route = ownedBy(service, found?.store as Route | undefined)
      if (strict && (strictOdd || isOdd(path)) && (route === undefined || /\/[:*]/.test(route.path))) {
        const other = closedRoute(service, asked, path, route)
        if (other !== undefined) return { route: other, params: NO_PARAMS }
      }
      if (route !== undefined) return { route, params: found!.params }
      return { route: plainRoute(service, READS.has(method)), params: NO_PARAMS }
    },
    holder: (path) => table.find(path),
    update(live, now) {
      table.update(live, now)
      // Heartbeats repeat; a router is built only when something is new.
      const text = JSON.stringify(
        live.map(({ service, version, routes, unreadRules, prefixes }) => [
          service,
          version,
          routes,
          unreadRules,
          prefixes,
          prefixes.map(table.find)
        ])
      )
      if (text === announced) return
      announced = text
      const said = new Map<string, RouteRules[]>()
      for (const { service, routes = [] } of live) said.set(service, [...(said.get(service) ?? []), ...routes])
      // Who is away keeps its rules as long as its prefixes: kept answers may be served, and nobody comes in by an accident.
      for (const [service, rules] of said) {
        held.set(service, rules)
        unread.delete(service)
      }
      for (const { service, unreadRules } of live) if (unreadRules === true) unread.add(service)
      plain.clear()
      router = build()
    },
    announced: () => rules
  }

  function build() {
    const made = newRouter()
    folded = newRouter()
    strict = false
    strictOdd = false
    rules = []
    unusable.clear()
    /** What `/feed/*` says of `/feed` itself, where no rule names that. */
    const bases: [RouteRules, Route][] = []
    const put = (method: RouteRules['method'], path: string, route: Route): boolean => {
      const isNew = !made.hasRoute(method, path)
      if (isNew) made.on(method, path, () => undefined, route)
      const pattern = foldedPattern(path)
      const known = folded.findRoute(method, pattern)?.store as Folded | undefined
      if (known === undefined) folded.on(method, pattern, () => undefined, { routes: [route] } satisfies Folded)
      else if (isNew) known.routes.push(route)
      return isNew
    }
    const add = (service: string, rule: RouteRules): void => {
      try {
        // Patterns in paths would run on whatever clients send.
        if (/[()]/.test(rule.path)) throw new Error('parentheses in a path')
        if (!IN_RULES.includes(rule.method) || made.hasRoute(rule.method, rule.path)) return
        const route = usableRoute(service, rule)
        put(rule.method, rule.path, route)
        if (rule.path.endsWith('/*')) bases.push([rule, route])
        if (isStrict(route)) {
          strict = true
          strictOdd ||= isOdd(rule.path.replaceAll(/\/[:*][^/]*/g, ''))
        }
        rules.push(route.rules!)
      } catch (error) {
        if (rule.auth === 'required') unusable.add(service)
        options.onBadRule(service, rule, (error as Error).message)
      }
    }
    for (const [service, routes] of held)
      for (const rule of routes) if (table.find(fixedPart(rule.path)) === service) add(service, rule)
    for (const rule of options.known) add('', rule)
    for (const [rule, route] of bases) put(rule.method, rule.path.slice(0, -2), route)
    return made
  }

  /** A rule whose policies are out of bounds says all the same who may come in. */
  function usableRoute(service: string, rule: RouteRules): Route {
    try {
      return routeOf(service, rule)
    } catch (error) {
      const { cache: _cache, ends: _ends, ...rest } = rule
      const route = routeOf(service, rest)
      options.onBadRule(service, rule, (error as Error).message)
      return route
    }
  }

  /** A route if it is of this service; one that is known before anybody announced it is taken over. */
  function ownedBy(service: string, route: Route | undefined): Route | undefined {
    if (route === undefined || route.service === service) return route
    return route.service === '' ? adopted(route, service) : undefined
  }

  /** What the rules of paths that this one may be taken for demand beyond those of its own route; undefined: nothing. */
  function closedRoute(service: string, method: string, path: string, named: Route | undefined): Route | undefined {
    let found: Route | undefined
    for (const one of foldedPaths(path)) {
      const match = folded.find(method as HTTPMethod, one)?.store as Folded | undefined
      for (const route of match?.routes ?? []) {
        const other = ownedBy(service, route)
        if (other === undefined || !isStricter(other, found ?? named)) continue
        found = other
      }
    }
    if (found === undefined) return undefined
    let route = closed.get(found)
    if (route === undefined) {
      // Whatever else it says is about its own path.
      route = { ...found, cached: undefined, streamed: undefined, ignoresToken: false }
      closed.set(found, route)
    }
    return route
  }

  function routeOf(service: string, rules: RouteRules): Route {
    const { method, path, auth, endedSession, stream, timeoutMs, priority, ends, idempotent } = rules
    const { body, bodyLimit } = rules
    return {
      service,
      method,
      path,
      rules,
      needsToken: auth === 'required',
      ignoresToken: auth === 'none',
      endedSession: endedSession === true,
      stream: stream === true,
      streamed: body === 'stream' ? { limit: bodyLimit } : undefined,
      priority: priority ?? (method === 'GET' ? 'normal' : 'high'),
      timeoutMs: timeoutMs ?? options.timeoutMs,
      idempotent: idempotent === true,
      latencies: latenciesOf(`${service} ${method} ${path}`),
      cached: compileCachedRoute(rules),
      endsOf: ends === undefined ? undefined : compileTags(ends, path, true)
    }
  }

  /** A rule that is known before anybody announced it belongs to whoever holds the prefix. */
  function adopted(route: Route, service: string): Route {
    const key = `${service} ${route.method} ${route.path}`
    let made = taken.get(key)
    if (made === undefined) {
      made = { ...route, service, latencies: latenciesOf(key) }
      taken.set(key, made)
    }
    return made
  }

  function plainRoute(service: string, reads: boolean): Route {
    let routes = plain.get(service)
    if (routes === undefined) {
      routes = { reads: undescribed(service, 'normal'), writes: undescribed(service, 'high') }
      plain.set(service, routes)
    }
    return reads ? routes.reads : routes.writes
  }

  function undescribed(service: string, priority: Priority): Route {
    const isClosed = unread.has(service) || unusable.has(service)
    return {
      service,
      method: '*',
      path: '*',
      rules: undefined,
      needsToken: isClosed || options.unnamed === 'required',
      ignoresToken: !isClosed && options.unnamed === 'none',
      endedSession: false,
      stream: false,
      streamed: undefined,
      priority,
      timeoutMs: options.timeoutMs,
      idempotent: false,
      latencies: latenciesOf(`${service} ${priority}`),
      cached: undefined,
      endsOf: undefined
    }
  }

  function latenciesOf(key: string): LatencyWindow {
    let window = latencies.get(key)
    if (window === undefined) {
      window = new LatencyWindow()
      latencies.set(key, window)
    }
    return window
  }
}

/** The routes whose patterns are the same for servers that do not regard case. */
type Folded = { routes: Route[] }

function newRouter() {
  return findMyWay({ caseSensitive: true, maxParamLength: 8_192 })
}

function isStrict({ needsToken, rules }: Route): boolean {
  return needsToken || rules?.limit !== undefined
}

/** Whether a route demands what another does not: a token first, else a limit. */
function isStricter(one: Route, other: Route | undefined): boolean {
  if (one.needsToken || other?.needsToken === true) return one.needsToken && other?.needsToken !== true
  return one.rules?.limit !== undefined && other?.rules?.limit === undefined
}

/** A pattern of a path up to its first parameter. */
function fixedPart(path: string): string {
  const at = path.search(/\/[:*]/)
  return at === -1 ? path : path.slice(0, at)
}
