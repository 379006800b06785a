import cluster from 'node:cluster'
import { createServer } from 'node:net'
import { cannotListen, createLogger, createMetrics, onStop, runChecks, StartFault, startOps } from '@skerry/service'
import type { GatewayConfig } from '../config.ts'
import { mergeMetrics } from './metrics.ts'
import { createPool } from './pool.ts'

/** What a worker may need over its own bounds before it is killed. */
const GRACE_MS = 5_000
const SCRAPE_MS = 2_000

/**
 * The parent of WORKERS gateways that share one listening socket, so that its queue of new connections outlives each of them: the system
 * gives a connection to whichever accepts it first (`SCHED_NONE`), and no byte of a request passes through this process. Replaces a
 * worker that dies, and all of them one after the other when `rotate` is called; ends them with itself. Serves the operations port for
 * all: ready while one is, the metrics of each.
 *
 * @param main the file that workers run
 * @returns replaces all workers, with what is now in files and sources
 */
export async function runPrimary(config: GatewayConfig, main: string): Promise<{ rotate(): Promise<void> }> {
  const { SKERRY_INSTANCE: instance, HOST: host } = config
  const log = createLogger({ service: 'gateway', instance, level: config.LOG_LEVEL })
  const metrics = createMetrics({ service: 'gateway', instance })
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ exec: main })
  // Chosen once: what listens on a port of the system's choice would have another after all workers have died.
  const port = config.PORT === 0 ? await freePort(host).catch(cannotListen('PORT', host, 0)) : config.PORT
  let forked = 0
  const pool = createPool({
    workers: config.WORKERS,
    // Each has an operations port and a name in metrics of its own.
    fork: () => cluster.fork({ PORT: port, OPS_PORT: 0, SKERRY_INSTANCE: `${instance.slice(0, 50)}-${++forked}` }),
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
    stop: () => pool.stop()
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
    log.info({ url, ops: ops.url, workers: config.WORKERS }, 'ready')
    process.send?.({ type: 'ready', url, ops: ops.url })
  } catch (error) {
    if (!stopping.begun) stopping.fail(error as Error)
  }
  return { rotate: () => pool.rotate() }
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
