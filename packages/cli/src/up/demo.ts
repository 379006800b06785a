import { StartError } from '@skerry/stores'
import { homeFolder } from '../repository.ts'
import { readRunFile } from './status.ts'

/** Loads the demo data into the system that runs in this home, or into another gateway. Ctrl-C interrupts; the next run goes on. */
export async function demo(options: { limit?: number; all?: boolean; url?: string }): Promise<number> {
  const home = homeFolder(process.env)
  const baseUrl = options.url ?? (await readRunFile(home)).gateway
  if (options.all === true && options.limit !== undefined) throw new StartError('give --limit or --all, not both')
  const { DEMO_MAILS, runDemo } = await import('../demo/index.ts')
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
  await runDemo({
    baseUrl,
    home,
    out: process.stdout,
    signal: interrupted.signal,
    ...(options.all === true ? {} : { limit: options.limit ?? DEMO_MAILS })
  })
  return interrupted.signal.aborted ? 130 : 0
}
