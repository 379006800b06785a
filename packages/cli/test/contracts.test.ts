import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as own from '@skerry/contracts'
import { declaredIn } from '@skerry/contracts/compat'
import t, { type Test } from 'tap'
import { checkContracts, releaseContracts } from '../src/contracts/index.ts'
import { findUses, usesIn } from '../src/contracts/uses.ts'
import { REPOSITORY } from '../src/repository.ts'
import { runCli } from './helpers/cli.ts'

const { IdSchema, defineEvent, defineRoute } = own
type Members = Record<string, typeof IdSchema>

/** Contracts as a module has them. */
function moduleOf(members: Members = { text: IdSchema }, more: object = {}): object {
  return {
    Sailed: eventOf(members, 1),
    shipsRoutes: {
      getShip: defineRoute({
        ...{ method: 'GET', path: '/v1/ships/:id', summary: 'A ship.', tag: 'ships', auth: 'none', errors: [] },
        response: { 200: objectOf(members) },
        cache: { scope: 'public', ttl: 1, tags: ['ship:{id}'], endedBy: { 'ships.ship.sailed': ['ship:{id}'] } }
      })
    },
    ...more
  }
}
const objectOf = (members: Members) => ({ type: 'object', required: ['id'], properties: { id: IdSchema, ...members } })
const eventOf = (members: Members, version: number) =>
  defineEvent({
    subject: 'ships.ship.sailed',
    version,
    summary: 'Sailed.',
    entity: (d) => (d as { id: string }).id,
    data: objectOf(members) as never
  })

/** A checkout with these files. */
async function repoOf(t: Test, files: Record<string, string>): Promise<string> {
  const repo = await mkdtemp(join(tmpdir(), 'skerry-contracts-'))
  t.teardown(() => rm(repo, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(repo, path)), { recursive: true })
    await writeFile(join(repo, path), text)
  }
  return repo
}

const SOURCES = {
  'apps/ships/src/sail.ts': `import { Sailed, shipsRoutes } from '@skerry/contracts'
publish(store, tx, Sailed, { id: f(1) })
route(app, shipsRoutes.getShip, () => 1)
`,
  'apps/boats/src/events.ts': `import { Sailed as Left, type DataOf } from '@skerry/contracts'
// Sailed is not used here, nor is
/* Left */
type Data = DataOf<typeof Left>
startConsumer({ purpose: 'x', subscriptions: [
  on(Left, handle)] })
`,
  'packages/sdk/src/api.ts': `import { shipsRoutes } from '@skerry/contracts'
export const get = () => call(shipsRoutes.getShip)
`
}

t.test('a breaking change names what, where, who uses it and the way out', async (t) => {
  const repo = await repoOf(t, SOURCES)
  t.match(await checkContracts(repo, moduleOf()), { ok: true, unreleased: 2, output: /ships\.ship\.sailed\.v1: new/ })
  t.match(await releaseContracts(repo, { module: moduleOf() }), {
    ok: true,
    output: /Released:\n.*events\/ships\.ship\.sailed\.v1\.json\n.*http\/ships\.json/
  })
  t.match(await checkContracts(repo, moduleOf()), {
    ok: true,
    unreleased: 0,
    output: 'All contracts are as they were released.'
  })

  const { ok, output } = await checkContracts(repo, moduleOf({}))
  t.equal(ok, false)
  t.equal(
    output.split('GET /v1/ships/:id: breaking')[0],
    `ships.ship.sailed.v1: breaking
  data.text: string → nothing
    payloads in streams would not fit: it is not read any more
  used by
    boats      apps/boats/src/events.ts:6
    gateway    answers of GET /v1/ships/:id, which it ends by ship:{id}
  way out
    Leave version 1 as it was released and declare the change as a second event with \`version: 2\`. Publish both in
    the same transaction (\`publishBoth\`) until all of the above have moved to ships.ship.sailed.v2; then take version 1 out and
    run \`./skerry contracts release --retire ships.ship.sailed.v1\`. See docs/contracts.md.

`
  )
  t.match(
    output,
    /GET \/v1\/ships\/:id: breaking\n {2}response 200\.text: string → nothing\n.*\n {2}used by\n {4}sdk {8}packages\/sdk\/src\/api\.ts:2/
  )
  t.match(output, /2 breaking, 0 additive, 0 new\.$/)
})

t.test('a release takes what is additive and refuses what breaks, all or nothing', async (t) => {
  const repo = await repoOf(t, SOURCES)
  const golden = (name: string) => readFile(join(repo, 'packages/contracts/released', name), 'utf8')
  await releaseContracts(repo, { module: moduleOf() })
  const before = await golden('events/ships.ship.sailed.v1.json')

  const both = moduleOf({}, { Other: eventOf({}, 2) })
  t.match(await releaseContracts(repo, { module: both }), {
    ok: false,
    output: /breaking[\s\S]*Nothing was released\.$/
  })
  t.same(await readdir(join(repo, 'packages/contracts/released/events')), ['ships.ship.sailed.v1.json'])

  const more = moduleOf({ text: IdSchema, more: IdSchema })
  t.match(await checkContracts(repo, more), {
    ok: true,
    unreleased: 2,
    output: /sailed\.v1: additive\n {2}data\.properties\.more: nothing → /
  })
  t.match(await releaseContracts(repo, { module: more }), { ok: true })
  t.not(await golden('events/ships.ship.sailed.v1.json'), before)
  t.match(JSON.parse(await golden('events/ships.ship.sailed.v1.json')).examples, JSON.parse(before).examples)
  t.match(await releaseContracts(repo, { module: more }), {
    ok: true,
    output: 'All contracts are as they were released.'
  })
})

