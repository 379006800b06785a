import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type App, findApps as appsIn } from '@skerry/stores'

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
