import { test } from 'tap'
import { byOwner, selfTimes } from '../src/gateway/profile.ts'

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber })
const PROFILE = {
  nodes: [
    { id: 1, callFrame: frame('(idle)') },
    { id: 2, callFrame: frame('', 'file:///anywhere/skerry/apps/gateway/src/door/door.ts', 9) },
    { id: 3, callFrame: frame('parse', 'file:///x/node_modules/.pnpm/undici@8/node_modules/undici/lib/a.js', 4) },
    { id: 4, callFrame: frame('parse', 'file:///x/node_modules/.pnpm/undici@8/node_modules/undici/lib/a.js', 4) },
    { id: 5, callFrame: frame('emit', 'node:events', 488) }
  ],
  startTime: 1_000,
  samples: [5, 2, 3, 1, 4, 5],
  timeDeltas: [10, 100, 200, 40, 500, 30]
}

test('self time is summed by function, from sample to sample, within the time that is asked for', async (t) => {
  t.strictSame(selfTimes(PROFILE, 1_050, 1_800), [
    { name: '(anonymous)', where: 'apps/gateway/src/door/door.ts:10', micros: 200 },
    { name: 'parse', where: 'undici/lib/a.js:5', micros: 40 }
  ])
})

test('and by whose code it is', async (t) => {
  t.strictSame(
    byOwner(selfTimes(PROFILE, 0, 1_900)).map(({ name, micros }) => [name, micros]),
    [
      ['apps/gateway/src/door/door.ts', 200],
      ['node:*', 100],
      ['undici', 70]
    ]
  )
})
