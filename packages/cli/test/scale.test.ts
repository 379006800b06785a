import t from 'tap'
import { findApps, startedApps } from '../src/repository.ts'
import { scaled } from '../src/up/scale.ts'

const apps = startedApps(findApps())
const counts = (...values: string[]) =>
  Object.fromEntries(scaled(apps, values).map(({ name, instances }) => [name, instances]))

t.test('one instance of each by default; a number is for each service, SERVICE=NUMBER for one', async (t) => {
  t.same(counts(), { auth: 1, content: 1, gateway: 1, realtime: 1, users: 1 })
  t.same(counts('3'), { auth: 3, content: 3, gateway: 1, realtime: 3, users: 3 })
  t.same(counts('content=3'), { auth: 1, content: 3, gateway: 1, realtime: 1, users: 1 })
  t.same(
    counts('content=4', '2'),
    { auth: 2, content: 4, gateway: 1, realtime: 2, users: 2 },
    'a name holds before all'
  )
  t.same(counts('2', 'users=5', 'users=1', '3').users, 1, 'the later of two holds')
})

t.test('what is no number of instances is refused, with what it takes', async (t) => {
  for (const value of ['', '0', '101', '-1', '1.5', 'two', 'content=', 'content=0', '=2', 'content=2=3', '99999999999'])
    t.throws(() => scaled(apps, [value]), { message: /^--scale / }, value)
  for (const value of ['gateway=2', 'nobody=2', 'conduit=2'])
    t.throws(
      () => scaled(apps, [value]),
      { message: /no service ".*" starts; it takes auth, content, realtime, users$/ },
      value
    )
})
