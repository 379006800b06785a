import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@skerry/testing'
import { type Doors, type Outcome, playCase, prepare } from './batch.ts'
import { tagOf } from './bytes.ts'
import { type Excuse, overused } from './excuses.ts'
import { type Gateway, type Routes, startGateway } from './gateway.ts'
import type { Prepared } from './judge.ts'
import { type ClientPlan, caseOf } from './model.ts'
import { type HostileService, startHostile } from './upstream.ts'
import { behaveWell, startCalm } from './well-behaved.ts'

/** Gateways, the services behind them, and what restarts a gateway that has ended. */
export type Fuzz = {
  readonly doors: Doors
  readonly service: HostileService
  /** Starts those gateways anew that have ended; answers how each of them ended, and the faults that others had and went on after. */
  revive(): Promise<string[]>
  close(): Promise<void>
}

/** @param imports modules that are loaded into the gateways before their own code */
export async function openFuzz(imports: readonly string[] = []): Promise<Fuzz> {
  const [service, calm] = await Promise.all([startHostile(), startCalm()])
  const routes: Routes = { hostile: service.url, calm: calm.url }
  const [plain, tls] = await Promise.all([startGateway(routes, false, imports), startGateway(routes, true, imports)])
  const doors: Doors = { plain, tls }
  return {
    doors,
    service,
    async revive() {
      const deaths: string[] = []
      for (const door of ['plain', 'tls'] as const) {
        for (const fault of doors[door].faults.splice(0)) deaths.push(`the gateway (${door}) had a fault: ${fault}`)
        if (doors[door].death() === undefined) continue
        // All that it said before it ended.
        await waitFor(() => doors[door].death()?.includes(' with ') === true)
        deaths.push(`the gateway (${door}) ${doors[door].death()}`)
        doors[door] = await startGateway(routes, door === 'tls', imports)
      }
      return deaths
    },
    async close() {
      await Promise.all([doors.plain.stop(), doors.tls.stop()])
      await service.close()
      calm.server.closeAllConnections()
      calm.server.close()
    }
  }
}

/** A kind of fault, and the cases in which it was seen. */
export type Finding = { what: string; cases: number[]; detail: string }

export type RoundResult = {
  cases: number
  seconds: number
  /** Requests that reached the hostile service; cases that were answered. */
  seen: number
  answered: number
  /** Of well-behaved clients. */
  calm: number
  shared: number
  sharedFailed: number
  /** Answers to well-behaved clients that were late bytes of somebody else's, by who was faster. */
  raced: number
  /** Cases of which something was not judged, by why. */
  excused: Partial<Record<Excuse, number>>
  findings: Finding[]
}

export type RoundOptions = {
  seed: number
  round: number
  from?: number
  cases: number
  /** Cases under way at once. */
  parallel?: number
  /** Goes on after a gateway has ended, until so many have. */
  mostDeaths?: number
  onProgress?(done: number): void
  /** Leaves cases out, to look for what else there is where something is known to be wrong. */
  without?(plan: ClientPlan): boolean
  /** Whether what was found so far is all that is looked for: then no more cases are begun. */
  enough?(findings: readonly Finding[]): boolean
  /** The pause of a well-behaved client between two requests. */
  pauseMs?: number
}

/** The case of a number, ready to be played. */
export function preparedCase(
  seed: number,
  round: number,
  number: number,
  plan: ClientPlan = caseOf(seed, round, number)
): Promise<Prepared> {
  return prepare(
    plan,
    number,
    plan.requests.map((_request, i) => tagOf(seed, round, number, i))
  )
}

/** How long a suspect may take to end a gateway, or to have it fail. */
const SUSPECT_MS = 400
const SETTLE_MS = 30
const GROUP = 24
const TIMES = 3
/** Cases that had just ended when a gateway did: what ends a process may show a moment later. */
const RECENT = 200

/**
 * Plays the cases of one round, many at once, while well-behaved clients ask for theirs, and says what was found. When a gateway ends,
 * or logs a fault of its own, the cases that were under way are played again one by one, to find the one that did it.
 */
