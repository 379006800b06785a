import { hash } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import * as contracts from '@skerry/contracts'
import { type EventContract, type RouteContract, rulesOf } from '@skerry/contracts'
import { asyncApiOf, describeEvent } from '@skerry/contracts/asyncapi'
import { declaredIn } from '@skerry/contracts/compat'
import { openApiOf } from '@skerry/contracts/openapi'
import type { FastifyInstance } from 'fastify'
import { ensureBuckets } from './buckets.ts'
import type { BaseConfig, ServiceConfig } from './config.ts'
import { createFaultLog } from './faults.ts'
import { createLogger, type Logger, scrub } from './log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { connectNats, type NatsConnection } from './nats.ts'
import { type Checks, hostOf, type OpsDocument, runChecks, startOps } from './ops.ts'
import { announce, prefixesOf } from './registry.ts'
import { shrinkHeap } from './shrink-heap.ts'
import { onStop } from './signals.ts'
import { cannotListen, StartFault } from './start-fault.ts'
import { programVersion } from './version.ts'

/** What an app gets to start with. */
export type StartContext<C extends ServiceConfig> = StartAloneContext<C> & { nats: NatsConnection }

/** The same for an app that runs without NATS. */
export type StartAloneContext<C extends BaseConfig> = { log: Logger; metrics: Metrics; config: C }

/** What runs once an app has started. */
export type Running = {
  app: FastifyInstance
  /** What has to be reachable for this instance to be ready. */
  checks: Checks
  /**
   * The contracts it serves. Their rules and prefixes are announced, and their OpenAPI document is on the operations port; under the names
   * they have here, so that a client generated from it has the same.
   */
  routes?: readonly RouteContract[] | Readonly<Record<string, RouteContract>>
  /** The route prefixes to announce, instead of those of `routes`. With neither, and no events, the app does not announce itself. */
  prefixes?: readonly string[]
  /**
   * The events that it publishes. Their AsyncAPI document is on the operations port, and gateways hear of it. Those that `@skerry/contracts`
   * declares under the app's name, unless others are given.
   */
  events?: readonly EventContract[]
  /** Ends what takes work in by itself (consumers, relays), while requests are still answered. */
  stop?(): Promise<void>
  /** Closes connections, when nothing runs any more. */
  close(): Promise<void>
}

type NamedOptions<C> = {
  /** The app's name, which is its folder's. */
  name: string
  /** The config, or what reads it: then a bad one is a line and exit code 1 like any other failure to start. */
  config: C | (() => C)
  /** Announced unless SKERRY_VERSION says otherwise; by default that of the app's package.json. */
  version?: string
  /**
   * What an error does that nobody caught, once the app is ready: end it (`end`, the default), or be logged and counted while it goes on. The
   * latter is for an app that has the connections of many and nothing on disk.
   */
  uncaught?: 'end' | 'go on'
}

export type RunOptions<C extends ServiceConfig> = NamedOptions<C> & {
  nats?: undefined
  start(context: StartContext<C>): Promise<Running>
}

/** For an app that knows no NATS: it announces itself nowhere. */
export type RunAloneOptions<C extends BaseConfig> = NamedOptions<C> & {
  nats: 'none'
  start(context: StartAloneContext<C>): Promise<Omit<Running, 'prefixes'>>
}

/**
 * The whole life of an app: operations port, NATS and its buckets, `start`, wait until ready, listen, announce, tell the parent; and on
 * SIGTERM, SIGINT or the parent's end the same backwards, losing no request. Exits 0 after an orderly end; 1 when the start fails, at an
 * uncaught error (unless `uncaught` says otherwise), or when the end takes longer than SHUTDOWN_MS.
 */
