import { fork } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { BoundSocket } from 'node:net'
import {
  cannotListen,
  createLogger,
  createMetrics,
  onStop,
  runChecks,
  StartFault,
  shrinkHeap,
  startOps
} from '@skerry/service/process'
import type { GatewayConfig } from '../config.ts'
import { mergeMetrics } from './metrics.ts'
import { createPool } from './pool.ts'
import { beatEvery, createWatch } from './watch.ts'
import { BEAT_MS, LISTEN_FD, SPARE } from './worker.ts'

/** What a worker may need over its own bounds before it is killed. */
const GRACE_MS = 5_000
const SCRAPE_MS = 2_000

/**
 * The parent of WORKERS gateways that share one listening socket. It binds the port and holds it for as long as it lives, so that the port and
 * its queue of new connections outlive each worker and all of them: the system gives a connection to whichever worker accepts it first, and
 * no byte of a request passes through this process. Replaces a worker that dies (by a spare, with SPARE), and all of them one after the other
 * when `rotate` is called; ends them with itself. Serves the operations port for all: ready while one is, the metrics of each.
 *
 * @param main the file that workers run, with `env` and what differs for each
 * @returns replaces all workers, with what is now in files and sources
 */
export async function runPrimary(
  config: GatewayConfig,
  main: string,
  env: NodeJS.ProcessEnv
): Promise<{ rotate(): Promise<void> }> {
  const { SKERRY_INSTANCE: instance, HOST: host } = config
  const log = createLogger({ service: 'gateway', instance, level: config.LOG_LEVEL })
  const metrics = createMetrics({ service: 'gateway', instance })
  const bound = await bind(host, config.PORT)
  const { address, port } = bound.address() as { address: string; port: number }
  const hung = metrics.counter('skerry_gateway_workers_hung_total', 'Workers that were killed because they hung.')
  const hangMs = config.WORKER_HANG_MS
  const watch = hangMs === 0 ? undefined : createWatch({ hangMs, log, onHung: () => hung.inc() })
  let forked = 0
  const pool = createPool({
    workers: config.WORKERS,
    spare: config.SPARE,
    fork: (spare) => {
      const worker = fork(main, [], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', bound.fd()],
        // Each has an operations port and a name in metrics of its own.
        env: {
          ...env,
          ...{
            HOST: address,
            PORT: String(port),
            OPS_PORT: '0',
            SKERRY_INSTANCE: `${instance.slice(0, 50)}-${++forked}`
          },
          // The place of the socket in `stdio`.
          [LISTEN_FD]: '4',
          ...(spare ? { [SPARE]: '1' } : {}),
          ...(watch === undefined ? {} : { [BEAT_MS]: String(beatEvery(hangMs)) })
        }
      })
      watch?.add(worker)
      return worker
    },
    log,
    readyMs: config.START_TIMEOUT_MS + GRACE_MS,
    stopMs: config.SHUTDOWN_MS + GRACE_MS
  })
  metrics.gauge('skerry_gateway_workers', 'Worker processes that take connections.', [], (gauge) =>
    gauge.set(pool.serving())
  )
  const checks = {
    workers: () => {
      if (pool.serving() === 0) throw new Error('no worker is ready')
    }
  }
  const stopping = onStop({
    log,
    boundMs: config.SHUTDOWN_MS + 2 * GRACE_MS,
    async stop() {
      // With the last worker that listens the port is closed: nobody is to wait in its queue for nothing.
      bound.close()
      await pool.stop()
    }
  })
  const scrape = async () => {
    const texts = await Promise.all(
      pool.members().map(({ ops }) =>
        fetch(`${ops}/metrics`, { signal: AbortSignal.timeout(SCRAPE_MS) })
          .then((response) => response.text())
          // It ends just now.
          .catch(() => '')
      )
    )
    return mergeMetrics([await metrics.text(), ...texts])
  }
  try {
    const opsHost = config.OPS_HOST ?? host
    const ops = await startOps({
      host: opsHost,
      port: config.OPS_PORT,
      metrics: { registry: metrics.registry, text: scrape },
      readiness: () => runChecks(checks)
    }).catch(cannotListen('OPS_PORT', opsHost, config.OPS_PORT))
    const { url } = await pool.start().catch((error: Error) => {
      throw new StartFault(`${error.message}: see its log lines above`, { cause: error })
    })
    shrinkHeap()
    log.info({ url, ops: ops.url, workers: config.WORKERS, spare: config.SPARE }, 'ready')
    process.send?.({ type: 'ready', url, ops: ops.url })
  } catch (error) {
    if (!stopping.begun) stopping.fail(error as Error)
  }
  return { rotate: () => pool.rotate() }
}

/** Takes a port without listening: workers do that, and this process accepts nothing. Ends the start with a line when it cannot be had. */
async function bind(host: string, port: number): Promise<BoundSocket> {
  try {
    const { address } = await lookup(host)
    return new BoundSocket({ host: address, port })
  } catch (error) {
    return cannotListen('PORT', host, port)(error as NodeJS.ErrnoException)
  }
}
