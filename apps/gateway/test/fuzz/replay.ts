import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { playCase } from './batch.ts'
import { anyCase, type ClientPlan, caseOf } from './model.ts'
import { type Fuzz, openFuzz, preparedCase, runRound } from './run.ts'

/*
 * Plays cases again: `node test/fuzz/replay.ts --seed 1 --round 1 --case 417` one of them, `--shrink` makes it as small as it can be while
 * the same is wrong with it, and `--cases 20000` a whole round from its first case on, which goes on when a gateway ends. `--without upgrades`,
 * `--without plain` and `--without tls` leave out cases that are known to end it.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    round: { type: 'string', default: '1' },
    case: { type: 'string' },
    cases: { type: 'string', default: '5000' },
    deaths: { type: 'string', default: '20' },
    without: { type: 'string', multiple: true, default: [] },
    shrink: { type: 'boolean', default: false }
  }
})
const seed = Number(values.seed)
const round = Number(values.round)
const MOST_TRIES = 300
const TIMES = 5
const LONGEST_MS = 20_000
const SETTLE_MS = 20
const KINDS: Readonly<Record<string, (plan: ClientPlan) => boolean>> = {
  upgrades: (plan) =>
    plan.requests.some(({ upgrade, fields }) => upgrade !== 'none' || fields.some(([name]) => name === 'upgrade')),
  plain: ({ door }) => door === 'plain',
  tls: ({ door }) => door === 'tls'
}

/** What is wrong with one case that is played alone, some times: what depends on who is faster does not show each time. */
async function faultsOf(fuzz: Fuzz, number: number, plan: ClientPlan): Promise<string[]> {
  const prepared = await preparedCase(seed, round, number, plan)
  for (let i = 0; i < TIMES; i++) {
    const { faults } = await playCase(prepared, fuzz.doors, fuzz.service, LONGEST_MS)
    await delay(SETTLE_MS)
    await Promise.allSettled([fuzz.doors.plain.probe(), fuzz.doors.tls.probe()])
    const deaths = await fuzz.revive()
    if (deaths.length > 0) return ['a gateway ended']
    if (faults.length > 0) return faults.map(({ what }) => what)
  }
  return []
}

/** fast-check's smaller cases, one after another, as long as one of them still has the same fault. */
async function shrink(fuzz: Fuzz, number: number, plan: ClientPlan, fault: string): Promise<ClientPlan> {
  let best = plan
  let tries = 0
  for (let found = true; found; ) {
    found = false
    for (const { value } of anyCase.shrink(best, undefined)) {
      if (tries++ > MOST_TRIES) return best
      if (!(await faultsOf(fuzz, number, value)).includes(fault)) continue
      best = value
      found = true
      break
    }
  }
  return best
}

async function show(fuzz: Fuzz, number: number, plan: ClientPlan): Promise<string | undefined> {
  const prepared = await preparedCase(seed, round, number, plan)
  const faults = await faultsOf(fuzz, number, plan)
  process.stdout.write(
    `${JSON.stringify(plan)}\n${prepared.kind}, ${plan.door}\n${JSON.stringify(prepared.bytes.toString('latin1').slice(0, 4_000))}\n`
  )
  process.stdout.write(`${faults.length === 0 ? 'nothing is wrong' : faults.join('\n')}\n`)
  return faults[0]
}

const fuzz = await openFuzz()
try {
  if (values.case !== undefined) {
    const number = Number(values.case)
    const plan = caseOf(seed, round, number)
    const fault = await show(fuzz, number, plan)
    if (fault !== undefined && values.shrink) await show(fuzz, number, await shrink(fuzz, number, plan, fault))
  } else {
    const without = (plan: ClientPlan) => values.without.some((kind) => KINDS[kind]?.(plan) === true)
    const options = { seed, round, cases: Number(values.cases), mostDeaths: Number(values.deaths), without }
    const { findings, ...figures } = await runRound(fuzz, options)
    process.stdout.write(`${JSON.stringify(figures)}\n`)
    for (const { what, cases, detail } of findings)
      process.stdout.write(
        `${cases.length} × ${what}\n   cases ${cases.slice(0, 10).join(', ')}\n   ${detail.slice(0, 600)}\n`
      )
  }
} finally {
  await fuzz.close()
}
