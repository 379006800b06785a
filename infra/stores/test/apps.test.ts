import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { findApps } from '../src/index.ts'
import { temporaryHome } from './support/home.ts'

t.test('what package.json says of an app is checked, and the rest is no app', async (t) => {
  const root = await temporaryHome(t)
  const write = async (name: string, skerry: unknown) => {
    await mkdir(join(root, name), { recursive: true })
    await writeFile(join(root, name, 'package.json'), JSON.stringify({ version: '1.2.3', skerry }))
  }
  await write('tool', undefined)
  await write('notes', {
    kind: 'service',
    database: 'skerry_notes',
    consumers: { 'all-posts': ['content'], all: ['*'] }
  })
  t.match(findApps(root), [{ name: 'notes', version: '1.2.3', instances: 1, folder: join(root, 'notes') }])
  t.equal(findApps(root).length, 1)
  const kind = 'service'
  for (const [skerry, why] of [
    [{}, /needs a kind/],
    [{ kind: 'queue' }, /needs a kind/],
    [{ kind, instances: 0 }, /no number from 1 to 100/],
    [{ kind, instances: 101 }, /no number from 1 to 100/],
    [{ kind, database: 'skerry_users' }, /has a database that is not skerry_notes/],
    [{ kind, database: 'admin' }, /has a database that is not skerry_notes/],
    [{ kind, consumers: 'auth' }, /consumers that are no object/],
    [{ kind, consumers: { 'x.>': ['auth'] } }, /"x\.>", which is not written like-this/],
    [{ kind, consumers: { x: ['auth.>'] } }, /whose "x" does not list/],
    [{ kind, consumers: { x: [] } }, /whose "x" does not list/],
    [{ kind, readModels: { x: ['>'] } }, /readModels whose "x" does not list/],
    [{ kind, publishes: ['users'] }, /has publishes, which means nothing: it takes kind/]
  ] as const) {
    await write('notes', skerry)
    t.throws(() => findApps(root), why, JSON.stringify(skerry))
  }
  await write('notes', { kind })
  await write('my-notes', { kind })
  t.throws(() => findApps(root), /my-notes.*not named by 2 to 30/)
})
