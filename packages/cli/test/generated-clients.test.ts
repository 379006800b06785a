import { execFile } from 'node:child_process'
import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Grant, Post } from '@skerry/contracts'
import * as contracts from '@skerry/contracts'
import { openApiOf } from '@skerry/contracts/openapi'
import { faultRun, missingCommand, startSystem } from '@skerry/testing'
import t from 'tap'
import { CACHE, findGenerator, GENERATORS, generateClients } from './generated-clients/generate.ts'
import { circles, dartBody, type Generator, type Model, readModels } from './generated-clients/read-models.ts'

const exec = promisify(execFile)
const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)

const SOURCES = join(import.meta.dirname, 'generated-clients')
const TSC = resolve(import.meta.dirname, '../../../node_modules/.bin/tsc')
const OUTPUT = { maxBuffer: 64 << 20 }
const generators = Object.keys(GENERATORS) as Generator[]

/** What a client has to have seen after its journey; `signedUpAt` is compared apart. */
const journeyOf = (username: string) => ({
  username,
  edited: ['two', 'T', 'S', ['sea']],
  feed: ['two'],
  end: true,
  batch: [
    ['me', 200, null],
    [null, 201, 'three']
  ],
  taken: 409
})

/** What the gateway at `url` serves, or what it would serve of all contracts. */
async function documentOf(url: string | undefined): Promise<string> {
  if (url !== undefined) return fetch(`${url}/openapi.json`).then((answer) => answer.text())
  const routes = Object.entries(contracts).flatMap(([name, value]) => (name.endsWith('Routes') ? [value] : []))
  return JSON.stringify(openApiOf({ title: 'Skerry API', version: 'v1', routes: Object.assign({}, ...routes) }))
}

