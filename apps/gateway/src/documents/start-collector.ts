import type { Instance, Logger } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import type { GatewayConfig } from '../config.ts'
import { createCollector, type DocumentSource, type Held } from './collector.ts'

export type CollectingOptions = {
  /** Who is there now. */
  live(): readonly Instance[]
  log: Logger
  config: Pick<
    GatewayConfig,
    'DOCUMENT_TIMEOUT_MS' | 'DOCUMENT_LIMIT' | 'DOCUMENT_SERVICES' | 'DOCUMENT_KEEP_MS' | 'DOCUMENT_LOOK_MS'
  >
  /** Milliseconds; injected by tests. */
  now?: () => number
}

/**
 * Answers what collects the documents of the live services. They are looked for when somebody asks and every DOCUMENT_LOOK_MS besides, so
 * that one which goes away has been seen; until the app closes.
 */
export function startCollector<T>(
  app: FastifyInstance,
  source: DocumentSource<T>,
  { live, log, config, now }: CollectingOptions
): () => Promise<ReadonlyMap<string, Held<T>>> {
  const collector = createCollector<T>({
    source,
    log,
    timeoutMs: config.DOCUMENT_TIMEOUT_MS,
    maxBytes: config.DOCUMENT_LIMIT,
    maxServices: config.DOCUMENT_SERVICES,
    keepMs: config.DOCUMENT_KEEP_MS,
    ...(now === undefined ? {} : { now })
  })
  const collect = () => collector.collect(live())
  const timer = setInterval(() => void collect(), config.DOCUMENT_LOOK_MS)
  timer.unref()
  app.addHook('onClose', () => clearInterval(timer))
  return collect
}
