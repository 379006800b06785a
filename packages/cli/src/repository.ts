import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { StartError, type StoreApp } from '@skerry/stores'

export const REPOSITORY = resolve(import.meta.dirname, '../../..')

const manifest = (path: string) => JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))

export const VERSION: string = manifest(REPOSITORY).version

/** The folder for everything that is not source: SKERRY_HOME, else `.skerry` of the checkout. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return resolve(env.SKERRY_HOME ?? join(REPOSITORY, '.skerry'))
}

/** An app of this checkout: what its package.json says under `skerry`. */
export type App = StoreApp & { folder: string; version: string; instances: number; onRequest: boolean }

/** Every app there is. A folder under apps/ with a `skerry` member in its package.json is one; nothing is listed anywhere else. */
export function findApps(): App[] {
  const root = join(REPOSITORY, 'apps')
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const folder = join(root, entry.name)
      const { version, skerry } = manifest(folder)
      if (skerry === undefined) return []
      const { kind, instances = 1, database, onRequest = false } = skerry
      const stored = database === undefined ? {} : { database }
      return [{ name: entry.name, folder, version, kind, instances, onRequest, ...stored }]
    })
}

/** The apps that `skerry up` starts: all but those that are only started on request (`--with`). Throws for a name that is no app. */
export function startedApps(apps: readonly App[], requested: readonly string[] = []): App[] {
  const unknown = requested.find((name) => !apps.some((app) => app.name === name))
  if (unknown !== undefined)
    throw new StartError(`there is no app "${unknown}": --with takes ${apps.map((app) => app.name).join(', ')}`)
  return apps.filter((app) => !app.onRequest || requested.includes(app.name))
}
