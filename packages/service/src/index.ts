export { bearerOf } from './auth.ts'
export { ensureBuckets, HEARTBEAT_TTL_MS } from './buckets.ts'
export { etagOf, MOST_TAGS, noneMatch, type Precondition, preconditionFrom } from './conditional.ts'
export {
  type BaseConfig,
  BaseConfigSchema,
  type DataConfig,
  DataConfigSchema,
  NatsConfigSchema,
  parseConfig,
  type ServiceConfig,
  ServiceConfigSchema
} from './config.ts'
export type { CallContext, ServiceContext } from './context.ts'
export { isUnavailable } from './driver-errors.ts'
export { awaitsWord, tellToGoOn } from './expectation.ts'
export { createFaultLog, type FaultLog } from './faults.ts'
export { SIGNATURE_ALGORITHMS } from './foreign-tokens.ts'
export type { IdempotencyStore, StoredAnswer } from './idempotency.ts'
export {
  type AccessClaims,
  AccessClaimsSchema,
  type Caller,
  createIdentityFromJwks,
  type Identity,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER
} from './identity.ts'
export { openIdentity, publishIdentity } from './identity-store.ts'
export { assertIdentityUrl, type IdentityUrlOptions, openIdentityFromUrl } from './identity-url.ts'
export { keepIdleConnections } from './idle-connections.ts'
export { type Instance, InstanceSchema, RouteRulesSchema } from './instance.ts'
export { createLogger, type Logger } from './log.ts'
export { createMetrics, type Metrics, type RouteRecorder } from './metrics.ts'
export { connectNats, jetstreamOf, managerOf, type NatsConnection, onReconnect } from './nats.ts'
export { type Checks, type OpsDocument, type OpsServer, type Readiness, runChecks, startOps } from './ops.ts'
export { declareParticipant, listParticipants, watchParticipants, withdrawParticipant } from './participants.ts'
export { PROBLEM_TYPE, parserRefusal, problemAnswer, refuseConnection, sendProblem, toSkerryError } from './problems.ts'
export { announce, prefixesOf, watchRegistry } from './registry.ts'
export { type Handler, type HandlerInput, inputOf, type RouteOptions, route } from './route.ts'
export {
  type RunAloneOptions,
  type Running,
  type RunOptions,
  runApp,
  type StartAloneContext,
  type StartContext
} from './run.ts'
export { buildServer, type ServerOptions } from './server.ts'
export { shrinkHeap } from './shrink-heap.ts'
export { onStop, type Stopping } from './signals.ts'
export { cannotListen, StartFault } from './start-fault.ts'
export { continueTrace, requestIdFrom, type Trace } from './trace.ts'
export {
  assertTrafficRules,
  HEADER,
  openTraffic,
  type TrafficRules,
  TrafficRulesSchema,
  VERSION,
  watchTraffic
} from './traffic.ts'
export { sharesOf, type VersionsPresent } from './traffic-shares.ts'
export { type Validator, validatorOf } from './validation.ts'
