import { join } from 'node:path'
import { StartError } from '@skerry/stores'
import { homeFolder, REPOSITORY } from '../repository.ts'
import { installStryker } from './install.ts'
import { type Score, scoreOf, survivorsOf, tableOf } from './report.ts'
import { chooseTargets, type Target } from './targets.ts'
import { type FileResult, knownResult, tryFile } from './try-file.ts'

export type MutationOptions = {
  /** Only show the folders and what was found of them last. */
  list?: boolean
  survivors?: boolean
  fresh?: boolean
  minutes?: string
  concurrency?: string
}

const LEAST = 80

/**
 * Changes the sources of folders in small ways, one at a time, and sees whether their tests notice. Prints a table with the score of each folder.
 * Stopped, by Ctrl-C or its time, it goes on with the next source when it is run again.
 *
 * @returns the exit code: 1 when a folder's score is below 80 %, 130 when it was interrupted, 75 when the time was over before all was tried
 */
export async function mutation(names: readonly string[], options: MutationOptions): Promise<number> {
  const targets = choose(names)
  const folder = join(homeFolder(process.env), 'mutation')
  const say = (line: string) => process.stdout.write(`${line}\n`)
  if (options.list === true) return show(targets, folder, options, say)

  const minutes = positive('minutes', options.minutes, 120)
  const concurrency = positive('concurrency', options.concurrency, 2)
  const abort = new AbortController()
  let why: 'interrupted' | 'time' | undefined
  const stop = (reason: NonNullable<typeof why>) => {
    why ??= reason
    abort.abort()
  }
  const timer = setTimeout(() => stop('time'), minutes * 60_000)
  const interrupt = () => stop('interrupted')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  try {
    const stryker = await installStryker(join(folder, 'stryker'), say)
    for (const target of targets)
      for (const [at, source] of target.sources.entries()) {
        say(`${target.name} ${at + 1}/${target.sources.length}: ${target.package}/${source}`)
        const all = { repo: REPOSITORY, folder, stryker, concurrency, fresh: options.fresh === true }
        await tryFile(target, source, { ...all, signal: abort.signal })
      }
  } catch (error) {
    if (why === undefined) throw error
  } finally {
    clearTimeout(timer)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, interrupt)
  }
  const code = await show(targets, folder, options, say)
  if (why === undefined) return code
  say(
    why === 'time'
      ? `The ${minutes} minutes were over before all was tried; the table has what is known. Run it again to go on.`
      : 'Interrupted; the table has what is known. Run it again to go on.'
  )
  return why === 'time' ? 75 : 130
}

function choose(names: readonly string[]): readonly Target[] {
  try {
    return chooseTargets(names)
  } catch (error) {
    throw new StartError((error as Error).message)
  }
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  const number = text === undefined ? otherwise : Number(text)
  if (!Number.isInteger(number) || number < 1) throw new StartError(`--${name} takes a whole number from 1`)
  return number
}

async function show(
  targets: readonly Target[],
  folder: string,
  { survivors = false }: MutationOptions,
  say: (line: string) => void
): Promise<number> {
  const rows: [string, Score][] = []
  for (const target of targets) {
    const known = await Promise.all(target.sources.map((source) => knownResult(folder, target, source)))
    const results = known.filter((one): one is FileResult => one !== undefined)
    const unknown = target.sources.length - results.length
    const name = unknown === 0 ? target.name : `${target.name} (${unknown} of ${target.sources.length} files not tried)`
    rows.push([name, scoreOf(results.flatMap(({ mutants }) => mutants))])
    if (survivors) for (const result of results) for (const line of survivorsOf(target.package, result)) say(line)
  }
  say(tableOf(rows))
  return rows.some(([, { mutants, score }]) => mutants > 0 && score < LEAST) ? 1 : 0
}
