import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deletion } from '@skerry/contracts'
import { findApps } from '@skerry/stores'
import { faultRun, startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { checkImports } from '../src/test-run/check-imports.ts'
import { copyCheckout } from './helpers/checkout.ts'
import { request, signUp } from './helpers/phone.ts'

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const checkout = await copyCheckout(t)
const { folder, skerry, tool } = checkout

/** Tests that are to write their tables anew, as the commands say. */
const tables = new Set<string>()

/** Sources by their path. */
async function sources(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const paths = ['{apps,packages}/*/{src,test}/**/*.ts', 'apps/*/*.{json,md}', 'docker-compose.yml', 'pnpm-lock.yaml']
  for await (const path of glob(paths, { cwd: folder })) found.set(path, await readFile(join(folder, path), 'utf8'))
  return found
}

t.test('one command writes a service, in at most ten files to read, and nothing else is edited by hand', async (t) => {
  const before = await sources()
  const written = await skerry(['new', 'service', 'library', '--entity', 'book'])
  t.equal(written.code, 0, written.errors)
  const after = await sources()
  const created = [...after.keys()].filter((path) => !before.has(path))
  t.same(created.filter((path) => /\.(ts|md)$/.test(path) && !/tsconfig/.test(path)).sort(), [
    'apps/library/README.md',
    'apps/library/src/app.ts',
    'apps/library/src/data/library.ts',
    'apps/library/src/domain/library.ts',
    'apps/library/src/events.ts',
    'apps/library/src/main.ts',
    'apps/library/src/routes/library.ts',
    'apps/library/test/library.test.ts',
    'packages/contracts/src/events/library.ts',
    'packages/contracts/src/http/library.ts'
  ])
  t.same(
    [...before.keys()].filter((path) => after.get(path) !== before.get(path)).sort(),
    ['docker-compose.yml', 'packages/contracts/src/index.ts', 'pnpm-lock.yaml'],
    'three files list what there is, and the command keeps them'
  )
  t.match(
    findApps(join(folder, 'apps')).find(({ name }) => name === 'library'),
    { kind: 'service', instances: 1, database: 'skerry_library', consumers: { sagas: ['auth'] } }
  )
  const again = await skerry(['new', 'service', 'library'])
  t.match(again, { code: 1, errors: /"library" exists: see apps\/library/ })
  t.same(await sources(), after, 'what is refused writes nothing')
})

t.test('events, routes and consumers are added to it, and to services that were there', async (t) => {
  const commands = [
    ['event', 'library.book.lent'],
    ['event', 'users.profile.starred'],
    ['route', 'library', 'lendBook', 'PUT', '/v1/library/:id/lend'],
    ['route', 'library', 'findShelf', 'get', '/v1/library/:id/shelf'],
    ['route', 'users', 'dropMark', 'DELETE', '/v1/users/:id/mark'],
    ['route', 'content', 'drafts', 'POST', '/v1/drafts'],
    ['consumer', 'library', 'people', 'users.profile.created', 'users.profile.updated'],
    ['consumer', 'users', 'lent-books', 'library.book.lent'],
    ['consumer', 'content', 'edges', 'users.follow.created.v1']
  ]
  for (const args of commands) {
    const ended = await skerry(['new', ...args])
    t.equal(ended.code, 0, `${args.join(' ')}: ${ended.errors}`)
    const table = /SKERRY_WRITE_TABLES=1 npm test -- (\S+)/.exec(ended.out)?.[1]
    if (table !== undefined) tables.add(table)
  }
  t.same([...tables].sort(), ['apps/content/test/round-trips.test.ts', 'apps/users/test/round-trips.test.ts'])
  const consumersOf = (name: string) => findApps(join(folder, 'apps')).find((app) => app.name === name)?.consumers
  t.same(consumersOf('library'), { sagas: ['auth'], people: ['users'] })
  t.same(consumersOf('users')?.['lent-books'], ['library'])
  const before = await sources()
  const wrong = [
    [['event', 'library.book.lent'], /library\.book\.lent\.v1 exists/],
    [['event', 'nobody.book.lent'], /there is no service "nobody": there are auth, /],
    [['event', 'library.book'], /cannot be an event/],
    [['event', 'library.Book.lent'], /cannot be an event/],
    [['route', 'library', 'lendBook', 'PUT', '/v1/library/:id/again'], /libraryRoutes has lendBook already/],
    [['route', 'library', 'other', 'PUT', '/v1/library/:book/lend'], /PUT \/v1\/library\/:id\/lend exists/],
    [['route', 'library', 'other', 'GET', '/v1/users/books'], /the prefix \/v1\/users belongs to another service/],
    [['route', 'library', 'other', 'FETCH', '/v1/library/x'], /"FETCH" is not a method/],
    [['route', 'library', 'other', 'GET', 'library'], /cannot be a path/],
    [['route', 'library', 'Other-', 'GET', '/v1/library/x'], /cannot be a route's name/],
    [['consumer', 'library', 'people', 'users.profile.updated'], /has a consumer "people" already/],
    [['consumer', 'library', 'jobs', 'users.profile.updated'], /"jobs" is reserved/],
    [
      ['consumer', 'library', 'more', 'users.profile.painted'],
      /there is no event "users\.profile\.painted": there are auth\./
    ],
    [['consumer', 'library', 'more'], /give the events/],
    [['consumer', 'realtime', 'more', 'users.profile.updated'], /Put this in by hand/],
    [['poem', 'library'], /there is no "new poem"/]
  ] as const
  const asked = JSON.stringify(wrong.map(([args]) => args))
  const refused = await tool('node', [join(folder, 'packages/cli/test/fixtures/run-new.ts'), asked])
  t.equal(refused.code, 0, refused.errors)
  const said = JSON.parse(refused.out) as string[]
  for (const [i, [args, why]] of wrong.entries()) {
    t.match(said[i], /^StartError: /, args.join(' '))
    t.match(said[i], why, args.join(' '))
  }
  t.same(await sources(), before, 'what is refused writes nothing')
})

t.test('all that was written keeps the rules of the repository', async (t) => {
  // With the sources of the contracts and all other packages that it uses; the rest is in the long run.
  const types = await tool('tsc', ['--noEmit'], 'apps/library')
  t.equal(types.code, 0, types.out)
  const { code, out, errors } = await tool('biome', ['check', '--error-on-warnings', 'apps', 'packages/contracts'])
  t.equal(code, 0, `${out}${errors}`)
  t.same(await checkImports(folder), [])
  const documented = await tool('node', ['test/documentation.test.ts'], 'packages/contracts')
  t.equal(documented.code, 0, documented.out)
})

t.test('its own tests pass', async (t) => {
  // On the stores of this run; all that was written, and the contracts, are in the long one.
  const own = await tool('node', ['test/library.test.ts'], 'apps/library')
  t.equal(own.code, 0, own.out.slice(-4_000))
})

t.test('it starts with all others and answers behind the gateway, which knew nothing of it', async (t) => {
  const { url, run } = await startSystem(t, { repository: folder, args: ['--scale', 'library=2'] })
  const instances = (await run()).processes.filter(({ name }) => name === 'library')
  t.same(instances.map(({ instance }) => instance).sort(), ['1', '2'])
  const ada = await signUp(url, 'ada')
  const made = await ada.call<{ id: string }>('POST', '/v1/library', { text: 'Dune' }, { 'idempotency-key': 'k' })
  t.equal(made.status, 201)
  const { id } = made.body
  t.equal(
    (await ada.call<{ id: string }>('POST', '/v1/library', { text: 'Dune' }, { 'idempotency-key': 'k' })).body.id,
    id
  )
  t.match(await ada.call('GET', '/v1/library'), {
    status: 200,
    body: { items: [{ id, text: 'Dune' }], nextCursor: null }
  })
  t.match(await ada.call('PUT', `/v1/library/${id}/lend`, { text: 'to bob' }), {
    status: 200,
    body: { id, text: 'to bob' }
  })
  t.match(await ada.call('POST', '/v1/library', { text: '' }), {
    status: 400,
    body: { errors: [{ path: 'body.text' }] }
  })
  t.match(await request(url, 'GET', '/v1/library'), { status: 401, body: { code: 'UNAUTHENTICATED' } })
  t.equal((await (await signUp(url, 'bob')).call('GET', `/v1/library/${id}`)).status, 404)
  t.equal((await ada.call('DELETE', `/v1/library/${id}`)).status, 204)
  await ada.call('POST', '/v1/library', { text: 'Emma' })
  const { id: erasure } = (await ada.call<Deletion>('DELETE', '/v1/auth/account', {})).body
  const deletion = async () => (await request<Deletion>(url, 'GET', `/v1/auth/account/deletions/${erasure}`)).body
  await waitFor(async () => (await deletion()).state === 'done', { message: 'all have erased, and it among them' })
  t.match(
    (await deletion()).erased.find(({ service }) => service === 'library'),
    { counts: { books: 1 } }
  )
  await waitFor(async () => {
    const { body } = await request<{ paths: object }>(url, 'GET', '/openapi.json')
    return '/v1/library/{id}/lend' in body.paths
  })
})

const skip = run.long ? false : 'takes minutes: npm run test:faults -- new-service'
t.test(
  'npm test takes it as it is, with the tables that the commands name',
  { skip, timeout: run.limitMs },
  async (t) => {
    const names = ['library', 'users', 'content', 'contracts', 'stores']
    // As npm test: nothing in its long version.
    const env = { SKERRY_TEST_STORES: '', SKERRY_FAULTS: '' }
    const written = await skerry(['test', ...tables], { ...env, SKERRY_WRITE_TABLES: '1' })
    t.equal(written.code, 0, `${written.out.slice(-4_000)}${written.errors.slice(-4_000)}`)
    const text = await readFile(join(folder, 'docs/round-trips.md'), 'utf8')
    for (const route of ['POST /v1/drafts', 'DELETE /v1/users/:id/mark'])
      t.ok(text.includes(`| ${route} | not counted yet |`), route)
    const ended = await skerry(['test', ...names], env)
    t.equal(ended.code, 0, `${ended.out.slice(-4_000)}${ended.errors.slice(-4_000)}`)
    t.match(ended.out, /✓ @skerry\/library/)
  }
)
