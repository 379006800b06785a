import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@skerry/testing'

const PAUSE_MS = 200

/** `waitFor` of a condition that is dear to ask: between two looks the machine is left to what is waited for. */
export function waitForCostly(condition: () => unknown, options: Parameters<typeof waitFor>[1] = {}): Promise<void> {
  return waitFor(async () => (await condition()) || delay(PAUSE_MS, false), options)
}