t.test('a version is retired when nobody uses it any more', async (t) => {
  const repo = await repoOf(t, SOURCES)
  const V2 = { Sailed: eventOf({}, 2) }
  await releaseContracts(repo, { module: moduleOf({ text: IdSchema }, { SailedTwo: V2.Sailed }) })
  const v1 = 'ships.ship.sailed.v1'
  const release = (module: object, retire: string) => releaseContracts(repo, { module, retire: [retire] })
  await t.rejects(release(moduleOf(), v1), {
    message: /cannot be retired yet, it is used by boats \(apps\/boats\/src\/events\.ts:6\), gateway/
  })
  const rest = { ...moduleOf(), ...V2 }
  t.match(await checkContracts(repo, rest), { ok: false, output: /released → gone/ })
  await t.rejects(release(rest, 'ships.ship.sunk.v1'), {
    message: 'ships.ship.sunk.v1 was not released, so it cannot be retired'
  })
  t.match(await release(rest, v1), { ok: true, output: /events\/ships\.ship\.sailed\.v1\.json/ })
  t.same(await readdir(join(repo, 'packages/contracts/released/events')), ['ships.ship.sailed.v2.json'])

  const route = 'GET /v1/ships/:id'
  await t.rejects(release(rest, route), { message: /is used by sdk/ })
  await rm(join(repo, 'packages/sdk/src/api.ts'))
  await t.rejects(release(rest, route), {
    message: `${route} is still declared: take it out of packages/contracts first`
  })
  t.match(await release({ ...rest, shipsRoutes: {} }, route), { ok: true })
})

t.test('a golden file that is broken is named', async (t) => {
  for (const text of ['{', '{"subject":"a.b.c"}']) {
    const repo = await repoOf(t, { 'packages/contracts/released/events/a.b.c.v1.json': text })
    await t.rejects(checkContracts(repo, {}), {
      message: /a\.b\.c\.v1\.json is not a valid golden file: .*version control/
    })
  }
})

t.test('who uses what is found in the sources', async (t) => {
  const found = (source: string) => usesIn(source).map(({ name, member, line }) => [name, member, line].join(' '))
  t.same(found(`import { A, B } from '@skerry/contracts'\nimport { C } from './c.ts'\nx(A, C, y.B, BB)`), ['A  3'])
  t.same(found(`import type { A } from '@skerry/contracts'\nx(A)`), [])
  t.same(found(`import * as c from '@skerry/contracts'\nx(c.A, c.aRoutes.get)`), ['A  2', 'aRoutes get 2'])
  t.same(
    found(`import {\n  A,\n  B as D\n} from '@skerry/contracts'\npublishBoth(s, t, [A, f(1)], [D, g(h(2))])\non(D)`),
    ['B  6']
  )
  t.same(found(`import { A } from '@skerry/contracts'\npublish(s, t, x ? A : y, f(1))`), [])
})

t.test('what this checkout’s services say is what they consume', async (t) => {
  const uses = await findUses(REPOSITORY, own, declaredIn(own))
  const by = (subject: string) => [...new Set((uses.get(subject) ?? []).map((use) => use.by))]
  t.same(
    by('content.post.created.v1').filter((one) => one !== 'conduit'),
    ['content', 'realtime', 'users']
  )
  t.ok(by('users.profile.updated.v1').includes('gateway'))
  t.ok(by('GET /v1/posts/:id').includes('sdk'))
  t.match(await checkContracts(REPOSITORY), { ok: true })
})

t.test(
  'every event has somebody who consumes it: each costs its writer an insert, a publication and a mark',
  async (t) => {
    const declared = declaredIn(own)
    const uses = await findUses(REPOSITORY, own, declared)
    t.same(
      [...declared.events.keys()].filter((subject) => !uses.has(subject)),
      []
    )
  }
)

t.test('the command says what it takes', async (t) => {
  const run = (...args: string[]) => runCli(['contracts', ...args], {})
  t.match(await run('check'), { code: 0, out: /\S/ })
  t.match(await run(), { code: 1, errors: /say what to do: \.\/skerry contracts check/ })
  t.match(await run('check', '--retire', 'x'), { code: 1, errors: /--retire belongs to \.\/skerry contracts release/ })
  t.match(await run('release', '--released'), { code: 1, errors: /--released belongs to \.\/skerry contracts check/ })
  t.match(await run('--help'), { code: 0, out: /skerry contracts release/ })
})
