import { faultRun } from '@skerry/testing'
import t from 'tap'
import { DAY, HOUR, simulate } from './support/refresh-simulation.ts'

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const PHONES = run.long ? 100_000 : 1_000
const THIEVES = run.long ? 2_000 : 200
/** Of the first phone. */
const FIRST = run.seed * 1_000_000

t.test(`${PHONES} phones on bad networks for a month: none is signed out`, (t) => {
  let out = 0
  let refreshes = 0
  for (let i = 0; i < PHONES; i++) {
    const phone = simulate({ seed: FIRST + i, days: 30 })
    refreshes += phone.refreshes
    if (phone.endedAt !== undefined) out++
  }
  t.equal(out, 0, `${out} signed out`)
  t.ok(refreshes > PHONES * 30, `${refreshes} refreshes`)
  t.end()
})

for (const { thief, withinDays, share } of [
  { thief: 'races', withinDays: 2, share: 0.95 },
  { thief: 'waits', withinDays: 3, share: 0.95 },
  { thief: 'alternates', withinDays: 5, share: 0.95 },
  // Who follows the owner within seconds looks like a phone that repeats: docs/sessions.md.
  { thief: 'mirrors', withinDays: 30, share: 0.95 }
] as const) {
  t.test(`a thief who ${thief}`, (t) => {
    const found: number[] = []
    for (let i = 0; i < THIEVES; i++) {
      const { endedAt, stolenAt } = simulate({ seed: FIRST + i, days: 30, thief })
      if (endedAt !== undefined && stolenAt !== undefined) found.push(endedAt - stolenAt)
    }
    found.sort((a, b) => a - b)
    const at = (share: number) => {
      const ms = found[Math.floor(THIEVES * share)]
      return ms === undefined ? 'never' : `${(ms / HOUR).toFixed(1)} h`
    }
    t.comment(`found: half within ${at(0.5)}, 19 of 20 within ${at(0.95)}, ${found.length} of ${THIEVES} in a month`)
    const soon = found.filter((ms) => ms <= withinDays * DAY).length
    t.ok(soon >= share * THIEVES, `${soon} of ${THIEVES} within ${withinDays} days`)
    t.end()
  })
}
