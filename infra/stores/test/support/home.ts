import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findApps, type StoreApp, type Stores, type StoresOptions, startStores } from '../../src/index.ts'

const REPOSITORY = resolve(import.meta.dirname, '../../../..')

/** The apps that there are, as their package.json files say. */
export const APPS: StoreApp[] = findApps(join(REPOSITORY, 'apps'))

/** Where binaries are kept, so that a test does not fetch them. */
export const BIN = process.env.SKERRY_BIN ?? join(REPOSITORY, '.skerry/bin')

type Tap = { teardown(work: () => Promise<unknown>): unknown }

/** A home of its own, removed at the end. */
export async function temporaryHome(t: Tap): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'skerry-stores-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  return home
}

/** Starts the real stores for the apps that there are; stopped at the end if they still run. */
export async function start(t: Tap, home: string, options: Partial<StoresOptions> = {}): Promise<Stores> {
  const stores = await startStores({ home, binDir: BIN, apps: APPS, say: () => undefined, ...options })
  t.teardown(() => stores.stop())
  return stores
}

export async function until(condition: () => unknown, what: string, boundMs = 60_000): Promise<void> {
  const end = Date.now() + boundMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${boundMs} ms: ${what}`)
    await delay(10)
  }
}

/** Whether a process is there and is no zombie. */
export async function lives(pid: number | undefined): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat !== '' && !/\) Z /.test(stat)
}
