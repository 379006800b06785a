import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReleasedEvent, ReleasedRoutes } from '@skerry/contracts/compat'
import { StartError } from '@skerry/stores'
import { printJson } from './print-json.ts'

/** What has been released: events by their subject on the wire, routes by service. */
export type Released = { events: Map<string, ReleasedEvent>; routes: Map<string, ReleasedRoutes> }

/** Where golden files are, from the root of the repository. */
export const RELEASED = 'packages/contracts/released'

/** Reads the golden files below a folder. A folder that is not there has released nothing; a file that cannot be read is named. */
export async function readReleased(folder: string): Promise<Released> {
  return {
    events: await readFolder<ReleasedEvent>(join(folder, 'events'), ['subject', 'version', 'schema', 'examples']),
    routes: await readFolder<ReleasedRoutes>(join(folder, 'http'), [])
  }
}

async function readFolder<T>(folder: string, members: readonly string[]): Promise<Map<string, T>> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const files = new Map<string, T>()
  for (const name of names.filter((one) => one.endsWith('.json')).sort()) {
    const path = join(folder, name)
    try {
      const value = JSON.parse(await readFile(path, 'utf8'))
      const missing = members.find((member) => value[member] === undefined)
      if (missing !== undefined) throw new Error(`it has no ${missing}`)
      files.set(name.slice(0, -'.json'.length), value)
    } catch (error) {
      throw new StartError(
        `${path} is not a valid golden file: ${(error as Error).message}. Restore it from version control.`
      )
    }
  }
  return files
}

/** Writes golden files so that exactly these are there; resolves with the names of those that changed. */
export async function writeReleased(folder: string, released: Released): Promise<string[]> {
  const changed: string[] = []
  for (const [kind, files] of [
    ['events', released.events],
    ['http', released.routes]
  ] as const) {
    await mkdir(join(folder, kind), { recursive: true })
    for (const name of await readdir(join(folder, kind))) {
      if (!name.endsWith('.json') || files.has(name.slice(0, -'.json'.length))) continue
      await rm(join(folder, kind, name))
      changed.push(`${kind}/${name}`)
    }
    for (const [name, value] of files) {
      const path = join(folder, kind, `${name}.json`)
      const text = printJson(value)
      if ((await readFile(path, 'utf8').catch(() => '')) === text) continue
      await writeFile(path, text)
      changed.push(`${kind}/${name}.json`)
    }
  }
  return changed
}
