import { glob } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import * as contracts from '@skerry/contracts'
import { StartError } from '@skerry/stores'
import { applyChanges } from './changes.ts'
import { exampleOf } from './example.ts'
import { assertAbsent, assertService, inserted, readIn, tableHint, withImport } from './existing.ts'
import { format } from './format.ts'
import { renderFile } from './templates.ts'
import { camel, capital } from './words.ts'

const USAGE = './skerry new consumer notes people users.profile.updated'

export type NewConsumer = { service?: string; purpose?: string; subjects: readonly string[] }

/** Writes a consumer that keeps the last of each entity, with its collection, its test and its permission. */
export async function newConsumer(repo: string, asked: NewConsumer, say: (line: string) => void): Promise<void> {
  const { service, purpose: name, subjects } = asked
  assertService(repo, service, USAGE)
  if (name === undefined || !/^[a-z]{2,30}(-[a-z]+)*$/.test(name) || name === 'jobs')
    throw new StartError(
      name === 'jobs'
        ? '"jobs" is reserved: it is the consumer of the service\'s own jobs'
        : `"${name ?? ''}" cannot be what a consumer is for: write it like-this, as in ${USAGE}`
    )
  if (subjects.length === 0) throw new StartError(`give the events that it handles: ${USAGE}`)
  const events = subjects.map(eventOf)
  const folder = `apps/${service}`
  const manifest = `${folder}/package.json`
  const described = JSON.parse(await readIn(repo, manifest))
  if ({ ...described.skerry.consumers, ...described.skerry.readModels }[name] !== undefined)
    throw new StartError(`${service} has a consumer "${name}" already: see "skerry" in ${manifest}`)
  const made = {
    data: `${folder}/src/data/${name}.ts`,
    subscriptions: `${folder}/src/consumers/${name}.ts`,
    test: `${folder}/test/${name}-consumer.test.ts`
  }
  for (const one of Object.values(made)) assertAbsent(repo, one)

  const purpose = camel(name)
  const values = {
    ...{ service, name, purpose, Purpose: capital(purpose) },
    first: events[0]!.name,
    events: events.map((event) => event.name).join(', '),
    handlers: events.map((event) => `on(${event.name}, keep)`).join(', '),
    example: exampleOf(events[0]!.contract.data)
  }
  const create = new Map<string, string>()
  for (const [what, one] of Object.entries(made)) create.set(one, await renderFile(`consumer/${what}.ts.tmpl`, values))

  const streams = [...new Set(events.map(({ contract }) => contracts.ownerOf(contract)))].sort()
  described.skerry.consumers = { ...described.skerry.consumers, [name]: streams }
  const edit = new Map([[manifest, `${JSON.stringify(described, null, 2)}\n`]])
  const started = `${folder}/src/events.ts`
  const part = `\n    ${quoted(name)}: startConsumer({ ...shared, purpose: '${name}', subscriptions: ${purpose}Subscriptions(shared.store) }),`
  const inEvents = inserted(
    await readIn(repo, started),
    { path: started, anchor: /^ {2}const parts = \{/m, side: 'after' },
    part
  )
  edit.set(started, withImport(inEvents, `import { ${purpose}Subscriptions } from './consumers/${name}.ts'`))
  for (const path of await openers(repo, folder)) {
    const text = (await readIn(repo, path)).replaceAll(
      '...eventCollections',
      `${purpose}Collection, ...eventCollections`
    )
    const to = posix.relative(dirname(path), made.data)
    edit.set(path, withImport(text, `import { ${purpose}Collection } from '${to.startsWith('.') ? to : `./${to}`}'`))
  }
  await applyChanges(repo, { create, edit }, async () => format(repo, [...create.keys(), ...edit.keys()]))
  for (const one of [...create.keys(), ...edit.keys()]) say(`  ${one}`)
  say(`
${service}--${name} keeps the last of each entity from ${subjects.join(', ')}. What it does with an event is written in
${made.subscriptions}. NATS knows of it at the next start; try it with: npm test ${service}${tableHint(repo, service)}`)
}

type Found = { name: string; contract: contracts.EventContract }

function eventOf(subject: string): Found {
  const plain = subject.replace(/\.v\d+$/, '')
  const events = Object.entries(contracts).flatMap(([name, value]): Found[] =>
    typeof value === 'object' && 'subject' in value ? [{ name, contract: value as contracts.EventContract }] : []
  )
  const found = events.findLast(
    ({ contract }) => contract.subject === plain || contracts.wireSubject(contract) === subject
  )
  if (found !== undefined) return found
  throw new StartError(
    `there is no event "${subject}": there are ${events
      .map(({ contract }) => contract.subject)
      .sort()
      .join(', ')}`
  )
}

/** The sources that open the service's database: the program and its tests. */
async function openers(repo: string, folder: string): Promise<string[]> {
  const found: string[] = []
  for await (const path of glob(['src/main.ts', 'test/**/*.ts'], { cwd: join(repo, folder) })) {
    const text = await readIn(repo, `${folder}/${path}`)
    if (/\[\s*\w+,\s*\.\.\.eventCollections|\.\.\.\w+Collections,\s*\.\.\.eventCollections/.test(text))
      found.push(`${folder}/${path}`)
  }
  return found.sort()
}

const quoted = (name: string) => (/^[a-z]+$/.test(name) ? name : `'${name}'`)
