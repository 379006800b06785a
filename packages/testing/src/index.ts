export { startTestNats, type TestNats } from './nats-server.ts'
export { missingCommand, skipWithout } from './skip.ts'
export { type RunFile, type System, startSystem } from './system.ts'
export {
  binCache,
  type SharedStores,
  startTestStores,
  TEST_ACCOUNTS,
  type TestStores,
  useStores
} from './use-stores.ts'
export { waitFor } from './wait.ts'
