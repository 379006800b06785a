import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import t from 'tap'
import { checkImports } from '../src/test-run/check-imports.ts'
import { findCircles, type ImportGraph } from '../src/test-run/import-circles.ts'

type Files = Record<string, string>

async function check(t: { testdir(): string }, files: Files): Promise<string[]> {
  const repo = t.testdir()
  for (const [path, text] of Object.entries({ 'apps/auth/src/main.ts': '', 'apps/users/src/main.ts': '', ...files })) {
    await mkdir(dirname(join(repo, path)), { recursive: true })
    await writeFile(join(repo, path), text)
  }
  return checkImports(repo)
}

t.test('what keeps the rules passes', async (t) => {
  const faults = await check(t, {
    'apps/auth/src/main.ts': `import { buildApp } from './app.ts'\nprocess.once('SIGTERM', () => {})\nstart(process.env)`,
    'apps/auth/src/app.ts': `import Fastify from 'fastify'\nimport { config } from './config.ts'\nimport './routes/login.ts'`,
    'apps/auth/src/serve.ts': `import { buildApp } from './app.ts'`,
    'apps/auth/src/config.ts': `import Type from 'typebox'`,
    'apps/auth/src/routes/login.ts': `import { logIn } from '../domain/log-in.ts'`,
    'apps/auth/src/domain/log-in.ts': `import type { Accounts } from '../data/accounts.ts'\nimport { Grant } from '@skerry/contracts'`,
    'apps/auth/src/data/accounts.ts': `import type { Db } from 'mongodb'`,
    'apps/auth/test/log-in.test.ts': `import { MongoClient } from 'mongodb'\nimport { logIn } from '../src/domain/log-in.ts'`,
    'packages/contracts/src/index.ts': `export * from './route.ts'\nimport Format from 'typebox/format'`,
    'packages/store/src/index.ts': `import { MongoClient } from 'mongodb'`
  })
  t.same(faults, [])
})

t.test('each violation is named with its file and line', async (t) => {
  const faults = await check(t, {
    'apps/auth/src/app.ts': `\nimport { x } from '@skerry/users'`,
    'apps/auth/src/routes/a.ts': `import {\n  x,\n  y\n} from '../../../users/src/app.ts'`,
    'apps/auth/src/routes/b.ts': `import type { Db } from 'mongodb'`,
    'apps/auth/src/routes/c.ts': `import { x } from '../app.ts'`,
    'apps/auth/src/routes/d.ts': `import { x } from '../events.ts'`,
    'apps/auth/src/domain/a.ts': `import Fastify from 'fastify'`,
    'apps/auth/src/domain/b.ts': `import { ObjectId } from 'mongodb'`,
    'apps/auth/src/domain/c.ts': `const nats = await import('@nats-io/transport-node')`,
    'apps/auth/src/domain/d.ts': `export { x } from '../routes/a.ts'`,
    'apps/auth/src/data/a.ts': `import '../domain/a.ts'`,
    'apps/auth/src/limits/a.ts': `import { x } from '../main.ts'`,
    'apps/auth/src/limits/b.ts': `import { x } from '../serve.ts'`,
    'apps/auth/src/config.ts': `// process.env in a comment is fine\nconst port = process.env.PORT`,
    'apps/auth/src/signals.ts': `process.on('SIGTERM', stop)`,
    'apps/auth/test/a.test.ts': `import { x } from '@skerry/users/src/app.ts'`,
    'packages/contracts/src/index.ts': `import pino from 'pino'`,
    'packages/store/src/index.ts': `import { x } from '@skerry/auth'`,
    'packages/store/src/other.ts': `import { x } from '../../contracts/src/index.ts'`,
    'infra/stores/test/a.test.ts': `import { x } from '../../../apps/auth/src/app.ts'`
  })
  t.strictSame(faults, [
    'apps/auth/src/app.ts:2: @skerry/users: apps never import apps',
    'apps/auth/src/config.ts:2: process.env: only main.ts touches the environment and signals',
    'apps/auth/src/data/a.ts:1: ../domain/a.ts: data may not import domain',
    'apps/auth/src/domain/a.ts:1: fastify: the domain knows no framework, database or broker',
    'apps/auth/src/domain/b.ts:1: mongodb: the domain knows no framework, database or broker',
    'apps/auth/src/domain/c.ts:1: @nats-io/transport-node: the domain knows no framework, database or broker',
    'apps/auth/src/domain/d.ts:1: ../routes/a.ts: domain may not import routes',
    'apps/auth/src/limits/a.ts:1: ../main.ts: nothing but main imports main',
    'apps/auth/src/limits/b.ts:1: ../serve.ts: nothing but main imports serve',
    'apps/auth/src/routes/a.ts:4: ../../../users/src/app.ts: apps never import apps',
    'apps/auth/src/routes/b.ts:1: mongodb: only src/data imports mongodb',
    'apps/auth/src/routes/c.ts:1: ../app.ts: routes may not import app',
    'apps/auth/src/routes/d.ts:1: ../events.ts: routes may not import events',
    'apps/auth/src/signals.ts:1: process.on: only main.ts touches the environment and signals',
    'apps/auth/test/a.test.ts:1: @skerry/users/src/app.ts: apps never import apps',
    'infra/stores/test/a.test.ts:1: ../../../apps/auth/src/app.ts: nothing imports an app',
    'packages/contracts/src/index.ts:1: pino: contracts depends on typebox alone',
    'packages/store/src/index.ts:1: @skerry/auth: nothing imports an app',
    'packages/store/src/other.ts:1: ../../contracts/src/index.ts: a relative import stays in its package'
  ])
})