export async function runRound(fuzz: Fuzz, options: RoundOptions): Promise<RoundResult> {
  const { seed, round, from = 1, cases, parallel = 64, mostDeaths = 1, onProgress, without, enough } = options
  const { service, doors } = fuzz
  const findings = new Map<string, Finding>()
  const find = (what: string, number: number | undefined, detail = '') => {
    const found = findings.get(what) ?? { what, cases: [], detail }
    if (number !== undefined) found.cases.push(number)
    findings.set(what, found)
  }
  const excused: RoundResult['excused'] = {}
  const result = { cases: 0, seen: 0, answered: 0, calm: 0, shared: 0, sharedFailed: 0, raced: 0, excused }
  service.raced = 0
  const started = performance.now()
  const end = from + cases
  let next = from
  let deaths = 0
  while (next < end && deaths < mostDeaths) {
    const good = behaveWell({ plain: doors.plain.port, tls: doors.tls.port }, service, seed, round, options.pauseMs)
    const under = new Map<number, Prepared>()
    const recent: Prepared[] = []
    let dead = false
    const take = (outcome: Outcome) => {
      result.cases++
      result.seen += outcome.seen
      result.answered += outcome.answers
      for (const { what, detail } of outcome.faults) find(what, outcome.prepared.number, detail)
      if (outcome.faults.length > 0 && enough?.([...findings.values()]) === true) next = end
      for (const one of outcome.excused) excused[one] = (excused[one] ?? 0) + 1
    }
    const work = async () => {
      while (next < end && !dead) {
        const number = next++
        const plan = caseOf(seed, round, number)
        if (without?.(plan) === true) continue
        const prepared = await preparedCase(seed, round, number, plan)
        under.set(prepared.number, prepared)
        const outcome = await playCase(prepared, doors, service)
        under.delete(prepared.number)
        if (outcome.refused || hasFailed(fuzz)) {
          dead = true
          void good.stop()
        }
        recent.push(prepared)
        if (recent.length > 2 * RECENT) recent.splice(0, RECENT)
        // What was under way when a gateway ended says nothing of its answers.
        if (!dead) take(outcome)
        onProgress?.(result.cases)
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    await good.stop()
    // What the last cases have done shows a moment later.
    await delay(SETTLE_MS)
    await Promise.allSettled([doors.plain.probe(), doors.tls.probe()])
    await delay(SETTLE_MS)
    dead ||= hasFailed(fuzz)
    const { tally } = good
    result.calm += tally.calm
    result.shared += tally.shared
    result.sharedFailed += tally.failed
    result.raced = service.raced
    if (dead) {
      deaths++
      const how = await fuzz.revive()
      const guilty = await findGuilty(fuzz, [
        ...new Set([...under.values(), ...recent.slice(-RECENT - parallel).reverse()])
      ])
      for (const one of how)
        find(
          `${one.includes(' had a fault: ') ? 'a gateway had a fault' : 'a gateway ended'}: ${signature(one)}`,
          guilty,
          one
        )
    } else for (const fault of tally.faults) find(fault.replace(/\d{3,}/g, 'N'), undefined, fault)
    for (const fault of service.faults.splice(0)) find(`the service was sent ${fault.split(':')[0]}`, undefined, fault)
  }
  for (const one of overused({ ...excused, raced: (excused.raced ?? 0) + result.raced }, result.cases))
    find(one.split(':')[0]!, undefined, one)
  return { ...result, seconds: (performance.now() - started) / 1_000, findings: [...findings.values()] }
}

/** Plays suspects in smaller and smaller groups, until the one is left that ends a gateway by itself. */
async function findGuilty(fuzz: Fuzz, suspects: readonly Prepared[]): Promise<number | undefined> {
  const each = suspects.length > GROUP ? GROUP : 1
  for (let at = 0; at < suspects.length; at += each) {
    const group = suspects.slice(at, at + each)
    // Some times each: what depends on who is faster does not show each time.
    for (let i = 0; i < TIMES && !hasFailed(fuzz); i++)
      await Promise.all(group.map((one) => playCase(one, fuzz.doors, fuzz.service, SUSPECT_MS)))
    // What shows in a later turn of the gateway is theirs, too.
    await delay(SETTLE_MS)
    await Promise.allSettled([fuzz.doors.plain.probe(), fuzz.doors.tls.probe()])
    if (!hasFailed(fuzz)) continue
    const door = isWell(fuzz.doors.plain) ? 'tls' : 'plain'
    await fuzz.revive()
    return each === 1
      ? group[0]?.number
      : findGuilty(
          fuzz,
          group.filter(({ plan }) => plan.door === door)
        )
  }
  return undefined
}

function hasFailed({ doors }: Fuzz): boolean {
  return !isWell(doors.plain) || !isWell(doors.tls)
}

function isWell({ death, faults }: Gateway): boolean {
  return death() === undefined && faults.length === 0
}

/** The error that ended a process, or that it had, and where it was made, without what differs from run to run. */
function signature(death: string): string {
  const [, message, at] = /(\w*Error[^\n"\\]*: [^\n"\\]*)(?:\n|\\n)\s+at ([^\n"\\]*)/.exec(death) ?? []
  return message === undefined ? death.slice(-200) : `${message}, ${at!.replace(/\(?file:.*\/(src\/.*?)\)?$/, '($1)')}`
}