export async function runApp<C extends ServiceConfig>(options: RunOptions<C>): Promise<void>
export async function runApp<C extends BaseConfig>(options: RunAloneOptions<C>): Promise<void>
export async function runApp<C extends ServiceConfig>(options: RunOptions<C> | RunAloneOptions<C>): Promise<void> {
  const { name } = options
  const config = typeof options.config === 'function' ? readConfig(name, options.config) : options.config
  const log = createLogger({ service: name, instance: config.SKERRY_INSTANCE, level: config.LOG_LEVEL })
  const metrics = createMetrics({ service: name, instance: config.SKERRY_INSTANCE })
  // What has been started, in order; ended in the opposite order.
  const ends: Array<() => Promise<void>> = []
  let document: OpsDocument | undefined
  let eventsDocument: OpsDocument | undefined
  let checks: Checks = { start: () => Promise.reject(new Error('starting')) }

  const faults = createFaultLog(log, metrics)
  let ready = false
  const stopping = onStop({
    log,
    boundMs: config.SHUTDOWN_MS,
    survive(error) {
      if (!ready || options.uncaught !== 'go on') return false
      faults('process', error)
      return true
    },
    stop: async () => {
      checks = { stop: () => Promise.reject(new Error('stopping')) }
      for (const end of ends.splice(0).reverse()) await end()
    }
  })
  const tooLate = async () => {
    const reasons = Object.entries((await runChecks(checks)).reasons).map(([what, why]) => `${what}: ${why}`)
    stopping.fail(new StartFault(`not ready within ${config.START_TIMEOUT_MS} ms (${reasons.join('; ')})`))
  }
  const bound = setTimeout(tooLate, config.START_TIMEOUT_MS)
  try {
    const opsHost = config.OPS_HOST ?? config.HOST
    const ops = await startOps({
      host: opsHost,
      port: config.OPS_PORT,
      metrics,
      readiness: () => runChecks(checks),
      document: () => document,
      events: () => eventsDocument
    }).catch(cannotListen('OPS_PORT', opsHost, config.OPS_PORT))
    ends.push(ops.close)
    let nats: NatsConnection | undefined
    let running: Running
    if (options.nats === 'none') running = await options.start({ log, metrics, config })
    else {
      const connected = await connectNats({
        url: config.NATS_URL,
        user: config.NATS_USER,
        password: config.NATS_PASSWORD,
        name: `${name}.${config.SKERRY_INSTANCE}`,
        timeoutMs: config.START_TIMEOUT_MS
      })
      nats = connected
      ends.push(() => connected.close())
      await ensureBuckets(connected)
      running = await options.start({ log, metrics, config, nats: connected })
    }
    ends.push(() => running.close())
    // Ends live streams, takes no new connections, lets running requests finish, leaves idle ones to their clients (`keepIdleConnections`).
    ends.push(() => running.app.close())
    const version = config.SKERRY_VERSION ?? options.version ?? programVersion()
    const { routes } = running
    const contract = routes === undefined ? undefined : describe(name, version, routes)
    document = contract?.document
    const events = describeEvents(name, version, running.events ?? eventsOf(name))
    eventsDocument = events?.document
    const prefixes = running.prefixes ?? (routes === undefined ? [] : prefixesOf(routes))

    checks = running.checks
    // Now, when nobody waits for an answer yet.
    shrinkHeap()
    // Before it listens: where processes share one port, connections come from then on.
    await untilReady(checks, () => stopping.begun)
    if (stopping.begun) return
    const { HOST: host, PORT: port } = config
    await running.app.listen({ host, port }).catch(cannotListen('PORT', host, port))
    if (stopping.begun) return
    const url = config.ADVERTISE_URL ?? addressOf(running.app)
    const announced =
      nats === undefined || (prefixes.length === 0 && events === undefined)
        ? undefined
        : await announce(
            nats,
            {
              service: name,
              version,
              instance: config.SKERRY_INSTANCE,
              url,
              weight: config.WEIGHT,
              prefixes: [...prefixes],
              ops: config.ADVERTISE_OPS_URL ?? (opsHost === config.HOST ? besides(url, ops.url) : ops.url),
              ...(config.ZONE === undefined ? {} : { zone: config.ZONE }),
              ...(contract === undefined ? {} : { routes: contract.rules, contract: contract.hash }),
              ...(events === undefined ? {} : { events: events.hash })
            },
            { log }
          )
    ends.push(async () => {
      // Gateways learn that we leave; what they have sent meanwhile is answered, with `connection: close`.
      running.app.skerry.draining = true
      await announced?.drain()
      await Promise.all([running.stop?.(), new Promise((resolve) => setTimeout(resolve, config.DRAIN_MS))])
    })
    clearTimeout(bound)
    // With NODE_COMPILE_CACHE the first run writes what it compiled; at exit that would hold up an orderly end.
    flushCompileCache()
    ready = true
    log.info({ url, ops: ops.url }, 'ready')
    process.send?.({ type: 'ready', url, ops: ops.url })
  } catch (error) {
    clearTimeout(bound)
    if (!stopping.begun) stopping.fail(error as Error)
  }
}

/** What contracts make known: their rules for gateways, their document and its hash. */
function describe(title: string, version: string, routes: NonNullable<Running['routes']>) {
  return { rules: rulesOf(Object.values(routes)), ...published(openApiOf({ title, version, routes })) }
}

/** The document of events and its hash; undefined for an app that publishes none. */
function describeEvents(title: string, version: string, events: readonly EventContract[]) {
  if (events.length === 0) return undefined
  const foreign = events.find((event) => contracts.ownerOf(event) !== title)
  if (foreign !== undefined)
    throw new Error(`${title} cannot publish ${contracts.wireSubject(foreign)}: its subject says whose it is`)
  return published(asyncApiOf({ title, version, events: events.map(describeEvent) }))
}

/** What is declared under an app's name. */
function eventsOf(name: string): EventContract[] {
  return [...declaredIn(contracts).events.values()].filter((event) => contracts.ownerOf(event) === name)
}

function published(document: object): { hash: string; document: OpsDocument } {
  const body = JSON.stringify(document)
  const digest = hash('sha256', body, 'hex')
  return { hash: digest, document: { body, etag: `"${digest}"` } }
}

/** The port of `local` on the host of `url`: both ports listen on the same host, and `url` says how others reach it. */
function besides(url: string, local: string): string {
  return `http://${new URL(url).hostname}:${new URL(local).port}`
}

function readConfig<C>(name: string, read: () => C): C {
  try {
    return read()
  } catch (error) {
    createLogger({ service: name, instance: '?', level: 'fatal' }).fatal(scrub((error as Error).message))
    process.exit(1)
  }
}

async function untilReady(checks: Checks, given: () => boolean): Promise<void> {
  while (!given()) {
    if ((await runChecks(checks)).ready) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Where others reach the server: the host it listens on, or this machine's first address when that is every one. */
function addressOf(app: FastifyInstance): string {
  const { address, port } = app.server.address() as AddressInfo
  if (address !== '0.0.0.0' && address !== '::') return `http://${hostOf(address)}:${port}`
  const external = Object.values(networkInterfaces())
    .flat()
    .find((found) => found !== undefined && !found.internal && found.family === 'IPv4')
  return `http://${external?.address ?? '127.0.0.1'}:${port}`
}
