import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'
import { capital } from './words.ts'

/** The forms of a service's names that templates use. */
export type ServiceNames = {
  /** `notes`: the service, its folder, its stream, the first part of its subjects, and its prefix `/v1/notes`. */
  name: string
  /** `Notes`, in the names of what it answers to erasures and exports. */
  Name: string
  /** `Note`: what it keeps, as types and functions are named; `note` in subjects and members. */
  entity: string
  Entity: string
  /** Several of them. */
  entities: string
  Entities: string
}

/** What a service may not be called, and who has the name. */
const TAKEN: Readonly<Record<string, string>> = {
  admin: 'the administrator of NATS and Redis',
  root: "MongoDB's administrator",
  default: "Redis's own user",
  registry: 'the bucket in which instances announce themselves',
  identity: 'the bucket of keys and ended sessions',
  traffic: 'the bucket of traffic rules',
  participants: 'the bucket of those who take part in erasures',
  dlq: 'the first part of all dead letters',
  live: "realtime's log",
  subscriber: 'the NATS user of those who only listen',
  rt: "what realtime's log sends on",
  init: 'a container of docker-compose.yml',
  mongo: 'a container of docker-compose.yml',
  nats: 'a container of docker-compose.yml',
  redis: 'a container of docker-compose.yml',
  config: 'a volume of docker-compose.yml',
  secrets: 'the folder of generated secrets',
  skerry: 'the house itself',
  apps: 'a folder of the workspace',
  infra: 'a folder of the workspace',
  packages: 'a folder of the workspace'
}

/** Types that the written files use themselves. */
const TYPES = new Set(
  'AppDeps Body CallContext Checks Config Deps EventsOptions ExportItem FastifyInstance Log Logger Metrics NatsConnection Part Precondition Static Store Tx Type'.split(
    ' '
  )
)

/**
 * The names of a new service. Throws one line that says why a name cannot be had.
 *
 * @param entity what it keeps, where the name's singular is not it
 */
export function serviceNames(repo: string, name: string | undefined, entity?: string): ServiceNames {
  if (name === undefined) throw new StartError('give the name of the service: ./skerry new service notes')
  if (!/^[a-z]{2,30}$/.test(name))
    throw new StartError(
      `"${name}" cannot be a service's name: take 2 to 30 of the letters a to z, since it is the first part of the subjects of its events`
    )
  if (TAKEN[name] !== undefined) throw new StartError(`"${name}" is reserved: it is ${TAKEN[name]}`)
  if (/^test\d*$/.test(name)) throw new StartError(`"${name}" is reserved: it is an account of the tests`)
  for (const kind of ['apps', 'packages', 'infra']) {
    if (readdirSync(join(repo, kind)).includes(name))
      throw new StartError(`"${name}" exists: see ${kind}/${name}. Take another name, or delete that one first`)
  }
  const one = entity ?? singular(name)
  if (!/^[a-z]{2,30}$/.test(one))
    throw new StartError(
      `"${one}" cannot be what a service keeps: take 2 to 30 of the letters a to z, as in --entity note`
    )
  const entities = plural(one, name)
  return { name, Name: capital(name), entity: one, Entity: capital(one), entities, Entities: capital(entities) }
}

/** Throws when a type of that name would meet another: one of the contracts, JavaScript's own, or one that the written files use. */
export function assertFreeType(Entity: string, exported: ReadonlySet<string>): void {
  const other = exported.has(Entity)
    ? 'contracts has a type of that name'
    : Entity in globalThis
      ? 'JavaScript has that name'
      : TYPES.has(Entity)
        ? 'the written files use that name themselves'
        : undefined
  if (other !== undefined)
    throw new StartError(`what it keeps cannot be called ${Entity}: ${other}. Name it otherwise with --entity`)
}

/** Of `notes`, `stories` and `boxes`: what it takes is a name, not a grammar; `--entity` says it where this is wrong. */
function singular(name: string): string {
  if (/[^s]ies$/.test(name)) return name.replace(/ies$/, 'y')
  if (/(s|x|ch|sh)es$/.test(name)) return name.replace(/es$/, '')
  return /[^s]s$/.test(name) && name.length > 3 ? name.replace(/s$/, '') : name
}

/** The service's own name where that is the plural, else a regular one. */
function plural(entity: string, name: string): string {
  if (singular(name) === entity) return name
  if (/[^aeiou]y$/.test(entity)) return entity.replace(/y$/, 'ies')
  return /(s|x|ch|sh)$/.test(entity) ? `${entity}es` : `${entity}s`
}
