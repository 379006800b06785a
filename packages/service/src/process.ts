// What every process needs, also one that serves nothing itself: settings, log, metrics, operations port, signals. A process that imports this
// file alone leaves Fastify, NATS and the contracts unloaded, which are most of the memory of a small one.
export { BaseConfigSchema, NatsConfigSchema, parseConfig } from './config.ts'
export { createLogger, type Logger } from './log.ts'
export { createMetrics, type Metrics } from './metrics.ts'
export { runChecks, startOps } from './ops.ts'
export { shrinkHeap } from './shrink-heap.ts'
export { onStop } from './signals.ts'
export { cannotListen, StartFault } from './start-fault.ts'
