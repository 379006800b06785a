import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StartError } from './faults.ts'

/** Streams by what a consumer is for: `{ accounts: ['auth'] }` lets `<service>--accounts` read the events of auth; `['*']` is every stream. */
export type Consumers = Readonly<Record<string, readonly string[]>>

/** An app as the stores know it. */
export type StoreApp = {
  name: string
  kind: 'service' | 'gateway'
  database?: string
  /** Its consumers. `jobs` on its own stream is always one. */
  consumers?: Consumers
  /** Its consumers that fill a read model, which may be rebuilt beside itself. */
  readModels?: Consumers
}

/** What an app's package.json says of it. */
export type App = StoreApp & {
  folder: string
  version: string
  instances: number
  /** It is started only when it is asked for. */
  onRequest: boolean
}

const NAME = /^[a-z]{2,30}$/
const PURPOSE = /^[a-z]+(-[a-z]+)*$/
const MEMBERS = ['kind', 'instances', 'onRequest', 'database', 'consumers', 'readModels']

/**
 * Every app there is: a folder under `apps/` whose package.json has a `skerry` member. What starts, who gets which credentials and
 * permissions, and what containers are given follows from these; nothing is listed anywhere else. Throws one line for what does not fit.
 *
 * @param root the folder `apps` itself
 */
export function findApps(root: string): App[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const folder = join(root, entry.name)
      const path = join(folder, 'package.json')
      const { version, skerry } = JSON.parse(readFileSync(path, 'utf8'))
      return skerry === undefined ? [] : [{ ...checked(entry.name, skerry, path), folder, version }]
    })
}

function checked(name: string, skerry: Record<string, unknown>, path: string): Omit<App, 'folder' | 'version'> {
  const refuse = (why: string): never => {
    throw new StartError(`${path}: "skerry" ${why}`)
  }
  const { kind, instances = 1, onRequest = false, database, consumers, readModels } = skerry
  // It is a part of subjects, of keys and of lines in configuration files.
  if (!NAME.test(name)) refuse(`is of an app whose folder is not named by 2 to 30 of the letters a to z`)
  const unknown = Object.keys(skerry).find((member) => !MEMBERS.includes(member))
  if (unknown !== undefined) refuse(`has ${unknown}, which means nothing: it takes ${MEMBERS.join(', ')}`)
  if (kind !== 'service' && kind !== 'gateway') return refuse('needs a kind, "service" or "gateway"')
  if (!Number.isInteger(instances) || (instances as number) < 1 || (instances as number) > 100)
    refuse('has instances that are no number from 1 to 100')
  if (typeof onRequest !== 'boolean') refuse('has onRequest that is neither true nor false')
  // One owner a database, by its name.
  if (database !== undefined && database !== `skerry_${name}`) refuse(`has a database that is not skerry_${name}`)
  for (const [member, value] of Object.entries({ consumers, readModels })) {
    if (value === undefined) continue
    const rows =
      typeof value === 'object' && value !== null ? Object.entries(value) : refuse(`has ${member} that are no object`)
    for (const [purpose, streams] of rows as [string, unknown][]) {
      if (!PURPOSE.test(purpose)) refuse(`has ${member} with "${purpose}", which is not written like-this`)
      if (
        !Array.isArray(streams) ||
        streams.length === 0 ||
        !streams.every((s) => typeof s === 'string' && (s === '*' || NAME.test(s)))
      )
        refuse(`has ${member} whose "${purpose}" does not list the services whose events it reads`)
    }
  }
  return {
    name,
    kind,
    instances: instances as number,
    onRequest: onRequest as boolean,
    ...(database === undefined ? {} : { database: database as string }),
    ...(consumers === undefined ? {} : { consumers: consumers as Consumers }),
    ...(readModels === undefined ? {} : { readModels: readModels as Consumers })
  }
}
