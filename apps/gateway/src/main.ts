import { StartFault } from '@skerry/service/process'
import { checkSettings } from './check-settings.ts'
import { isAlone, readAloneConfig, readConfig } from './config.ts'
import { startBeating } from './workers/watch.ts'
import { BEAT_MS, listenFd, SPARE, waitAsSpare } from './workers/worker.ts'

/** What SIGHUP does: nothing where there is nothing to read again. */
let reload = (): unknown => undefined
process.on('SIGHUP', () => reload())

// What serves is most of the program: a primary does without it, and a spare has it before it is needed.
const loadServe = () => import('./serve.ts')

async function main(): Promise<void> {
  const fd = listenFd(process.env)
  const beatMs = Number(process.env[BEAT_MS] ?? 0)
  if (beatMs > 0) startBeating(process, beatMs)
  if (process.env[SPARE] !== undefined) {
    await loadServe()
    await waitAsSpare(process)
  }
  const alone = isAlone(process.env)
  const config = alone ? readAloneConfig(process.env) : readConfig(process.env)
  await checkSettings(config)
  if (alone) {
    const { checkAlone } = await import('./alone/check.ts')
    await checkAlone(config)
  }
  if (fd === undefined && (config.WORKERS > 1 || config.ROLLING || config.SPARE)) {
    const { runPrimary } = await import('./workers/primary.ts')
    reload = (await runPrimary(config, import.meta.filename, process.env)).rotate
    return
  }
  const { serve } = await loadServe()
  await serve(config, alone, {
    fd,
    onReload: (read) => {
      reload = read
    }
  })
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof StartFault ? 'cannot start' : 'gateway'}: ${(error as Error).message}\n`)
  process.exit(1)
}