t.test('files that import each other in a circle are named with the shortest way round', async (t) => {
  const faults = await check(t, {
    'apps/auth/src/a.ts': `import type { B } from './b.ts'`,
    'apps/auth/src/b.ts': `import { c } from './c.ts'\nimport { d } from './d.ts'`,
    'apps/auth/src/c.ts': `import { a } from './a.ts'`,
    'apps/auth/src/d.ts': `\nconst { b } = await import('./b.ts')`,
    'apps/auth/src/e.ts': `import { a } from './a.ts'`,
    'packages/store/src/f.ts': `export * from './f.ts'`
  })
  t.strictSame(faults, [
    'apps/auth/src/b.ts:2: ./d.ts: imports in a circle: apps/auth/src/b.ts → apps/auth/src/d.ts → apps/auth/src/b.ts',
    'packages/store/src/f.ts:1: ./f.ts: imports in a circle: packages/store/src/f.ts → packages/store/src/f.ts'
  ])
})

t.test('folders of an app have an order', async (t) => {
  const files = {
    'apps/auth/src/keys/a.ts': `import { b } from '../tokens/b.ts'`,
    'apps/auth/src/tokens/b.ts': '',
    'apps/auth/src/tokens/c.ts': `import type { D } from '../d.ts'`,
    'apps/auth/src/d.ts': `\nimport type { E } from './keys/e.ts'`,
    'apps/auth/src/keys/e.ts': ''
  }
  const circle = ['apps/auth/src/d.ts', 'apps/auth/src/keys', 'apps/auth/src/tokens', 'apps/auth/src/d.ts'].join(' → ')
  t.strictSame(await check(t, files), [`apps/auth/src/d.ts:2: ./keys/e.ts: imports in a circle: ${circle}`])
  t.strictSame(await check(t, { ...files, 'apps/auth/src/d.ts': '' }), [])
})

t.test('so have folders within them, and the files beside those', async (t) => {
  const files = {
    'apps/auth/src/keys/serve.ts': `import { a } from './kept/a.ts'`,
    'apps/auth/src/keys/kept/a.ts': `import type { B } from '../b.ts'`,
    'apps/auth/src/keys/b.ts': `import type { C } from './kept/c.ts'`,
    'apps/auth/src/keys/kept/c.ts': ''
  }
  const circle = ['apps/auth/src/keys/b.ts', 'apps/auth/src/keys/kept', 'apps/auth/src/keys/b.ts'].join(' → ')
  t.strictSame(await check(t, files), [`apps/auth/src/keys/b.ts:1: ./kept/c.ts: imports in a circle: ${circle}`])
  t.strictSame(await check(t, { ...files, 'apps/auth/src/keys/b.ts': '' }), [])
})

t.test('a circle that is known is not told, one that has grown is, and what is none any more is taken off', (t) => {
  const graph = (uses: Record<string, string[]>): ImportGraph =>
    new Map(Object.entries(uses).map(([file, all]) => [file, all.map((to) => ({ to, file, line: 1, source: to }))]))
  const known = [['a', 'b', 'c']]
  t.same(findCircles(graph({ a: ['b'], b: ['c'], c: ['a'] }), known), [])
  t.same(findCircles(graph({ a: ['b'], b: ['c', 'd'], c: ['a'], d: ['b'] }), known), [
    'b:1: d: imports in a circle: b → d → b'
  ])
  t.same(findCircles(graph({ a: ['b'], b: ['a'], c: ['a'] }), known), [
    'c: is in no circle of imports any more: take it off the list of known ones'
  ])
  t.end()
})

t.test('the repository itself keeps them', async (t) => {
  t.same(await checkImports(resolve(import.meta.dirname, '../../..')), [])
})
