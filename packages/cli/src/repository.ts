import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type App, findApps as appsIn, StartError } from '@skerry/stores'

export const REPOSITORY = resolve(import.meta.dirname, '../../..')

const manifest = (path: string) => JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))

export const VERSION: string = manifest(REPOSITORY).version

/** The folder for everything that is not source: SKERRY_HOME, else `.skerry` of the checkout. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return resolve(env.SKERRY_HOME ?? join(REPOSITORY, '.skerry'))
}

/** Every app of this checkout. */
export function findApps(): App[] {
  return appsIn(join(REPOSITORY, 'apps'))
}

/** The apps that `./skerry up` starts: all but those that are only started on request (`--with`). Throws for a name that is no app. */
export function startedApps(apps: readonly App[], requested: readonly string[] = []): App[] {
  const unknown = requested.find((name) => !apps.some((app) => app.name === name))
  if (unknown !== undefined)
    throw new StartError(`there is no app "${unknown}": --with takes ${apps.map((app) => app.name).join(', ')}`)
  return apps.filter((app) => !app.onRequest || requested.includes(app.name))
}