const found = await findGenerator()
if (found.missing !== undefined) {
  t.test('clients from OpenAPI', { skip: found.missing }, async () => {})
} else {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-clients-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  // A whole system costs more than all the rest: npm test takes the contracts as they are declared.
  const system = run.long ? await startSystem(t, { args: ['--with', 'conduit'] }) : undefined
  const missingMaven = await missingCommand('mvn', 'maven')
  const document = await documentOf(system?.url)
  const warnings = await generateClients(found.jar, document, folder)
  const models = new Map<Generator, Map<string, Model>>()
  for (const generator of generators) models.set(generator, await readModels(generator, join(folder, generator)))

  const { components, servers } = JSON.parse(document)
  const schemas = Object.entries<{ type?: string; properties?: object }>(components.schemas)
  const objects = schemas.flatMap(([name, { properties }]) => (properties === undefined ? [] : [name]))

  t.test('every schema becomes one type of its name, and none holds itself', async (t) => {
    t.ok(objects.length > 40, `${objects.length} schemas with members`)
    if (system !== undefined) t.ok(servers.length > 0)
    for (const generator of generators) {
      const types = models.get(generator)!
      // `Export` is a word of Dart.
      const missing = objects.filter((name) => !types.has(name) && !types.has(`Model${name}`))
      t.same(missing, [], generator)
      t.same(circles(types), [], generator)
      const members = [...types.values()].flatMap((model) => [...model.members.keys()])
      t.ok(members.length > 150, `${generator}: ${members.length} members were read`)
    }
    t.same(
      warnings.filter((line) => /ERROR|conflict|duplicate|already|collision/i.test(line)),
      []
    )
  })

  t.test('what holds itself is seen', async (t) => {
    const model = (name: string, type: string): [string, Model] => [
      name,
      { name, source: '', members: new Map([['x', type]]) }
    ]
    t.same(circles(new Map([model('A', 'List<A>?')])), ['A > A'])
    t.same(circles(new Map([model('A', 'B'), model('B', 'Map<String, A>'), model('C', 'A')])), ['A > B > A'])
  })

  t.test('times, maps and batches have types that can be worked with', async (t) => {
    const typeOf = (generator: Generator, model: string, member: string) =>
      models
        .get(generator)
        ?.get(model)
        ?.members.get(member)
        ?.replaceAll(/kotlin\.(collections\.)?|\?/g, '')
    const times = { kotlin: 'java.time.OffsetDateTime', swift6: 'Date', dart: 'DateTime', 'typescript-fetch': 'Date' }
    const maps = {
      kotlin: 'Map<String, String>',
      swift6: '[String: String]',
      dart: 'Map<String, String>',
      'typescript-fetch': '{ [key: string]: string; }'
    }
    for (const generator of generators) {
      t.equal(typeOf(generator, 'Post', 'createdAt'), times[generator], generator)
      t.equal(typeOf(generator, 'BatchedRequest', 'headers'), maps[generator], generator)
      t.match(typeOf(generator, 'BatchBody', 'requests'), /BatchedRequest/, generator)
      t.match(typeOf(generator, 'BatchAnswers', 'responses'), /BatchAnswer/, generator)
    }
  })

  const withSystem = { skip: run.long ? false : 'takes minutes: npm run test:faults -- generated-clients' } as const
  t.test('what a Dart client sends, null for what is absent, is taken as it is meant', withSystem, async (t) => {
    const body = (name: string, given: Record<string, unknown>) => dartBody(models.get('dart')!.get(name)!, given)
    let token = ''
    const send = async (method: string, path: string, value: object) => {
      const answer = await fetch(system!.url + path, {
        method,
        headers: { 'content-type': 'application/json', ...(token === '' ? {} : { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(value)
      })
      return { status: answer.status, body: (await answer.json()) as Partial<Grant & Post> }
    }
    const account = { email: 'dart@example.com', password: 'correct horse', username: 'dart' }
    const signup = body('SignupBody', account)
    t.same(signup, { ...account, displayName: null }, 'it does send null')
    const grant = await send('POST', '/v1/auth/signup', signup)
    t.equal(grant.status, 201, 'signs up')
    token = grant.body.accessToken ?? ''
    const bare = await send('POST', '/v1/posts', body('CreatePostBody', { text: 'bare' }))
    t.match(bare, { status: 201, body: { title: null, tags: [] } })
    const set = { text: 'one', title: 'T', summary: 'S', tags: ['sea'] }
    const post = await send('POST', '/v1/posts', body('CreatePostBody', set))
    t.equal(post.status, 201, 'posts')
    const edit = body('UpdatePostBody', { text: 'two' })
    t.match(edit, { text: 'two', title: null, summary: null })
    const edited = await send('PATCH', `/v1/posts/${post.body.id}`, edit)
    t.match(edited, { status: 200, body: { ...set, text: 'two' } }, 'title, summary and tags stay')
    const me = await send('PATCH', '/v1/users/me', body('UpdateMeBody', { bio: 'A dart.' }))
    t.match(me, { status: 200, body: { bio: 'A dart.', displayName: 'dart' } })
    const requests = [body('BatchedRequest', { method: 'GET', path: '/v1/feed?limit=1' })]
    t.match(await send('POST', '/v1/batch', body('BatchBody', { requests })), {
      status: 200,
      body: { responses: [{ status: 200 }] }
    })
    t.equal((await send('POST', '/v1/auth/account/exports', body('RequestExportBody', {}))).status, 202)
    t.equal((await send('DELETE', '/v1/auth/account', body('DeleteAccountBody', {}))).status, 202)
  })

  t.test('the TypeScript client compiles in strict mode, and makes its journey where there is a system', async (t) => {
    const project = join(folder, 'typescript')
    await cp(join(SOURCES, 'typescript'), project, { recursive: true })
    await rename(join(project, 'journey.ts.tmpl'), join(project, 'journey.ts'))
    await rename(join(folder, 'typescript-fetch'), join(project, 'client'))
    const problems = await exec(TSC, ['-p', project], OUTPUT).then(
      () => '',
      (error) => `${error.stdout}${error.stderr}`
    )
    t.equal(problems, '')
    if (system === undefined) return
    const { journey } = await import(join(project, 'dist/journey.js'))
    const { signedUpAt, ...seen } = await journey(system.url)
    t.strictSame(seen, journeyOf('typescript'))
    t.ok(Math.abs(signedUpAt - Date.now()) < 3_600_000, 'times are read')
  })

  const withMaven = missingMaven === undefined ? withSystem : { skip: missingMaven }
  t.test('the Kotlin client compiles with okhttp and makes its journey', withMaven, async (t) => {
    const project = join(folder, 'kotlin-project')
    await cp(join(SOURCES, 'kotlin'), project, { recursive: true })
    await rename(join(folder, 'kotlin'), join(project, 'client'))
    const options = ['-B', '-ntp', '-q', `-Dmaven.repo.local=${join(CACHE, 'maven')}`, `-Dexec.args=${system!.url}`]
    const maven = ['-f', join(project, 'pom.xml'), ...options, 'compile', 'exec:java']
    const { stdout } = await exec('mvn', maven, OUTPUT).catch((error) => {
      throw new Error(`Maven failed:\n${error.stdout}${error.stderr}`, { cause: error })
    })
    // Maven may colour the line.
    const { signedUpAt, ...seen } = JSON.parse(/SEEN (\{.*\})/.exec(stdout)?.[1] ?? '{}')
    t.strictSame(seen, journeyOf('kotlin'))
    t.ok(Math.abs(signedUpAt - Date.now()) < 3_600_000, 'times are read')
  })
}
