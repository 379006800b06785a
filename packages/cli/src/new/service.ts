import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'
import { applyChanges } from './changes.ts'
import { COMPOSE, withService } from './compose.ts'
import { assertFreePrefix, CONTRACTS_INDEX, readContracts, withExport } from './contracts.ts'
import { format } from './format.ts'
import { assertFreeType, serviceNames } from './names.ts'
import { renderFile, renderFolder } from './templates.ts'

export type NewServiceOptions = {
  repo: string
  name: string | undefined
  /** What it keeps, where the name's singular is not it: `note`. */
  entity?: string
  say(line: string): void
}

const LOCKFILE = 'pnpm-lock.yaml'

/**
 * Writes a running service: its folder under apps/, its contracts, and its container; installs it. All of it or, when a step fails,
 * nothing. Throws one line that says why a name cannot be had.
 */
export async function newService({ repo, name: asked, entity, say }: NewServiceOptions): Promise<void> {
  const names = serviceNames(repo, asked, entity)
  const { name, Entity } = names
  const declared = await readContracts(repo)
  assertFreeType(Entity, declared.names)
  assertFreePrefix(declared, `/v1/${name}`)

  const values = { ...names, ...(await versions(repo)) }
  const read = (path: string) => readFile(join(repo, path), 'utf8')
  const create = new Map<string, string>()
  for (const [path, text] of await renderFolder('service', values)) create.set(`apps/${name}/${path}`, text)
  for (const kind of ['http', 'events'])
    create.set(`packages/contracts/src/${kind}/${name}.ts`, await renderFile(`contracts/${kind}.ts.tmpl`, values))
  const index = ['events', 'http'].reduce(
    (text, kind) => withExport(text, `./${kind}/${name}.ts`),
    await read(CONTRACTS_INDEX)
  )
  const compose = withService(await read(COMPOSE), await renderFile('compose/service.yml.tmpl', values))
  const edit = new Map([
    [CONTRACTS_INDEX, index],
    [COMPOSE, compose]
  ])
  await applyChanges(
    repo,
    { create, edit },
    async () => {
      say(`installing @skerry/${name} …`)
      await install(repo)
      format(repo, [...create.keys(), CONTRACTS_INDEX])
    },
    [LOCKFILE]
  )
  for (const path of create.keys()) if (/\.(ts|md)$/.test(path)) say(`  ${path}`)
  say(`
${name} keeps ${names.entities}: POST and GET /v1/${name}, GET and DELETE /v1/${name}/{id}.
It publishes ${name}.${names.entity}.created and .deleted, and takes part in deletion and export of accounts.

  npm test ${name}     its tests and all checks
  npm start${' '.repeat(name.length)}    everything with it, behind the gateway

Begin in packages/contracts/src/http/${name}.ts; more with: ./skerry new route|event|consumer`)
}

/** The versions that the workspace pins. */
async function versions(repo: string): Promise<Record<string, string>> {
  const { dependencies, devDependencies } = JSON.parse(
    await readFile(join(repo, 'packages/service/package.json'), 'utf8')
  )
  const { fastify, typebox } = dependencies
  return { fastify, typebox, tap: devDependencies.tap }
}

async function install(repo: string): Promise<void> {
  const { install: run } = await import('../../bin/install.mjs')
  try {
    run(repo, ['--no-frozen-lockfile', '--prefer-offline'], 'pipe')
  } catch (error) {
    throw new StartError(`${(error as Error).message}\nNothing was changed.`)
  }
}
