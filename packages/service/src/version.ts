import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { pathToFileURL } from 'node:url'

/** The version in the package.json nearest to the program that runs; `0.0.0` where there is none. */
export function programVersion(program = process.argv[1]): string {
  const file = program === undefined ? undefined : findPackageJSON(pathToFileURL(program))
  if (file === undefined) return '0.0.0'
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }
  return typeof version === 'string' ? version : '0.0.0'
}
