import { type Profiler, Session } from 'node:inspector/promises'

/**
 * Counts the blocks of JavaScript that a piece of work executes, by V8's own coverage: a measure of its cost that is the same on a slow
 * machine and on a fast one. Native code (regular expressions, `JSON.parse`) is not in it.
 */
export async function startBlockCounter() {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

  /** Blocks since the last call, but for those of the counting itself. V8 looks through all functions for it. */
  async function take(): Promise<number> {
    const { result } = await session.post('Profiler.takePreciseCoverage')
    return result.reduce((sum, script) => sum + (script.url === import.meta.url ? 0 : blocksOf(script)), 0)
  }

  return {
    async count(work: () => Promise<unknown>): Promise<number> {
      await take()
      await work()
      return take()
    },
    /** As `count` for each, one after the other. */
    async countEach(all: readonly (() => Promise<unknown>)[]): Promise<number[]> {
      await take()
      const counts: number[] = []
      for (const work of all) {
        await work()
        counts.push(await take())
      }
      return counts
    },
    async stop() {
      await session.post('Profiler.stopPreciseCoverage')
      session.disconnect()
    }
  }
}

function blocksOf({ functions }: Profiler.ScriptCoverage): number {
  let blocks = 0
  for (const { ranges } of functions) for (const { count } of ranges) blocks += count
  return blocks
}
