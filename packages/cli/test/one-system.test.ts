import { faultRun, startSystem } from '@skerry/testing'
import t from 'tap'
import { access } from './one-system/access.ts'
import { browser } from './one-system/browser.ts'
import { collisions } from './one-system/collisions.ts'
import { participants } from './one-system/participants.ts'
import { subscriber } from './one-system/subscriber.ts'
import { traffic } from './one-system/traffic.ts'

// What needs a whole system and leaves it as others can use it: one is started for all. They run in this order. The long version
// (`npm run test:faults -- gateway-strangers`) is that of `access` alone.
const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)

const system = await startSystem(t, {
  args: ['--with', 'conduit', ...(run.long ? [] : ['--scale', 'content=2'])],
  env: { LIMIT_USER_PER_SECOND: '1000000', LIMIT_USER_BURST: '1000000', ACCESS_TTL_S: '3600' }
})

if (!run.long) {
  // First: the program gets every post from the first one on.
  await t.test('a subscriber outside', (t) => subscriber(t, system))
  await t.test('the traffic of versions', (t) => traffic(t, system))
  await t.test('participants of deletions', (t) => participants(t, system))
  await t.test('the SDK in a browser', (t) => browser(t, system))
}
await t.test('what strangers get', (t) => access(t, system, run))
// Last: it puts in names as earlier releases stored them.
if (!run.long) await t.test('names that collide', (t) => collisions(t, system))
