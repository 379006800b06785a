import t from 'tap'
import { readContracts, withExport } from '../src/new/contracts.ts'
import { exampleOf } from '../src/new/example.ts'
import { assertFreeType, serviceNames } from '../src/new/names.ts'
import { newService } from '../src/new/service.ts'
import { REPOSITORY } from '../src/repository.ts'

const namesOf = (name: string, entity?: string) => serviceNames(REPOSITORY, name, entity)

t.test('what a service keeps is named by its singular, or as it is told', async (t) => {
  for (const [name, entity, Entities] of [
    ['notes', 'note', 'Notes'],
    ['stories', 'story', 'Stories'],
    ['boxes', 'box', 'Boxes'],
    ['weather', 'weather', 'Weather']
  ] as const)
    t.match(namesOf(name), { name, entity, Entities }, name)
  t.match(namesOf('library', 'story'), { name: 'library', entity: 'story', Entity: 'Story', Entities: 'Stories' })
})

t.test('names that exist, are reserved or do not fit are refused with the reason', async (t) => {
  for (const [name, why] of [
    ['users', /exists: see apps\/users/],
    ['gateway', /exists: see apps\/gateway/],
    ['events', /exists: see packages\/events/],
    ['stores', /exists: see infra\/stores/],
    ['admin', /reserved: it is the administrator of NATS/],
    ['dlq', /reserved: it is the first part of all dead letters/],
    ['live', /reserved: it is realtime's log/],
    ['mongo', /reserved: it is a container/],
    ['test', /reserved: it is an account of the tests/],
    ['Notes', /take 2 to 30 of the letters a to z/],
    ['my-notes', /take 2 to 30/],
    ['notes2', /take 2 to 30/],
    ['n', /take 2 to 30/],
    ['n'.repeat(31), /take 2 to 30/],
    ['../notes', /take 2 to 30/],
    ['', /take 2 to 30/]
  ] as const)
    t.throws(() => namesOf(name), why, name)
  t.throws(() => serviceNames(REPOSITORY, undefined), /give the name of the service/)
  t.throws(() => namesOf('library', 'Book'), /cannot be what a service keeps/)
})

t.test('prefixes and types of others are refused before anything is written', async (t) => {
  const create = (name: string, entity?: string) =>
    newService({ repo: REPOSITORY, name, say: () => t.fail('it goes on'), ...(entity === undefined ? {} : { entity }) })
  await t.rejects(create('posts', 'entry'), /the prefix \/v1\/posts belongs to another service/)
  await t.rejects(create('feed', 'entry'), /the prefix \/v1\/feed belongs to another service/)
  await t.rejects(create('library', 'post'), /cannot be called Post: contracts has a type of that name/)
  await t.rejects(create('library', 'problem'), /contracts has a type of that name/)
  await t.rejects(create('library', 'error'), /JavaScript has that name/)
  await t.rejects(create('library', 'store'), /the written files use that name/)
  const { names } = await readContracts(REPOSITORY)
  for (const name of ['Post', 'PostSchema', 'PostCreated', 'defineEvent', 'usersRoutes', 'PageOf'])
    t.ok(names.has(name), name)
  t.throws(() => assertFreeType('Profile', names), /Name it otherwise with --entity/)
})

t.test('the contracts’ index stays in order', async (t) => {
  const index =
    "export * from './event.ts'\nexport * from './events/auth.ts'\nexport * from './http/auth.ts'\nexport * from './route.ts'\n"
  const both = withExport(withExport(index, './events/books.ts'), './http/books.ts')
  t.same(
    both
      .trim()
      .split('\n')
      .map((line) => line.slice(15, -1)),
    ['./event.ts', './events/auth.ts', './events/books.ts', './http/auth.ts', './http/books.ts', './route.ts']
  )
  t.equal(withExport(both, './http/books.ts'), both)
})

t.test('an example of a schema is the source of a value that fits it', async (t) => {
  const text = { type: 'string' }
  t.equal(
    exampleOf({
      type: 'object',
      required: ['a', 'n'],
      properties: { a: text, n: { anyOf: [text, { type: 'null' }] }, more: text }
    }),
    "{ a: 'example', n: null }"
  )
})
