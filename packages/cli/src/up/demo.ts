import { homeFolder } from '../repository.ts'
import { readRunFile } from './status.ts'

/** Loads the demo data into the system that runs in this home, or into another gateway. Ctrl-C interrupts; the next run goes on. */
export async function demo(options: { limit?: number; url?: string }): Promise<number> {
  const home = homeFolder(process.env)
  const baseUrl = options.url ?? (await readRunFile(home)).gateway
  const { runDemo } = await import('../demo/index.ts')
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
  await runDemo({
    baseUrl,
    home,
    out: process.stdout,
    signal: interrupted.signal,
    ...(options.limit === undefined ? {} : { limit: options.limit })
  })
  return interrupted.signal.aborted ? 130 : 0
}
