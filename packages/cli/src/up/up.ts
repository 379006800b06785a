import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { shrinkHeap } from '@skerry/service/shrink-heap'
import { type App, externalUrls, memoryOf, prepareHome, StartError, type Stores, startStores } from '@skerry/stores'
import { findApps, homeFolder, startedApps } from '../repository.ts'
import { say } from '../say.ts'
import { networkLines, publicAddress } from './address.ts'
import { callers, ignoredLine, inherited } from './environment.ts'
import { lockHome } from './lock.ts'
import { boundLogs } from './logs.ts'
import { type AppProcess, startProcess } from './process.ts'
import { createRunFile } from './run-file.ts'
import { scaled } from './scale.ts'
import { stopSignals } from './stop-signals.ts'
import { table } from './table.ts'

/** Starts everything, stays until it is told to stop, and stops everything in order. Resolves with the exit code. */
export async function up(options: {
  demo: boolean
  with: readonly string[]
  scale: readonly string[]
}): Promise<number> {
  const startedAt = Date.now()
  const home = homeFolder(process.env)
  await prepareHome(home)
  const unlock = await lockHome(home)
  const runFile = await createRunFile(home, say)
  const stopLogs = boundLogs(home, say)
  const stopping = stopSignals()
  let stores: Stores | undefined
  const processes: AppProcess[] = []
  try {
    // Known before the gateway runs: services that call the public API are told where it is.
    const address = await publicAddress(process.env)
    const ignored = ignoredLine(process.env)
    if (ignored !== undefined) say(ignored)
    const all = findApps()
    const apps = scaled(startedApps(all, options.with), options.scale)
    stores = await startStores({
      home,
      ...(process.env.SKERRY_BIN === undefined ? {} : { binDir: process.env.SKERRY_BIN }),
      apps: all,
      external: externalUrls(process.env),
      signal: stopping.stop,
      say,
      onChange(name, what) {
        if (stopping.stop.aborted) return
        say(`${name} ${what}`)
        void noteStores()
      }
    })
    await noteStores()
    stopping.stop.throwIfAborted()

    const calling = await callers(address.url, process.env)
    for (const app of apps) {
      for (let i = 1; i <= app.instances; i++) {
        const instance = String(i)
        processes.push(
          startProcess({
            app,
            instance,
            home,
            say,
            env: {
              ...inherited(home, process.env),
              ...stores.envFor(app.name),
              SKERRY_INSTANCE: instance,
              API_URL: address.url,
              ...(app.kind === 'gateway'
                ? {
                    ...{ HOST: address.host, PORT: String(address.port), ADVERTISE_URL: address.url },
                    // The one process that all depend on: when it dies another is there, and the port stays.
                    SPARE: process.env.SPARE ?? 'true',
                    ...calling.gateway
                  }
                : { PORT: '0', ...calling.service }),
              OPS_HOST: '127.0.0.1',
              OPS_PORT: '0'
            },
            onReady: ({ pid, url, ops }) => void runFile.set({ name: app.name, instance, pid, url, ops }),
            onDown: () => void runFile.remove(app.name, instance)
          })
        )
      }
    }
    const ready = await Promise.race([Promise.all(processes.map((p) => p.ready)), aborted(stopping.stop)])
    const gatewayAt = processes.findIndex((p) => p.app.kind === 'gateway')
    const url = ready[gatewayAt]?.url ?? ''
    await noteStores()
    await routesKnown(ready[gatewayAt]?.ops ?? '', apps, stopping.stop)
    // From here on it only waits.
    shrinkHeap()
    const pids = [process.pid, ...ready.map((r) => r.pid), ...stores.parts.flatMap((p) => p.server.pid() ?? [])]
    const memory = await memoryOf(pids)
    say(
      `\n${table([
        ['part', 'address', 'version', 'from', 'took'],
        ...stores.parts.map((p) => [p.name, p.address, p.version, p.from, `${p.ms} ms`]),
        ...ready.map((r, i) => {
          const { app, instance } = processes[i]!
          return [`${app.name} ${instance}`, r.url, app.version, 'source', `${r.ms} ms`]
        })
      ])}\n`
    )
    say(
      `Ready in ${((Date.now() - startedAt) / 1000).toFixed(1)} s, ${Math.round(memory / 1e6)} MB. Data in ${home}. Ctrl-C stops everything.\n`
    )
    for (const line of networkLines(address)) say(line)
    say(curlLine(url))
    if (options.demo) await demo(url, home, stopping.stop)
    if (!stopping.stop.aborted)
      await new Promise((resolve) => stopping.stop.addEventListener('abort', resolve, { once: true }))
    return 0
  } catch (error) {
    if (stopping.stop.aborted) return 0
    throw error
  } finally {
    stopping.abort()
    await stopAll(processes, stores, stopping.force)
    stopLogs()
    await runFile.end()
    await unlock()
  }

  async function noteStores(): Promise<void> {
    for (const { name, address, server } of stores?.parts ?? []) {
      const pid = server.pid()
      if (pid === undefined) await runFile.remove(name, '1')
      else await runFile.set({ name, instance: '1', pid, url: address, ops: null })
    }
  }
}

/** The gateway first, so that nothing new comes in; then the services, which finish; then the stores. */
async function stopAll(
  processes: readonly AppProcess[],
  stores: Stores | undefined,
  force: AbortSignal
): Promise<void> {
  if (processes.length === 0 && stores === undefined) return
  say('\nstopping …')
  const kill = () => {
    for (const p of processes) p.kill()
    for (const { server } of stores?.parts ?? []) server.kill('SIGKILL')
  }
  force.addEventListener('abort', kill)
  if (force.aborted) kill()
  const isGateway = (p: AppProcess) => p.app.kind === 'gateway'
  await Promise.all(processes.filter(isGateway).map((p) => p.stop()))
  await Promise.all(processes.filter((p) => !isGateway(p)).map((p) => p.stop()))
  await stores?.stop()
  say('stopped')
}

/** Waits until the gateway has seen every instance: each is ready by itself, and the gateway learns of it a moment later. */
async function routesKnown(ops: string, apps: readonly App[], signal: AbortSignal): Promise<void> {
  const services = apps.filter((app) => app.kind === 'service')
  const until = Date.now() + 15_000
  for (;;) {
    const metrics = await (await fetch(`${ops}/metrics`, { signal })).text()
    const seen = (name: string) =>
      Number(
        new RegExp(`^skerry_gateway_live_instances\\{.*upstream="${name}".*\\} (\\d+)`, 'm').exec(metrics)?.[1] ?? 0
      )
    const missing = services.filter(({ name, instances }) => seen(name) < instances)
    if (missing.length === 0) return
    if (Date.now() > until) {
      say(`the gateway does not see all instances of ${missing.map((app) => app.name).join(', ')} yet`)
      return
    }
    await delay(25, undefined, { signal })
  }
}

async function demo(baseUrl: string, home: string, signal: AbortSignal): Promise<void> {
  const { DEMO_MAILS, runDemo } = await import('../demo/index.ts')
  try {
    await runDemo({ baseUrl, home, out: process.stdout, signal, limit: DEMO_MAILS })
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    say(`the demo data could not be loaded: ${error.message} Try again with \`npm run demo\`; everything else runs.`)
  }
}

function curlLine(url: string): string {
  const name = `ada_${randomBytes(3).toString('hex')}`
  const body = JSON.stringify({
    email: `${name}@example.com`,
    username: name,
    password: randomBytes(9).toString('base64url')
  })
  return `Try it:\n\n  curl -s -X POST ${url}/v1/auth/signup -H 'content-type: application/json' -d '${body}'\n`
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}
