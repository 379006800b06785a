export { createClient, type SkerryClient } from './client.ts'
export { SkerryApiError, SkerryNetworkError } from './errors.ts'
export { paginate } from './paginate.ts'
export type {
  Answer,
  Call,
  CallInput,
  CallOptions,
  ClientOptions,
  LiveHandlers,
  LiveOptions,
  LiveState,
  LiveSubscription,
  SessionStorage,
  Sparse,
  StoredSession
} from './types.ts'
