export { allocatedBytes } from './allocated-bytes.ts'
export { startBlockCounter } from './count-blocks.ts'
export { type FaultRun, faultRun, parseRounds } from './fault-run.ts'
export { give } from './give.ts'
export { startTestNats, type TestNats } from './nats-server.ts'
export { randomOf, shuffled } from './random.ts'
export {
  type Counted,
  countRoundTrips,
  countRows,
  isSettled,
  putJobsOff,
  type RoundTrips,
  roundTripTable
} from './round-trips.ts'
export { missingCommand, skipWithout } from './skip.ts'
export { type RunFile, type System, startSystem } from './system.ts'
export {
  binCache,
  childEnv,
  type SharedStores,
  startTestStores,
  TEST_ACCOUNTS,
  type TestStores,
  useStores
} from './use-stores.ts'
export { waitFor } from './wait.ts'
