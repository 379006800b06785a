import { once } from 'node:events'
import type { Test } from 'tap'
import { type AppProcess, startProcess } from './processes.ts'

export type BareProxy = AppProcess & {
  /** The waits it was told by a header and set a timer for, as text. */
  waits(): Promise<string[]>
}

/** `@fastify/http-proxy` with its defaults in a process of its own, ahead of one upstream. */
export async function startBare(t: Test, upstream: string): Promise<BareProxy> {
  const bare = await startProcess(t, '../fixtures/bare-proxy.ts', { UPSTREAM: upstream })
  return {
    ...bare,
    async waits() {
      const answer = once(bare.child, 'message')
      bare.child.send('waits')
      return ((await answer) as [{ waits: string[] }])[0].waits
    }
  }
}
